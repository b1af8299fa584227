"""The sequencer under fire: 16 writers, two sequencers at once, three of them killed.

``OMS_SEQUENCER_EVENTS`` sets how many events (the figure to reach is 100,000).
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

from ops.stack import Stack
from shared.ledger.work import Unit
from shared.ledger.writer import Writer
from tests.integration.processes import place, rows
from tests.ledgerkit import PARTITIONS, going, tally, task, until

EVENTS = int(os.environ.get("OMS_SEQUENCER_EVENTS", "10000"))
WRITERS = 16
UNIT = 25
STREAMS = 40


async def test_positions_are_dense_and_streams_in_order_whoever_is_killed(
    stack: Stack, tmp_path: Path
) -> None:
    async with place(stack, tmp_path) as at:
        dsn = await at.database()
        table = tally(at.words)
        writers = [
            Writer(table, await at.store(dsn), partitions=PARTITIONS) for _ in range(WRITERS)
        ]
        sequencers = [await at.process("sequencer", dsn) for _ in range(2)]

        async def write(writer: Writer, seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(EVENTS // WRITERS // UNIT):
                names = [f"n{chance.randrange(STREAMS)}" for _ in range(UNIT)]
                await writer.submit(Unit([task(at.words, name) for name in names]))

        async def kill() -> None:
            for n in range(3):
                await asyncio.to_thread(_some_more, dsn, EVENTS // 5)
                sequencers[n % 2].kill()
                await sequencers[n % 2].wait()
                sequencers[n % 2] = await at.process("sequencer", dsn)

        async with going(*(writer.run() for writer in writers)):
            killing = asyncio.ensure_future(kill())
            await asyncio.gather(*(write(writer, n) for n, writer in enumerate(writers)))
            await killing
            written = EVENTS // WRITERS // UNIT * UNIT * WRITERS
            await until(lambda: rows(dsn, "select count(*) from outbox")[0][0] == 0, 60)

        feed = "feed f join messages m on m.id = f.message_id"
        [(count, first, last, messages)] = rows(
            dsn,
            f"select count(*), min(position), max(position), count(distinct message_id) from {feed}",
        )
        assert (count, first, last, messages) == (written, 1, written, written)
        reordered = f"""select count(*) from (
            select version, lag(version) over (partition by stream order by position) as before
            from {feed}) x where version <> coalesce(before, 0) + 1"""
        assert rows(dsn, reordered) == [(0,)]
        broken = f"""select count(*) from (
            select previous, lag(position) over (partition by topic, partition order by position)
                as before from {feed}) x where previous <> coalesce(before, 0)"""
        assert rows(dsn, broken) == [(0,)]


def _some_more(dsn: str, count: int) -> None:
    """Wait until that many more positions were given, or all are written."""
    start = rows(dsn, "select position from head")[0][0]
    end = time.monotonic() + 20
    while time.monotonic() < end and rows(dsn, "select position from head")[0][0] < start + count:
        time.sleep(0.02)
