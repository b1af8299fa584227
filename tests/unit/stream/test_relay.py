"""The relay: positions once, records in chain order, whatever happens to whom."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.events import read_headers
from shared.ledger.memory import MemoryStore
from shared.ledger.store import Unavailable
from shared.stream import relay
from shared.stream.memory import MemoryBroker, MemoryProducer
from shared.stream.port import BrokerLost
from tests.ledgerkit import PARTITIONS, Producing, going, language, overtaken, until

WORDS = language("tally")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "RETRY_SECONDS", 0.005)
    monkeypatch.setattr(relay, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(relay, "ROWS_MAX", 10)


class World:
    """Services that share one store, as processes do, and a broker."""

    def __init__(self) -> None:
        self.broker = MemoryBroker({WORDS.events: PARTITIONS})
        self.store = MemoryStore()
        self.made = 0

    async def connect(self) -> Any:
        self.made += 1
        return MemoryProducer(self.broker)

    def producing(self) -> Producing:
        return Producing(WORDS, self.store, self.connect)

    def partition(self, number: int) -> list[Any]:
        return self.broker.records((WORDS.events, number))

    def sound(self) -> None:
        """Every position of the feed is at the broker, and none landed before its predecessor."""
        there: set[int | None] = set()
        for number in range(PARTITIONS):
            records = self.partition(number)
            assert overtaken(records) == []
            there |= {read_headers(r.headers).sequence for r in records}
        assert there == {row.position for row in self.store.tables.feed}


async def fill(producing: Producing, count: int) -> None:
    for n in range(count):
        await producing.add(*(f"n{(n + i) % 9}" for i in range(7)))


async def published(world: World, count: int) -> None:
    await until(lambda: world.store.tables.published == count)


async def test_everything_is_published_once_in_order_with_its_envelope() -> None:
    world = World()
    producing = world.producing()
    async with going(producing.writer.run(), producing.relay.run()):
        await fill(producing, 20)
        await published(world, 140)
    world.sound()
    assert sum(len(world.partition(n)) for n in range(PARTITIONS)) == 140
    first = world.store.tables.feed[0]
    record = world.partition(first.partition)[0]
    envelope = read_headers(record.headers)
    assert (envelope.id, envelope.source) == (f"{first.stream}/1", "/oms/tally")
    assert (envelope.sequence, envelope.previous) == (1, 0)
    assert (record.key, record.value) == (first.key.encode(), first.data)


@pytest.mark.parametrize("label", ["publish", "acknowledge"])
async def test_a_lost_broker_costs_a_new_client_and_nothing_else(label: str) -> None:
    """Raised as a group by the tasks that publish side by side; the process must live on all the same."""
    world = World()
    count = 0

    async def fault(passed: str) -> None:
        nonlocal count
        await asyncio.sleep(0)
        if passed == label:
            count += 1
            if count in {2, 3, 11, 30}:
                raise BrokerLost("away")

    world.broker.fault = fault
    producing = world.producing()
    async with going(producing.writer.run(), producing.relay.run()):
        await fill(producing, 20)
        await published(world, 140)
    world.sound()
    assert world.made >= 3


async def test_what_this_process_has_appended_is_published_without_reading_it_back() -> None:
    world = World()
    producing = world.producing()
    read_back: list[int] = []

    async def fault(passed: str) -> None:
        await asyncio.sleep(0)
        if passed == "feed" and producing.relay.published < 140:
            read_back.append(producing.relay.published)

    async with going(producing.writer.run()):
        await fill(producing, 20)
        world.store.fault = fault
        async with going(producing.relay.run()):
            await published(world, 140)
    world.sound()
    assert read_back == []


async def test_more_than_fits_in_memory_is_read_from_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "OFFERED_ROWS_MAX", 20)
    world = World()
    producing = world.producing()
    async with going(producing.writer.run()):
        await fill(producing, 20)
        async with going(producing.relay.run()):
            await published(world, 140)
    world.sound()
    assert sum(len(world.partition(n)) for n in range(PARTITIONS)) == 140


async def test_two_relays_at_once_never_overtake() -> None:
    world = World()
    one, two = world.producing(), world.producing()
    async with going(one.writer.run(), one.relay.run(), two.relay.run()):
        await fill(one, 30)
        await until(lambda: one.relay.published == two.relay.published == 210)
    world.sound()


@pytest.mark.parametrize("label", ["published", "feed", "mark_published"])
async def test_a_store_that_goes_away_anywhere_loses_nothing(label: str) -> None:
    world = World()
    count = 0

    async def fault(passed: str) -> None:
        nonlocal count
        await asyncio.sleep(0)
        if passed == label:
            count += 1
            if count % 3 == 1:
                raise Unavailable("away")

    world.store.fault = fault
    producing = world.producing()
    async with going(producing.writer.run(), producing.relay.run()):
        await fill(producing, 10)
        await published(world, 70)
    world.sound()


async def test_a_relay_that_is_killed_between_batches_is_followed_by_one_that_goes_on() -> None:
    world = World()
    writer = world.producing()
    async with going(writer.writer.run()):
        for _ in range(12):
            await fill(writer, 2)
            relay_task = asyncio.ensure_future(world.producing().relay.run())
            for _ in range(9):
                await asyncio.sleep(0)
            relay_task.cancel()
            await asyncio.wait([relay_task])
        last = world.producing()
        async with going(last.relay.run()):
            await published(world, 12 * 14)
    world.sound()
