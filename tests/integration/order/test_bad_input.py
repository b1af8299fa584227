"""Orders that nobody can mean, over HTTP: each is refused with its fields named, and leaves no trace.

What each field's type refuses is shown for every operation in tests/contract/http; here is what only a whole order, a
real socket or the database shows.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from shared.service.body import BODY_MAX_BYTES
from tests.integration.order.world import Client, World, order


def lines(count: int, **changes: Any) -> list[dict[str, Any]]:
    line = {"sku": "A", "quantity": 1, "unit_price": 500, **changes}
    return [{"line_id": str(n), **line} for n in range(count)]


def priced(quantity: Any, unit_price: Any, count: int = 1) -> list[dict[str, Any]]:
    return lines(count, quantity=quantity, unit_price=unit_price)


DISCOUNT = [{"kind": "discount", "amount": 501}]
MILLION, MOST = 1_000_000, 2**53 - 1

CORPUS: list[tuple[str, dict[str, Any], set[str]]] = [
    ("unknown SKU", {"lines": lines(2, sku="NONE")}, {"/lines/0/sku", "/lines/1/sku"}),
    ("zero", {"lines": priced(0, 1)}, {"/lines/0/quantity"}),
    ("negative", {"lines": priced(-1, 1)}, {"/lines/0/quantity"}),
    ("huge", {"lines": priced(2**63, 1)}, {"/lines/0/quantity"}),
    ("2^64", {"lines": priced(1, 2**64)}, {"/lines/0/unit_price"}),
    ("2^53", {"lines": priced(1, 2**53)}, {"/lines/0/unit_price"}),
    ("line above 2^53", {"lines": priced(MILLION, 2**40)}, {"/lines/0/unit_price"}),
    ("line above 2^64", {"lines": priced(MILLION, MOST)}, {"/lines/0/unit_price"}),
    ("sum above 2^53", {"lines": priced(1, MOST, 2)}, {"/lines"}),
    ("sum above 2^63", {"lines": priced(1, MOST, 1500)}, {"/lines"}),
    ("charges above 2^53", {"charges": [{"kind": "fee", "amount": MOST}] * 2}, {"/lines"}),
    ("charge of 2^53", {"charges": [{"kind": "fee", "amount": 2**53}]}, {"/charges/0/amount"}),
    ("discount above total", {"charges": DISCOUNT}, {"/lines"}),
    ("2,001 lines", {"lines": lines(2001)}, {"/lines"}),
    ("no lines", {"lines": []}, {"/lines"}),
    ("equal line ids", {"lines": lines(1) * 3}, {"/lines/1/line_id", "/lines/2/line_id"}),
    ("no payment", {"payment_method": ""}, {"/payment_method"}),
    ("currency", {"currency": "gbp"}, {"/currency"}),
    ("currency signs", {"currency": "£££"}, {"/currency"}),
    ("year 0", {"placed_at": "0001-01-01T00:00:00+14:00"}, {"/placed_at"}),
    ("year 9999", {"placed_at": "9999-12-31T23:59:59-14:00"}, {"/placed_at"}),
    ("no offset", {"placed_at": "2026-01-01T00:00:00"}, {"/placed_at"}),
    ("control character", {"customer": {"email": "a\x7f@b.example"}}, {"/customer/email"}),
    ("owned by us", {"order_id": "x", "status": "PAID", "total": 1}, {"/order_id", "/status", "/total"}),
    ("several", {"currency": "x", "lines": priced(0, -1)}, {"/currency", "/lines/0/quantity", "/lines/0/unit_price"}),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "fields"), [c[1:] for c in CORPUS], ids=[c[0] for c in CORPUS])
async def test_what_is_wrong_is_named(
    world: World, client: Client, changes: dict[str, Any], fields: set[str]
) -> None:
    before = world.count("select count(*) from messages")
    answer = await client.place(order("bad", **changes))
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert {error["field"] for error in answer.json()["errors"]} == fields
    assert world.count("select count(*) from messages") == before


async def test_the_most_that_can_be_ordered(client: Client) -> None:
    assert (await client.place(order("most", lines=priced(1, MOST)))).status_code == 201
    assert (await client.place(order("wide", lines=lines(2000)))).status_code == 201


async def test_an_order_too_large_for_a_topic_is_refused(world: World, client: Client) -> None:
    long = lines(1900, description="x" * 460)
    body = json.dumps(order("large", lines=long)).encode()
    assert 900_000 < len(body) < BODY_MAX_BYTES
    before = world.count("select count(*) from messages")
    answer = await client.place(body)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:oms:problem:request-too-large")
    assert world.count("select count(*) from messages") == before


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
async def test_ten_megabytes_are_refused_before_they_are_read(
    world: World, client: Client, declared: bool
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port())
    framing = "content-length: 10000000" if declared else "transfer-encoding: chunked"
    headers = "".join(f"{name}: {value}\r\n" for name, value in client.headers().items())
    writer.write(f"POST /orders HTTP/1.1\r\nhost: x\r\n{headers}{framing}\r\n\r\n".encode())
    part = b"x" * 65536 if declared else b"10000\r\n" + b"x" * 65536 + b"\r\n"
    try:
        for _ in range(10_000_000 // 65536):
            writer.write(part)
            await writer.drain()
    except ConnectionError:
        pass  # it need not take what it has refused
    status = await asyncio.wait_for(reader.readline(), 10)
    assert status.split()[1] == b"413"
    writer.close()
    await world.until_status("/livez", 200)
