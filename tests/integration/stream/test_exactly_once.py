"""Relays and consumers on the real broker: killed, doubled, paused. The mirror notes every number once and in order."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import psycopg

from ops.stack import Stack
from shared.events import read_headers
from shared.ledger.crashpoints import AFTER_PUBLISH
from tests.integration.processes import Place, place, rows
from tests.ledgerkit import FeedHealer, Listening, Producing, going, overtaken, until

NAMES = [f"n{n}" for n in range(8)]
ROUNDS = int(os.environ.get("OMS_STREAM_ROUNDS", "60"))


async def ready(at: Place) -> tuple[str, Producing]:
    """A tally service with a database and topics; nothing of it runs yet."""
    dsn = await at.database()
    await at.topics()
    return dsn, Producing(at.words, await at.store(dsn), at.producer)


async def mirror(at: Place, dsn: str, producing: Producing, group: str) -> Listening:
    """A mirror in a group; several over one database are as several processes."""

    async def joined() -> Any:
        return await at.consumer(f"{at.service}-{group}", [at.words.events])

    healer = FeedHealer(producing.store, f"/oms/{at.service}")
    return Listening(at.words, await at.store(dsn), joined, healer)


async def noted(listening: Listening, count: int) -> None:
    """Wait for the last number of each name; then all must be there once and in order."""

    async def done() -> bool:
        return all([len(await listening.heard(name)) >= count for name in NAMES])

    await until(done, 60)
    for name in NAMES:
        assert await listening.heard(name) == list(range(1, count + 1))


async def everything(at: Place, count: int) -> int:
    """Every position is at the broker and none before its predecessor; returns how many records repeat."""
    partitions = await at.read()
    assert [overtaken(records) for records in partitions] == [[]] * len(partitions)
    sequences = [read_headers(r.headers).sequence for records in partitions for r in records]
    assert set(sequences) == set(range(1, count + 1))
    return len(sequences) - count


async def test_relays_that_are_doubled_and_killed_between_batches_never_overtake(
    stack: Stack, tmp_path: Path
) -> None:
    async with place(stack, tmp_path) as at:
        dsn, producing = await ready(at)
        mirror_dsn = await at.database("m")
        listening = await mirror(at, mirror_dsn, producing, "m")
        async with going(producing.writer.run(), *listening.work()):
            steady = await at.process("relay", dsn)
            deaths = count = 0
            dies = await at.process("relay", dsn, OMS_CRASH_AT=f"{AFTER_PUBLISH}:3")
            while deaths < 3 or count < ROUNDS:
                await producing.add(*NAMES)
                count += 1
                await asyncio.sleep(0.01)
                if dies.returncode is not None:
                    deaths += 1
                    dies = await at.process("relay", dsn, OMS_CRASH_AT=f"{AFTER_PUBLISH}:2")
                if count == ROUNDS // 2:
                    steady.kill()
            await at.process("relay", dsn)
            await noted(listening, count)
            assert listening.counters.gaps == 0
            assert steady.returncode == -signal.SIGKILL
        assert await everything(at, count * len(NAMES)) > 0
        assert listening.counters.duplicates > 0


async def test_a_relay_that_restarts_from_an_old_cursor_repeats_and_harms_nobody(
    stack: Stack, tmp_path: Path
) -> None:
    async with place(stack, tmp_path) as at:
        dsn, producing = await ready(at)
        listening = await mirror(at, await at.database("m"), producing, "m")
        async with going(producing.writer.run(), *listening.work()):
            async with going(producing.relay.run()):
                for _ in range(10):
                    await producing.add(*NAMES)
                await noted(listening, 10)
            await asyncio.to_thread(_rewind, dsn)
            again = Producing(at.words, producing.store, at.producer)
            async with going(again.relay.run()):
                await producing.add(*NAMES)
                await noted(listening, 11)
            assert listening.counters.duplicates >= 8
        assert await everything(at, 11 * len(NAMES)) >= 8


def _rewind(dsn: str) -> None:
    with psycopg.connect(dsn) as c:
        c.execute("update relay set published = 3")


async def test_two_consumers_of_one_partition_and_a_zombie_apply_everything_once(
    stack: Stack, tmp_path: Path
) -> None:
    """Two groups over one database both read everything, as a paused process and its successor do."""
    async with place(stack, tmp_path) as at:
        _, producing = await ready(at)
        mirror_dsn = await at.database("m")
        first = await mirror(at, mirror_dsn, producing, "one")
        second = await mirror(at, mirror_dsn, producing, "two")
        async with going(
            producing.writer.run(), producing.relay.run(), *first.work(), *second.work()
        ):
            for _ in range(ROUNDS // 2):
                await producing.add(*NAMES)
                await asyncio.sleep(0.02)
            await noted(first, ROUNDS // 2)
        marks = await asyncio.to_thread(rows, mirror_dsn, "select sum(sequence) from checkpoints")
        heads = await producing.store.heads()
        assert marks == [(sum(head.position for head in heads.values()),)]


async def test_partitions_that_move_between_members_lose_and_repeat_nothing(
    stack: Stack, tmp_path: Path
) -> None:
    async with place(stack, tmp_path) as at:
        _, producing = await ready(at)
        mirror_dsn = await at.database("m")
        first = await mirror(at, mirror_dsn, producing, "m")
        async with going(producing.writer.run(), producing.relay.run(), *first.work()):
            await until(lambda: first.consumer.assigned, 30)
            second = await mirror(at, mirror_dsn, producing, "m")
            count = 0
            async with going(*second.work()):
                while not second.consumer.assigned or count < 20:
                    await producing.add(*NAMES)
                    count += 1
                    await asyncio.sleep(0.05)
            for _ in range(20):
                await producing.add(*NAMES)
            await noted(first, count + 20)
            assert first.counters.gaps == 0
