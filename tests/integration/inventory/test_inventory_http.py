"""The inventory service over HTTP and a real database: movements, questions, and the last unit under load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ops.stack import Stack
from services.inventory.api import routes
from services.inventory.handlers import TABLE
from shared.events import StockLine
from shared.events.inventory import ReceiveStock, StockReserved
from shared.ledger.timers import Timers
from shared.service import Role
from tests.integration.serving import Served, serving
from tests.unit.inventory.language import commit, reserve

MOVER, AGENT = Role.WAREHOUSE, Role.AGENT
RECEIPT = {"movement_id": "m1", "lines": [{"sku": "A/1 x", "location": "east", "quantity": 5}]}


@pytest.fixture
async def service(stack: Stack) -> AsyncIterator[Served]:
    async with serving(stack, TABLE, routes) as served:
        yield served


async def received(service: Served, id: str, sku: str, quantity: int) -> None:
    line = {"sku": sku, "location": "east", "quantity": quantity}
    answer = await service.post("/receipts", MOVER, {"movement_id": id, "lines": [line]})
    assert answer.status_code == 201, answer.text


async def test_goods_are_received_counted_and_shown(service: Served) -> None:
    item = {"sku": "A/1 x", "description": "Lamp"}
    assert (await service.post("/items", MOVER, item)).json() == item
    first = await service.post("/receipts", MOVER, RECEIPT, key="k1")
    assert (first.status_code, first.json()) == (201, {"movement_id": "m1", "lines": 1})
    replayed = await service.post("/receipts", MOVER, RECEIPT, key="k1")
    assert (replayed.status_code, replayed.json()) == (201, first.json())
    assert replayed.headers["idempotent-replayed"] == "true"
    assert (await service.post("/receipts", MOVER, RECEIPT)).status_code == 201, "counts once"
    await service.hear(reserve("o1.1", "A/1 x", 2))
    await service.hear(reserve("o2.1", "A/1 x", 4, wait=True))

    shown = await service.get("/stock/A/1 x", Role.CHANNEL)
    assert shown.json() == {
        "sku": "A/1 x",
        "description": "Lamp",
        "on_hand": 5,
        "reserved": 2,
        "allocated": 0,
        "available": 0,
        "waiting": 1,
        "waiting_units": 4,
        "locations": [{"location": "east", "on_hand": 5, "reserved": 2, "allocated": 0, "free": 3}],
        "version": 4,
    }
    assert shown.headers["etag"] == '"4"'
    several = (await service.get("/stock", AGENT, skus="A/1 x,NONE")).json()
    assert (several["items"], several["unknown"]) == ([shown.json()], ["NONE"])


async def test_a_count_is_corrected_but_not_below_what_is_promised(service: Served) -> None:
    await received(service, "m1", "A", 5)
    await service.hear(reserve("o1.1", "A", 4))
    body: dict[str, Any] = {
        "movement_id": "m2",
        "reason": "damaged",
        "lines": [{"sku": "A", "location": "east", "quantity": -2}],
    }
    refused = await service.post("/adjustments", MOVER, body)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:oms:problem:below-promised")
    assert "4 are promised" in refused.json()["detail"]
    body["lines"][0]["quantity"] = -1
    assert (await service.post("/adjustments", MOVER, body)).status_code == 201
    assert (await service.get("/stock/A", AGENT)).json()["on_hand"] == 4
    body["lines"][0]["quantity"] = 7
    reused = await service.post("/adjustments", MOVER, body)
    assert reused.json()["type"] == "urn:oms:problem:movement-reused"


async def test_what_a_topic_has_named_is_found_and_corrected(service: Served) -> None:
    there = StockLine(sku="Grün (#1)", location="Halle 2/Süd", quantity=5)
    await service.hear(ReceiveStock(movement_id="m1", lines=(there,)))
    line = {"sku": there.sku, "location": there.location, "quantity": -1}
    body = {"movement_id": "m2", "reason": "damaged", "lines": [line]}
    assert (await service.post("/adjustments", MOVER, body)).status_code == 201
    assert (await service.get("/stock/Gr%C3%BCn%20(%231)", AGENT)).json()["on_hand"] == 4


async def test_a_reservation_can_be_looked_at(service: Served) -> None:
    await received(service, "m1", "A", 5)
    await service.hear(reserve("o1.1", "A", 2))
    held = (await service.get("/reservations/o1.1", AGENT)).json()
    assert (held["order_id"], held["status"]) == ("o1", "held")
    assert held["expires_at"].endswith("Z")
    assert held["open"] == [{"line_id": "l1", "sku": "A", "location": "east", "quantity": 2}]
    await service.hear(commit("o1.1", "A", 2))
    committed = await service.get("/reservations/o1.1", AGENT)
    assert (committed.json()["status"], committed.headers["etag"]) == ("committed", '"2"')
    assert (await service.get("/reservations/o9.1", AGENT)).status_code == 404
    assert (await service.get("/stock/NONE", AGENT)).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/receipts", {"movement_id": "m", "lines": []}, "/lines"),
        (
            "/receipts",
            {"movement_id": "m", "lines": [{"sku": "A", "location": "e", "quantity": 0}]},
            "/lines/0/quantity",
        ),
        (
            "/adjustments",
            {
                "movement_id": "m",
                "reason": "r",
                "lines": [{"sku": "A", "location": "e", "quantity": 0}],
            },
            "/lines/0/quantity",
        ),
        ("/adjustments", {"movement_id": "m", "lines": [], "reason": "r"}, "/lines"),
        ("/items", {"sku": "A\u0000", "description": ""}, "/sku"),
        ("/items", {"sku": "A", "on_hand": 5}, "/on_hand"),
    ],
)
async def test_bad_requests_name_their_fields(
    service: Served, path: str, body: Any, field: str
) -> None:
    answer = await service.post(path, MOVER, body)
    assert answer.status_code == 422, answer.text
    assert field in [error["field"] for error in answer.json()["errors"]]


async def test_roles(service: Served) -> None:
    for path in ("/items", "/receipts", "/adjustments"):
        for role in (Role.AGENT, Role.CHANNEL, Role.AUDITOR):
            assert (await service.post(path, role, {})).status_code == 403
    assert (await service.get("/reservations/o1.1", Role.CHANNEL)).status_code == 403
    assert (await service.get("/stock", AGENT, skus=",")).status_code == 422


async def test_the_last_units_of_a_hot_sku_are_sold_once(service: Served) -> None:
    await received(service, "m1", "A", 150)

    async def buyer(n: int) -> int:
        got = 0
        for i in range(10):
            outcome = await service.hear(reserve(f"b{n}x{i}.1", "A", 1))
            got += any(isinstance(e, StockReserved) for e in outcome.events)
        return got

    assert sum(await asyncio.gather(*[buyer(n) for n in range(32)])) == 150
    stock = (await service.get("/stock/A", AGENT)).json()
    assert (stock["reserved"], stock["available"]) == (150, 0)


async def test_a_receipt_fills_backorders_through_timers(service: Served) -> None:
    await received(service, "m1", "A", 1)
    await received(service, "m2", "B", 9)
    for n in (1, 2, 3):
        await service.hear(reserve(f"o{n}.1", "A", 2, "B", 1, wait=True))
    await received(service, "m3", "A", 3)
    timers = Timers(TABLE, service.store, service.writer)
    fired = [await timers.fire_due() for _ in range(3)]
    assert fired == [2, 2, 0], "wake, then fill, for the two that are in reach"
    status = [
        (await service.get(f"/reservations/o{n}.1", AGENT)).json()["status"] for n in (1, 2, 3)
    ]
    assert status == ["held", "held", "backordered"]
