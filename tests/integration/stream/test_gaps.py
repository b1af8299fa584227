"""What the broker loses is noticed, reported, and healed from the producer's feed over HTTP; nothing is applied twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from structlog.testing import capture_logs

from ops.stack import Stack
from shared.stream import recovery
from shared.stream.port import Outgoing
from shared.stream.relay import envelope
from tests.integration.processes import Place, place
from tests.ledgerkit import Listening, Producing, going, until

NAMES = [f"n{n}" for n in range(8)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "TAIL_CHECK_SECONDS", 0.5)
    monkeypatch.setattr(recovery, "TAIL_STILL_SECONDS", 0.5)


class Lossy:
    """A producer that loses the records at some positions."""

    def __init__(self, producer: Any, lost: set[int]) -> None:
        self._producer = producer
        self._lost = lost
        self.stop = producer.stop

    async def publish(self, partition: Any, records: list[Outgoing]) -> None:
        kept = [r for r in records if int(dict(r.headers)["ce_sequence"]) not in self._lost]
        if kept:
            await self._producer.publish(partition, kept)


async def listener(at: Place) -> Listening:
    """A mirror that heals over HTTP."""
    dsn = await at.database("m")

    async def joined() -> Any:
        return await at.consumer(f"{at.service}-m", [at.words.events])

    return Listening(at.words, await at.store(dsn), joined, at.healer())


async def noted(listening: Listening, count: int, seconds: float = 60) -> None:
    async def done() -> bool:
        return all([len(await listening.heard(name)) >= count for name in NAMES])

    await until(done, seconds)
    for name in NAMES:
        assert await listening.heard(name) == list(range(1, count + 1))


async def test_a_hole_in_the_chain_and_a_lost_end_are_healed(stack: Stack, tmp_path: Path) -> None:
    async with place(stack, tmp_path) as at:
        dsn = await at.database()
        await at.topics()
        store = await at.store(dsn)
        lost = {3, 17, 18, 19, 40, 79, 80}

        async def connect() -> Any:
            return Lossy(await at.producer(), lost)

        producing = Producing(at.words, store, connect)
        listening = await listener(at)
        with capture_logs() as logs:
            async with going(producing.writer.run()):
                async with going(producing.relay.run()):
                    for _ in range(10):
                        await producing.add(*NAMES)
                    await until(lambda: producing.relay.published == 80, 30)
                    await producing.store.mark_published(80)
                await at.serve(dsn)
                async with going(*listening.work()):
                    await noted(listening, 10)
            counters = listening.counters
        assert counters.healed == len(lost)
        assert counters.gaps >= 2
        assert counters.duplicates == 0
        events = [entry["event"] for entry in logs]
        assert events.count("gap_found") == events.count("gap_healed") == counters.gaps


async def admin(at: Place) -> AIOKafkaAdminClient:
    client = AIOKafkaAdminClient(bootstrap_servers=at.kafka)
    await client.start()
    return client


async def test_records_that_expire_before_they_are_read_are_healed(
    stack: Stack, tmp_path: Path
) -> None:
    async with place(stack, tmp_path) as at:
        dsn = await at.database()
        await at.topics()
        producing = Producing(at.words, await at.store(dsn), at.producer)
        listening = await listener(at)
        async with going(producing.writer.run()):
            await at.serve(dsn)
            for _ in range(10):
                await producing.add(*NAMES)
            await until(lambda: _published(producing, 80), 30)
            client = await admin(at)
            partitions = [TopicPartition(at.words.events, n) for n in range(4)]
            await client.delete_records(
                {tp: RecordsToDelete(before_offset=-1) for tp in partitions[:2]}
                | {tp: RecordsToDelete(before_offset=3) for tp in partitions[2:]}
            )
            await client.close()
            async with going(*listening.work()):
                await noted(listening, 10)
                await producing.add(*NAMES)
                await noted(listening, 11)
        assert listening.counters.gaps >= 4


async def _published(producing: Producing, count: int) -> bool:
    return await producing.store.published() >= count


async def test_a_topic_that_is_deleted_and_made_anew_under_load_loses_nothing(
    stack: Stack, tmp_path: Path
) -> None:
    async with place(stack, tmp_path) as at:
        dsn = await at.database()
        await at.topics()
        producing = Producing(at.words, await at.store(dsn), at.producer)
        listening = await listener(at)
        count = 0
        async with going(producing.writer.run(), *listening.work()):
            await at.serve(dsn)

            async def load(rounds: int) -> None:
                nonlocal count
                for _ in range(rounds):
                    await producing.add(*NAMES)
                    count += 1
                    await asyncio.sleep(0.02)

            await load(20)
            await noted(listening, 20)
            loading = asyncio.ensure_future(load(150))
            client = await admin(at)
            await client.delete_topics([at.words.events])
            while at.words.events in await client.list_topics():
                await asyncio.sleep(0.05)
            await at.topics()
            await client.close()
            await loading
            await load(20)
            await noted(listening, count, 100)
        assert listening.counters.gaps > 0


async def test_a_healed_record_is_the_one_that_was_published(stack: Stack, tmp_path: Path) -> None:
    """The feed over HTTP gives the same key, bytes and headers as the broker."""
    async with place(stack, tmp_path) as at:
        dsn = await at.database()
        await at.topics()
        producing = Producing(at.words, await at.store(dsn), at.producer)
        async with going(producing.writer.run()):
            await at.serve(dsn)
            await producing.add(*NAMES, "São ✓", 'quote"\\')
            await until(lambda: _published(producing, 10), 30)
            healer = at.healer()
            for number, records in enumerate(await at.read()):
                fed = await healer.fetch((at.words.events, number), 0, 10)
                plain = [(r.key, r.value, list(r.headers)) for r in fed]
                assert plain == [(r.key, r.value, list(r.headers)) for r in records]
            heads = await healer.heads({at.words.events})
            assert heads == await producing.store.heads()
            row = (await producing.store.feed(0, 1)).rows[0]
            assert envelope(row, f"/oms/{at.service}").previous == 0
