"""The database or the broker goes away under the order service: it says so, loses nothing and goes on by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ops.stack.process import Identity
from shared.events import Envelope, OrderLine, encode
from shared.events.order import PlaceOrder, order_id_for
from shared.stream.port import Outgoing
from tests.integration.order.world import Client, World, check_chain, holds, order

ANSWER_SECONDS_MAX = 12.0


def from_topic(external_id: str) -> Outgoing:
    line = OrderLine(line_id="1", sku="A", quantity=1, unit_price=500, total=500)
    message = PlaceOrder(
        channel="web",
        external_id=external_id,
        currency="GBP",
        lines=(line,),
        payment_method="tok_ok",
    )
    headers = Envelope(id=external_id, type=PlaceOrder.tag(), source="/web").headers()
    return Outgoing(message.key.encode(), encode(message), headers)


@contextmanager
def frozen(identity: Identity | None) -> Iterator[None]:
    """A process stopped by SIGSTOP, with its children."""
    process = identity.find() if identity is not None else None
    assert process is not None
    family = [process, *process.children(recursive=True)]
    try:
        for one in family:
            os.kill(one.pid, signal.SIGSTOP)
        yield
    finally:
        for one in family:
            os.kill(one.pid, signal.SIGCONT)


async def refused(client: Client, external_id: str, **changes: object) -> None:
    """A POST while the database is away: told so, in bounded time, under a key to be sent again."""
    started = time.monotonic()
    answer = await client.place(order(external_id, **changes), key=external_id)
    assert time.monotonic() - started < ANSWER_SECONDS_MAX
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_database_stops_and_comes_back(world: World, client: Client) -> None:
    await world.ready()
    assert (await client.place(order("pg-0"))).status_code == 201
    postgres = world.stack.postgres_server
    await asyncio.to_thread(postgres.stop)
    try:
        line = {"line_id": "1", "sku": "NEVER-SEEN", "quantity": 1, "unit_price": 1}
        away = world.until_status("/readyz", 503)
        _, _, told, looked = await asyncio.gather(
            refused(client, "pg-1"),
            refused(client, "pg-2", lines=[line]),
            away,
            client.show(order_id_for("web", "pg-0")),
        )
        assert looked.status_code == 503
        assert "database" in {t["name"] for t in told.json()["tasks"] if t["state"] != "ready"}
        await world.publish("oms.channel.orders", from_topic("pg-topic"))
    finally:
        await asyncio.to_thread(postgres.launch)
        await asyncio.to_thread(postgres.wait_ready, 30)
    back = time.monotonic()
    await world.until_status("/readyz", 200)
    again = await client.place(order("pg-1"), key="pg-1")
    assert again.status_code == 201, again.text
    await holds(lambda: world.types(order_id_for("web", "pg-topic")) == ["placed"])
    assert time.monotonic() - back < 15
    assert world.types(again.json()["order_id"]) == ["placed"]


async def test_the_database_stands_still(world: World, client: Client) -> None:
    await world.ready()
    with frozen(world.stack.postgres_server.identity):
        _, told = await asyncio.gather(
            refused(client, "still-1"), world.until_status("/readyz", 503)
        )
        assert not told.json()["ready"]
    await world.until_status("/readyz", 200)
    again = await client.place(order("still-1"), key="still-1")
    assert again.status_code == 201, again.text
    assert world.types(again.json()["order_id"]) == ["placed"]


async def published(world: World, ids: list[str]) -> int:
    """How many of these orders the topic tells of; each once."""
    on_topic = await world.read("oms.order.events")
    keys = [r.key.decode() for records in on_topic.values() for r in records]
    found = [id for id in ids if keys.count(id)]
    assert all(keys.count(id) == 1 for id in found), "published twice"
    return len(found)


async def placed_while_the_broker_is_away(client: Client, name: str) -> list[str]:
    answers = [await client.place(order(f"{name}-{n}")) for n in range(20)]
    assert [a.status_code for a in answers] == [201] * 20
    assert (await client.http.get("/readyz")).status_code == 200, "orders are taken all the same"
    return [a.json()["order_id"] for a in answers]


async def test_the_broker_stands_still(world: World, client: Client) -> None:
    await world.ready()
    with frozen(world.stack.kafka_server.identity):
        ids = await placed_while_the_broker_is_away(client, "paused")
        await asyncio.sleep(2)
    await holds(world.all_published, 40)
    assert await published(world, ids) == 20
    check_chain(await world.read("oms.order.events"), duplicates=True)


async def test_the_broker_stops_and_comes_back(world: World, client: Client) -> None:
    await world.ready()
    kafka = world.stack.kafka_server
    await asyncio.to_thread(kafka.stop)
    try:
        ids = await placed_while_the_broker_is_away(client, "restarted")
    finally:
        await asyncio.to_thread(kafka.launch)
        await asyncio.to_thread(kafka.wait_ready, 60)
    await holds(world.all_published, 40)
    assert await published(world, ids) == 20
    check_chain(await world.read("oms.order.events"), duplicates=True)
    await world.publish("oms.channel.orders", from_topic("broker-topic"))
    await holds(lambda: world.types(order_id_for("web", "broker-topic")) == ["placed"], 30)
