"""POST /orders on the real service: durable before the answer, once for each key and each external id."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import msgspec
import psycopg

from shared.events.order import OrderPlaced, order_id_for
from tests.integration.order.world import Client, Shopper, World, holds, order

PLACED = "select count(*) from messages where type = 'oms.order.placed.v1'"


async def test_an_answered_order_survives_a_kill(world: World, client: Client) -> None:
    body = order("kill-1")
    first = await client.place(body, key="kill-1")
    world.kill()
    assert first.status_code == 201
    order_id = first.json()["order_id"]
    assert world.types(order_id) == ["placed"]

    await world.start()
    again = await client.place(body, key="kill-1")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert (await client.show(order_id)).json()["external_id"] == "kill-1"

    await holds(world.all_published)
    event, *repeats = await world.events(order_id)
    assert isinstance(event, OrderPlaced)
    assert all(e == event for e in repeats), "what was published before the kill may come once more"
    assert event.total == 500


async def test_a_key_belongs_to_one_request(client: Client) -> None:
    first = await client.place(order("key-1"), key="key-1")
    other = await client.place(order("key-2"), key="key-1")
    assert (first.status_code, other.status_code) == (201, 422)
    assert other.json()["type"] == "urn:oms:problem:idempotency-key-reused"
    elsewhere = await client.place(order("key-3", channel="shop"), key="key-1", role="channel:shop")
    assert elsewhere.status_code == 201, "keys of other callers are other keys"


async def test_an_external_id_is_one_order(world: World, client: Client) -> None:
    first = await client.place(order("ext-1"))
    again = await client.place(order("ext-1"))
    assert (again.status_code, again.json()["order_id"]) == (201, first.json()["order_id"])
    assert "idempotent-replayed" not in again.headers
    other = await client.place(order("ext-1", currency="EUR"), key="ext-1-other")
    assert (other.status_code, other.json()["type"]) == (409, "urn:oms:problem:order-exists")
    replayed = await client.place(order("ext-1", currency="EUR"), key="ext-1-other")
    assert (replayed.status_code, replayed.headers["idempotent-replayed"]) == (409, "true")
    assert world.types(first.json()["order_id"]) == ["placed"]


async def test_fifty_equal_requests_at_once_are_one_order(world: World) -> None:
    before = world.count(PLACED)

    async def insist(shopper: Shopper, n: int) -> bytes:
        body = msgspec.json.encode(order(f"crowd-{n}"))
        while True:
            status, content = await shopper.place(body, f"crowd-{n}")
            if status != 409:
                break
            assert b"urn:oms:problem:idempotency-in-flight" in content
            await asyncio.sleep(0.05)
        assert status == 201, content
        return content

    async with world.shoppers(50) as crowd:
        for n in range(20):
            answers = await asyncio.gather(*[insist(shopper, n) for shopper in crowd])
            assert len(set(answers)) == 1
    assert world.count(PLACED) - before == 20


async def test_the_same_request_in_flight_is_told_so(world: World, client: Client) -> None:
    with psycopg.connect(world.dsns["order"]) as lock:
        lock.execute("lock table streams in exclusive mode")
        first = asyncio.create_task(client.place(order("flight-1"), key="flight-1"))
        waits = "select count(*) from pg_locks where relation = 'streams'::regclass and not granted"
        await holds(lambda: world.count(waits) > 0)
        same = await client.place(order("flight-1"), key="flight-1")
        assert (same.status_code, same.headers["retry-after"]) == (409, "1")
        assert same.json()["type"] == "urn:oms:problem:idempotency-in-flight"
        other = await client.place(order("flight-2"), key="flight-1")
        assert other.status_code == 422
        lock.rollback()
    assert (await first).status_code == 201


async def test_who_may_place(world: World, client: Client) -> None:
    before = world.count("select count(*) from messages")
    body = order("who-1")

    async def status(headers: dict[str, str]) -> tuple[int, str]:
        answer = await client.http.post("/orders", json=body, headers=headers)
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code, answer.json()["type"].rpartition(":")[2]

    full = client.headers()
    assert await status({"idempotency-key": "x"}) == (401, "unauthenticated")
    stranger = full | {"Authorization": "Bearer oms_channel_x"}
    assert await status(stranger) == (401, "unauthenticated")
    for role in ("warehouse", "ops", "auditor", "service"):
        assert (await status(client.headers(role)))[0] == 403
    assert (await status(client.headers("channel:shop")))[0] == 403, "another channel's order"
    del full["idempotency-key"]
    assert await status(full) == (400, "idempotency-key")
    assert world.count("select count(*) from messages") == before
    assert (await client.place(body, role="agent")).status_code == 201, "staff, for any channel"


async def test_a_rejected_number_may_come_again(world: World, client: Client) -> None:
    external_id = f"again-{uuid4().hex[:6]}"
    bad = await client.place(order(external_id, currency="gbp"))
    assert bad.status_code == 422
    good = await client.place(order(external_id))
    assert good.json()["order_id"] == order_id_for("web", external_id)
