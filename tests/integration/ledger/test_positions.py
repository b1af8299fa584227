"""Positions under fire: 16 writers, one of them a process that is killed three times, and two relays at once.

``OMS_SEQUENCER_EVENTS`` sets how many events the surviving writers append (the figure to reach is 100,000).
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

from ops.stack import Stack
from shared.events import read_headers
from shared.ledger.work import Unit
from tests.integration.processes import Place, place, rows
from tests.ledgerkit import Producing, going, overtaken, task, until

EVENTS = int(os.environ.get("OMS_SEQUENCER_EVENTS", "10000"))
WRITERS = 15
UNIT = 25
STREAMS = 40
KILLS = 3


async def test_positions_are_dense_and_streams_in_order_whoever_is_killed(
    stack: Stack, tmp_path: Path
) -> None:
    async with place(stack, tmp_path) as at:
        dsn = await at.database()
        await at.topics()
        writers = [Producing(at.words, await at.store(dsn), at.producer) for _ in range(WRITERS)]
        doomed = [await at.process(role, dsn) for role in ("writer", "relay")]

        async def write(writer: Producing, seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(EVENTS // WRITERS // UNIT):
                names = [f"n{chance.randrange(STREAMS)}" for _ in range(UNIT)]
                await writer.writer.submit(Unit([task(at.words, name) for name in names]))

        async def kill() -> None:
            for n in range(KILLS):
                await _some_more(dsn, EVENTS // 5)
                for i, role in enumerate(("writer", "relay")):
                    doomed[i].kill()
                    await doomed[i].wait()
                    if n < KILLS - 1:
                        doomed[i] = await at.process(role, dsn)

        relays = (writers[0].relay.run(), writers[1].relay.run())
        async with going(*(w.writer.run() for w in writers), *relays):
            killing = asyncio.ensure_future(kill())
            await asyncio.gather(*(write(writer, n) for n, writer in enumerate(writers)))
            await killing
            head = rows(dsn, "select position from head")[0][0]
            await until(lambda: all(w.relay.published == head for w in writers[:2]), 60)
        _check_log(dsn, head)
        await _check_topic(at, head)


def _check_log(dsn: str, head: int) -> None:
    """Dense, every stream in order, every row chained to its predecessor on the partition; nothing half-written."""
    assert head >= EVENTS // WRITERS // UNIT * UNIT * WRITERS
    counted = "select count(*), min(position), max(position) from messages"
    assert rows(dsn, counted) == [(head, 1, head)]
    reordered = """select count(*) from (
        select version, lag(version) over (partition by stream order by position) as before
        from messages) x where version <> coalesce(before, 0) + 1"""
    assert rows(dsn, reordered) == [(0,)]
    broken = """select count(*) from (
        select previous, lag(position) over (partition by topic, partition order by position) as before
        from messages) x where previous <> coalesce(before, 0)"""
    assert rows(dsn, broken) == [(0,)]
    behind = "select count(*) from streams s where version <> (select max(version) from messages where stream = s.id)"
    assert rows(dsn, behind) == [(0,)]


async def _check_topic(at: Place, head: int) -> None:
    """Every position is at the broker, and none landed before its predecessor."""
    found: set[int | None] = set()
    for records in await at.read():
        assert overtaken(records) == []
        found |= {read_headers(r.headers).sequence for r in records}
    assert found == set(range(1, head + 1))


async def _some_more(dsn: str, count: int) -> None:
    """Wait until that many more positions were given, or no more come."""
    start = rows(dsn, "select position from head")[0][0]
    await until(lambda: rows(dsn, "select position from head")[0][0] >= start + count, 60)
