"""The consumer: nothing twice, nothing lost, and no partition pays for another's trouble."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog

from shared.ledger.memory import MemoryStore
from shared.ledger.store import Mark
from shared.stream import consumer as consumer_module
from shared.stream import recovery, relay
from shared.stream.memory import MemoryBroker, MemoryConsumer, MemoryProducer
from shared.stream.port import BrokerLost, Outgoing
from tests.ledgerkit import (
    PARTITIONS,
    FeedHealer,
    Listening,
    Producing,
    going,
    home,
    language,
    of_type,
    outgoing,
    tally,
    until,
)

WORDS = language("tally")
TOPIC = WORDS.events
#: One name for each partition.
NAMES = {home(WORDS.Added(name=f"n{n}", amount=1, number=1))[1]: f"n{n}" for n in range(40)}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "RETRY_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(recovery, "HOLD_SECONDS", 0.02)
    monkeypatch.setattr(recovery, "TAIL_CHECK_SECONDS", 0.05)
    monkeypatch.setattr(recovery, "TAIL_STILL_SECONDS", 0.02)
    monkeypatch.setattr(consumer_module, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(relay, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(relay, "IDLE_SECONDS", 0.02)


class World:
    """A tally service, a broker and a mirror."""

    def __init__(self, **options: Any) -> None:
        self.broker = MemoryBroker({TOPIC: PARTITIONS, WORDS.commands: PARTITIONS})
        self.producing = Producing(WORDS, MemoryStore(), self.connect)
        self.healer = FeedHealer(self.producing.store, "/oms/tally")
        self.store = MemoryStore()
        self.mirror = self.listener("mirror", **options)

    async def connect(self) -> Any:
        return MemoryProducer(self.broker)

    def listener(self, group: str, **options: Any) -> Listening:
        async def joined() -> Any:
            return MemoryConsumer(self.broker, group, self.mirror.table.topics, records_max=7)

        listening = Listening(WORDS, self.store, joined, self.healer, **options)
        self.mirror = listening
        return listening

    def sending(self) -> tuple[Any, ...]:
        return self.producing.writer.run(), self.producing.relay.run()

    async def say(self, count: int, *names: str) -> None:
        """Add and publish."""
        for _ in range(count):
            await self.producing.add(*(names or NAMES.values()))
        head = len(self.producing.store.tables.feed)
        await until(lambda: self.producing.relay.published >= head)

    async def heard(self, count: int, *names: str) -> None:
        """Wait until each name was noted that often; then it must be each number once, in order."""
        for name in names or NAMES.values():
            async with asyncio.timeout(10):
                while len(noted := await self.mirror.heard(name)) < count:
                    await asyncio.sleep(0.005)
            assert noted == list(range(1, count + 1))


async def test_duplicates_are_applied_once() -> None:
    world = World()
    async with going(*world.sending(), *world.mirror.work()):
        await world.say(5)
        await world.heard(5)
        for partition in NAMES:
            for offset in (0, 4, 2, 4):
                world.broker.repeat((TOPIC, partition), offset)
        await world.say(2)
        await world.heard(7)
        assert world.mirror.counters.duplicates == 4 * len(NAMES)
        assert world.mirror.counters.gaps == 0


async def test_a_relay_that_starts_from_an_old_cursor_repeats_and_harms_nobody() -> None:
    world = World()
    async with going(*world.sending(), *world.mirror.work()):
        await world.say(20)
    world.producing.store.tables.published = 3
    world.producing = Producing(WORDS, world.producing.store, world.connect)
    again = world.listener("mirror")
    async with going(*world.sending(), *again.work()):
        await world.say(1)
        await world.heard(21)
        assert world.mirror.counters.gaps == 0


@pytest.mark.parametrize("lost", [[0], [3], [3, 4, 5], [0, 5, 9]])
async def test_a_hole_is_noticed_and_healed_from_the_feed(lost: list[int]) -> None:
    world = World()
    async with going(*world.sending()):
        await world.say(12)
        for offset in lost:
            world.broker.remove((TOPIC, 2), offset)
        async with going(*world.mirror.work()):
            await world.heard(12)
            assert world.mirror.counters.healed == len(lost)
            assert world.mirror.counters.gaps >= 1
            assert world.mirror.counters.duplicates == 0


async def test_a_topic_that_was_made_anew_is_healed_and_read_on() -> None:
    world = World()
    async with going(*world.sending(), *world.mirror.work()):
        await world.say(12)
        await world.heard(12)
        world.broker.wipe(TOPIC)
        await world.say(3)
        await world.heard(15)
        world.broker.wipe(TOPIC)
        await world.say(30)
        await world.heard(45)


async def test_a_lost_end_is_found_by_asking_the_producer() -> None:
    world = World()
    async with going(*world.sending()):
        await world.say(6)
        for partition in NAMES:
            world.broker.remove((TOPIC, partition), 5)
        async with going(*world.mirror.work()):
            await world.heard(6)
            assert world.mirror.counters.gaps == len(NAMES)
            world.broker.wipe(TOPIC)
            await world.say(1)
            await world.heard(7)


@pytest.mark.parametrize("trouble", ["down", "hangs"])
async def test_a_partition_that_cannot_be_healed_stops_no_other(trouble: str) -> None:
    world = World()
    async with going(*world.sending()):
        await world.say(4)
        world.broker.remove((TOPIC, 0), 1)
        getattr(world.healer, trouble).add(0)
        others = [name for partition, name in NAMES.items() if partition]
        async with going(*world.mirror.work()):
            await world.heard(4, *others)
            started = asyncio.get_running_loop().time()
            await world.say(10)
            await world.heard(14, *others)
            assert asyncio.get_running_loop().time() - started < 1
            assert await world.mirror.heard(NAMES[0]) == [1]
            if trouble == "down":
                await until(lambda: world.mirror.counters.stopped >= 2)
                world.healer.down.clear()
                await world.heard(14)


async def test_partitions_come_and_go_and_everything_is_applied_once() -> None:
    world = World()
    first = world.mirror
    async with going(*world.sending(), *first.work()):
        for round_ in range(4):
            second = world.listener("mirror")
            second.store._locks = first.store._locks
            async with going(*second.work()):
                await until(lambda s=second: s.consumer.assigned)
                await world.say(5)
            assert not second.consumer.assigned
            await world.say(2)
            await world.heard(7 * (round_ + 1))
        assert first.counters.gaps == 0


async def test_two_that_both_believe_to_own_a_partition_apply_everything_once() -> None:
    world = World()
    first, second = world.mirror, world.listener("zombie")
    async with going(*world.sending(), *first.work(), *second.work()):
        for _ in range(5):
            await world.say(8)
            await asyncio.sleep(0.02)
        await world.heard(40)


async def test_offsets_that_go_back_to_the_beginning_are_duplicates() -> None:
    world = World()
    async with going(*world.sending(), *world.mirror.work()):
        await world.say(20)
        await world.heard(20)
        for member in world.broker.group("mirror").members:
            for partition in NAMES:
                member.seek((TOPIC, partition), 0)
        await world.say(1)
        await world.heard(21)
        assert world.mirror.counters.duplicates == 20 * len(NAMES)


async def test_the_same_partitions_given_anew_lose_no_message_of_an_outside_producer() -> None:
    """Messages without a position have no chain that would show the loss."""
    world = World()
    store = MemoryStore()

    async def joined() -> Any:
        return MemoryConsumer(world.broker, "tally", [WORDS.commands], records_max=3)

    service = Listening(WORDS, store, joined, world.healer, table=tally(WORDS))
    async with going(*service.work()):
        for n in range(60):
            message = WORDS.Add(name=NAMES[n % PARTITIONS], amount=1)
            world.broker.append(home(message), outgoing(message, f"m-{n}"))
            if n % 4 == 0:
                await asyncio.sleep(0.001)
                world.broker.rebalance("tally")
        await until(lambda: len(store.tables.messages) == 60)
        await asyncio.sleep(0.02)
    assert len(store.tables.messages) == 60


async def test_a_broken_chain_stops_its_partition_until_the_checkpoint_is_mended() -> None:
    world = World()
    async with going(*world.sending()):
        await world.say(3)
        true = await world.producing.store.feed_of(TOPIC, 1, 0, 10**6, 10)
        world.store.tables.checkpoints[TOPIC, 1] = Mark(1, true[0].position + 1)
        async with going(*world.mirror.work()):
            others = [name for partition, name in NAMES.items() if partition != 1]
            await world.heard(3, *others)
            await until(lambda: world.mirror.counters.stopped >= 2)
            assert await world.mirror.heard(NAMES[1]) == []
            world.store.tables.checkpoints[TOPIC, 1] = Mark(0, 0)
            world.broker.rebalance("mirror")
            await world.heard(3)


async def test_a_producer_that_lost_its_past_is_noticed() -> None:
    world = World()
    world.store.tables.checkpoints[TOPIC, 3] = Mark(0, 1000)
    async with going(*world.sending(), *world.mirror.work()):
        await world.say(2)
        await until(lambda: world.mirror.counters.rewound > 0)


def poison(good: Outgoing) -> list[Outgoing]:
    tag = WORDS.Added.tag().encode()
    return [
        Outgoing(good.key, b"\xff\x00", good.headers),
        Outgoing(good.key, good.value, []),
        Outgoing(good.key, good.value, of_type(b"\xff")),
        Outgoing(good.key, good.value, of_type(tag[:-1] + b"9")),
        Outgoing(good.key, b"[1]", of_type(tag)),
        Outgoing(good.key, b'{"a":' * 3000 + b"1" + b"}" * 3000, good.headers),
        Outgoing(good.key, good.value, [h for h in good.headers if h[0] != "ce_source"]),
        Outgoing(
            good.key, good.value, [*good.headers, ("ce_sequence", b"x"), ("ce_previous", b"0")]
        ),
        Outgoing(good.key, good.value, [*good.headers, ("ce_sequence", b"9" * 40)]),
        Outgoing(good.key, good.value, [*good.headers, ("ce_time", b"tomorrow")]),
    ]


async def test_what_cannot_be_read_is_parked_and_all_else_flows() -> None:
    world = World()
    message = WORDS.Added(name="poisoned", amount=1, number=1)
    partition = home(message)
    bad = poison(outgoing(message, "x"))
    async with going(*world.sending(), *world.mirror.work()):
        for out in bad:
            world.broker.append(partition, out)
            await world.say(1)
        await world.heard(len(bad))
        await until(lambda: world.mirror.counters.parked == len(bad))
    parked = await world.store.parked_of(TOPIC, b"poisoned", 100)
    assert [row.value for _, row in parked] == [out.value for out in bad]
    errors = [row.error for _, row in parked]
    assert errors[0].startswith("BadPayload")
    assert set(errors[1:]) == {"queued behind a parked message of the same key"}


async def test_a_refused_message_is_counted_and_told() -> None:
    """Who wrote to a topic waits for no answer: what was not done, and why, must stand somewhere."""
    world = World()
    store = MemoryStore()

    async def joined() -> Any:
        return MemoryConsumer(world.broker, "tally", [WORDS.commands])

    service = Listening(WORDS, store, joined, world.healer, table=tally(WORDS))
    for n, amount in enumerate((1, -1)):
        message = WORDS.Add(name="a", amount=amount)
        world.broker.append(home(message), outgoing(message, f"m-{n}"))
    with structlog.testing.capture_logs() as logs:
        async with going(*service.work()):
            await until(lambda: service.counters.handled == 2)
    assert service.counters.refused == 1
    (told,) = [line for line in logs if line["event"] == "record_refused"]
    assert told["id"] == "/outside#m-1"
    assert (told["code"], told["detail"]) == ("negative", "amounts are not negative")


async def test_types_of_no_interest_pass_unread() -> None:
    world = World()
    partition = (TOPIC, 0)
    other = of_type(b"oms.tally.unrelated.v7")
    world.broker.append(partition, Outgoing(b"k", b"\xff not even json", other))
    async with going(*world.sending(), *world.mirror.work()):
        await world.say(1)
        await world.heard(1)
        assert world.mirror.counters.parked == 0
        assert world.store.tables.checkpoints[partition].next_offset == 2


async def test_a_lost_broker_costs_a_new_client_and_nothing_else() -> None:
    world = World()
    losses = [BrokerLost("away")] * 3

    async def fault(label: str) -> None:
        await asyncio.sleep(0)
        if label == "poll" and losses and world.mirror.counters.handled > 4:
            raise losses.pop()

    world.broker.fault = fault
    async with going(*world.sending(), *world.mirror.work()):
        await world.say(10)
        await world.heard(10)
        await until(lambda: not losses)
        await world.say(1)
        await world.heard(11)
