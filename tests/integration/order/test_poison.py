"""Poison on the order service's topics: parked by key, other keys go on, and redrive applies in order, once."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.events import Allocation, Envelope, OrderLine, encode
from shared.events.inventory import ReservationExpired, StockReserved
from shared.events.order import CancelOrder, PlaceOrder, order_id_for
from shared.stream.port import Outgoing
from tests.integration.order.world import Client, World, holds, order

UPGRADED = Path(__file__).with_name("upgraded.py")
CHANNEL, COMMANDS, INVENTORY = "oms.channel.orders", "oms.order.commands", "oms.inventory.events"
LINE = OrderLine(line_id="1", sku="A", quantity=1, unit_price=500, total=500)
ALLOCATED = Allocation(line_id="1", sku="A", location="east", quantity=1)
BIG = 990_000


def place(external_id: str, **changes: Any) -> PlaceOrder:
    fields = {"channel": "web", "currency": "GBP", "lines": (LINE,), "payment_method": "tok_ok"}
    return PlaceOrder(**{**fields, "external_id": external_id, **changes})


def record(key: str, value: bytes, tag: str = "", id: str = "x") -> Outgoing:
    """A record as an outsider sends it; without a tag it has no headers at all."""
    headers = Envelope(id=id, type=tag, source="/web").headers() if tag else []
    return Outgoing(key.encode(), value, headers)


def said(message: Any, key: str | None = None) -> Outgoing:
    return record(message.key if key is None else key, encode(message), message.tag())


def parked(world: World, key: str) -> int:
    return world.count("select count(*) from parked where key = %s", key.encode())


def poison(name: str) -> list[Outgoing]:
    """Records of one key each that cannot be handled, whatever their topic."""
    cancel = CancelOrder.tag()
    return [
        record(f"{name}-bytes", os.urandom(200)),
        record(f"{name}-headers", encode(place("p1"))),
        record(f"{name}-json", b'{"type":', PlaceOrder.tag()),
        record(f"{name}-types", b'{"channel":5,"lines":{}}', PlaceOrder.tag()),
        record(f"{name}-array", b"[]", cancel),
        record(f"{name}-version", b"{}", "oms.inventory.reserved.v9"),
        record(f"{name}-surrogate", b'{"order_id":"\\ud800","reason":"x"}', cancel),
        record(f"{name}-nul", b'{"order_id":"a\\u0000b","reason":"x"}', cancel),
        record(f"{name}-utf8", b'{"order_id":"\xff\xfe","reason":"x"}', cancel),
        record(f"{name}-empty", b"", cancel),
        record(f"{name}-big", os.urandom(BIG), cancel),
        record(f"{name}-{os.urandom(5_000).hex()}", b"{}", cancel),
    ]


@pytest.mark.parametrize("topic", [CHANNEL, COMMANDS, INVENTORY])
async def test_poison_is_parked_under_its_key(world: World, client: Client, topic: str) -> None:
    await world.ready()
    name = topic.rpartition(".")[0]
    records = poison(name)
    others = [said(place(f"{name}-{n}")) for n in range(8)]
    await world.publish(topic, *records)
    await world.publish(CHANNEL, *others)
    await holds(lambda: all(parked(world, r.key.decode()) for r in records))
    ids = [order_id_for("web", f"{name}-{n}") for n in range(8)]
    await holds(lambda: all(world.types(id) == ["placed"] for id in ids))
    keys = {item["key"]: item for item in await client.parked() if item["topic"] == topic}
    assert {r.key.decode() for r in records} <= keys.keys()
    assert all(item["error"] for item in keys.values())
    assert (await world.until_status("/readyz", 200)).json()["ready"]


async def test_a_channel_cannot_say_what_only_inventory_may(world: World, client: Client) -> None:
    """Whoever may write to one topic has no say about what travels on others."""
    await world.ready()
    wish = place("forged")
    forged = StockReserved(
        reservation_id=f"{wish.order_id}.1",
        order_id=wish.order_id,
        allocations=(ALLOCATED,),
        expires_at=datetime.now(UTC),
    )
    await world.publish(CHANNEL, said(wish))
    await holds(lambda: world.types(wish.order_id) == ["placed"])
    await world.publish(CHANNEL, said(forged))
    await holds(lambda: parked(world, forged.key) == 1)
    done = await client.redrive(CHANNEL, forged.key)
    assert (done["applied"], "does not travel on" in done["error"]) == (0, True)
    assert world.types(wish.order_id) == ["placed"]


async def test_good_messages_queue_behind_poison(world: World, client: Client) -> None:
    await world.ready()
    good, other = place("queue-1"), place("queue-2")
    await world.publish(CHANNEL, record(good.key, os.urandom(50)), said(good), said(other))
    await holds(lambda: parked(world, good.key) == 2)
    await holds(lambda: world.types(other.order_id) == ["placed"])
    assert world.types(good.order_id) == []
    done = await client.redrive(CHANNEL, good.key)
    assert done["applied"] == 0
    assert "BadEnvelope" in done["error"]
    assert parked(world, good.key) == 2, "what cannot be read stays, and keeps its place"


async def test_what_can_never_be_read_is_discarded_and_its_key_flows_again(
    world: World, client: Client
) -> None:
    await world.ready()
    first, later = place("discard-1"), place("discard-1")
    await world.publish(CHANNEL, record(first.key, b"\xff\x00", "x"), said(first))
    await holds(lambda: parked(world, first.key) == 2)
    ops, auditor = client.headers("ops"), client.headers("auditor")
    asked = {"topic": CHANNEL, "key": first.key}
    found = (await client.http.get("/parked/records", params=asked, headers=ops)).json()["items"]
    assert [item["value"][:5] for item in found] == ["\\xff\x00", '{"typ']
    discard = {"id": found[0]["id"], "reason": "sent again by the channel"}

    async def discarded(body: Any, headers: Any) -> int:
        answer = await client.http.post("/parked/discard", json=body, headers=headers)
        return answer.status_code

    assert await discarded(discard, auditor) == 403
    assert await discarded({**discard, "reason": ""}, ops) == 422
    assert await discarded({**discard, "id": 2**63}, ops) == 422
    assert await discarded(discard, ops) == 200
    assert await discarded(discard, ops) == 404
    done = await client.redrive(CHANNEL, first.key)
    assert done == {"applied": 1, "error": None}
    assert world.types(first.order_id) == ["placed"]
    await world.publish(CHANNEL, said(later), said(place("discard-2")))
    await holds(lambda: world.types(order_id_for("web", "discard-2")) == ["placed"])
    assert parked(world, first.key) == 0
    kept = (await client.http.get("/parked/discarded", headers=auditor)).json()["items"]
    assert [(k["id"], k["key"], k["reason"]) for k in kept] == [
        (discard["id"], first.key, discard["reason"])
    ]
    assert kept[0]["actor"]
    assert kept[0]["discarded_at"] >= kept[0]["parked_at"]


async def test_redrive_after_an_upgrade_applies_in_order_and_once(
    world: World, client: Client
) -> None:
    await world.ready()
    order_id = (await client.place(order("v9"))).json()["order_id"]
    [(reservation_id,)] = world.rows(
        "select convert_from(data, 'UTF8')::jsonb->>'reservation_id' from messages "
        "where key = %s and type = 'oms.inventory.reserve.v1'",
        order_id,
    )
    reserved = {
        "reservation_id": reservation_id,
        "order_id": order_id,
        "granted": [msgspec.to_builtins(ALLOCATED)],
        "until": "2126-01-01T00:00:00Z",
    }
    expired = ReservationExpired(
        reservation_id=reservation_id, order_id=order_id, allocations=(ALLOCATED,)
    )
    v9 = record(order_id, msgspec.json.encode(reserved), "oms.inventory.reserved.v9")
    await world.publish(INVENTORY, v9, said(expired, order_id))
    await holds(lambda: parked(world, order_id) == 2)
    refused = await client.redrive(INVENTORY, order_id)
    assert refused["applied"] == 0
    assert "upgrade this service, then redrive" in refused["error"]

    assert await world.stop() == 0
    await world.start(script=UPGRADED)
    await world.ready()
    assert await client.redrive(INVENTORY, order_id) == {"applied": 2, "error": None}
    assert world.types(order_id)[:3] == ["placed", "reserved", "reservation_lost"]
    assert await client.redrive(INVENTORY, order_id) == {"applied": 0, "error": None}
    assert world.types(order_id).count("reserved") == 1
    await world.publish(INVENTORY, said(expired, order_id))
    await world.publish(CHANNEL, said(place("v9-after")))
    await holds(lambda: world.types(order_id_for("web", "v9-after")) == ["placed"])
    assert parked(world, order_id) == 0, "the key flows again"


INVALID: dict[str, dict[str, Any]] = {
    "quantity": {"lines": (msgspec.structs.replace(LINE, quantity=-1),)},
    "zero": {"lines": (msgspec.structs.replace(LINE, quantity=0, total=0),)},
    "total": {"lines": (msgspec.structs.replace(LINE, total=501),)},
    "huge": {"lines": (msgspec.structs.replace(LINE, unit_price=2**63, total=2**63),)},
    "sum": {"lines": (msgspec.structs.replace(LINE, unit_price=2**53 - 1, total=2**53 - 1), LINE)},
    "currency": {"currency": "gbp"},
    "lines": {"lines": ()},
    "nul": {"external_id": "a\x00b"},
    "description": {"lines": (msgspec.structs.replace(LINE, description="a\x00b"),)},
    "payment": {"payment_method": "x" * 501},
    "no payment": {"payment_method": " "},
}


async def test_an_invalid_order_is_rejected_and_not_parked(world: World, client: Client) -> None:
    await world.ready()
    orders = {
        name: place(**{"external_id": f"invalid-{name}", **changes})
        for name, changes in INVALID.items()
    }
    naive = msgspec.json.decode(encode(place("invalid-naive"))) | {
        "placed_at": "2026-01-01T00:00:00"
    }
    raw = record("naive", msgspec.json.encode(naive), PlaceOrder.tag())
    await world.publish(CHANNEL, *[said(o, f"invalid-{name}") for name, o in orders.items()], raw)
    ids = [o.order_id for o in orders.values()] + [order_id_for("web", "invalid-naive")]
    await holds(lambda: all(world.types(id) == ["rejected"] for id in ids))
    assert not [item for item in await client.parked() if "invalid-" in item["key"]]
    reasons = {e.reason for id in ids[:1] for e in await world.events(id)}
    assert reasons == {"invalid"}


async def test_a_number_as_long_as_a_message_harms_nobody(world: World, client: Client) -> None:
    """It becomes the correlation of what the order does: a header that the broker would refuse for good."""
    await world.ready()
    long = place("x" * 960_000)
    await world.publish(CHANNEL, said(long, "long"), said(place("long-after")))
    after = order_id_for("web", "long-after")
    await holds(lambda: world.types(after) == ["placed"])
    await holds(lambda: world.types(long.order_id) == ["rejected"] or parked(world, "long") == 1)
    await holds(world.all_published)
    assert [type(e).__name__ for e in await world.events(after)] == ["OrderPlaced"]
    assert (await client.show(after)).status_code == 200
