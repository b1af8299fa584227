"""Versions N and N+1 of two services side by side, on one database and in one consumer group, while orders come in."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from ops.stack.process import Child
from shared.events import OrderLine, StockLine
from shared.events.inventory import ReceiveStock
from shared.events.order import PlaceOrder
from shared.stream.kafka import KafkaProducer
from tests.integration.order.world import World, check_chain, holds
from tests.ledgerkit import home, outgoing

NEXT = Path(__file__).with_name("next_version.py")
SKUS = [f"UP{n}" for n in range(8)]
V1, V9 = "oms.inventory.reserved.v1", "oms.inventory.reserved.v9"
EVERY_S = 0.05
WITH_BOTH_ORDERS = 30


def order(number: int) -> PlaceOrder:
    line = OrderLine(
        line_id="1", sku=SKUS[number % len(SKUS)], quantity=1, unit_price=500, total=500
    )
    return PlaceOrder(
        channel="web",
        external_id=f"up-{number}",
        currency="GBP",
        lines=(line,),
        payment_method="tok_ok",
    )


class Load:
    """Orders on the topic, at a steady rate."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.streams: list[str] = []

    async def run(self) -> None:
        producer = KafkaProducer(self._world.stack.kafka)
        await producer.start()
        try:
            while True:
                message = order(len(self.streams))
                await producer.publish(home(message), [outgoing(message, message.external_id)])
                self.streams.append(message.subject)
                await asyncio.sleep(EVERY_S)
        finally:
            await producer.stop()

    async def more(self, count: int) -> None:
        """So many more were sent, and all up to them confirmed."""
        upto = len(self.streams) + count
        await holds(lambda: self.confirmed() >= upto, 60)

    def confirmed(self) -> int:
        sql = "select count(*) from messages where type = 'oms.order.confirmed.v1' and stream = any(%s)"
        return self._world.count(sql, self.streams)


@asynccontextmanager
async def loaded(world: World) -> AsyncIterator[Load]:
    load = Load(world)
    running = asyncio.ensure_future(load.run())
    try:
        yield load
    finally:
        running.cancel()
        await asyncio.wait((running,))
    assert running.cancelled(), running.exception()


async def handed_over(present: Child, load: Load) -> None:
    """Both versions work for a while, then the present one is stopped as a rollout does."""
    await load.more(WITH_BOTH_ORDERS)
    assert present.exit_status() is None
    assert await asyncio.to_thread(present.stop, signal.SIGTERM, 10.0), "it did not stop in time"
    assert present.exit_status() == 0
    await load.more(WITH_BOTH_ORDERS)


@pytest.mark.slow
async def test_the_next_version_takes_over_under_load(world: World) -> None:
    for service in ("order", "inventory"):
        await world.ready(service)
    lines = tuple(StockLine(sku=sku, location="east", quantity=10_000) for sku in SKUS)
    stock = ReceiveStock(movement_id="up", lines=lines)
    await world.publish("oms.inventory.commands", outgoing(stock, "up"))
    known = "select count(*) from items where sku like 'UP%%'"
    await holds(lambda: world.count(known) == len(SKUS))
    async with AsyncExitStack() as successors:
        async with loaded(world) as load:
            # Readers first: the order service learns version 9 before inventory begins to write it.
            for service in ("order", "inventory"):
                await successors.enter_async_context(world.beside(service, NEXT))
                await handed_over(world.child(service), load)
        await holds(lambda: load.confirmed() == len(load.streams), 60)
    keys = [stream.removeprefix("order-").encode() for stream in load.streams]
    assert world.count("select count(*) from parked where key = any(%s)", keys) == 0
    sql = """select type, min(position), max(position), count(*) from messages
             where type = any(%s) and convert_from(data, 'utf8') ~ 'UP[0-9]' group by type"""
    rows = world.rows(sql, [V1, V9], service="inventory")
    found = {type: (first, last, count) for type, first, last, count in rows}
    assert found[V9][0] < found[V1][1], "both versions were written at the same time"
    check_chain(await world.read("oms.inventory.events"), duplicates=True)
