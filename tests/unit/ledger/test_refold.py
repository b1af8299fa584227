"""Refolding: the log says what the snapshots must be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from shared.ledger.memory import MemoryStore
from shared.ledger.memory_tables import Tables
from shared.ledger.refold import Progress, refold
from shared.ledger.work import Unit
from shared.ledger.writer import Writer
from tests.ledgerkit import PARTITIONS, going, language, tally, task

WORDS = language("tally")
TABLE = tally(WORDS, guard=lambda state: state.total)


async def filled() -> MemoryStore:
    store = MemoryStore()
    writer = Writer(TABLE, store, partitions=PARTITIONS)
    async with going(writer.run()):
        for n in range(12):
            await writer.submit(Unit([task(WORDS, f"n{n % 4}", n % 7)]))
    return store


async def differences(store: Any, **options: Any) -> dict[str, str]:
    return {d.stream: d.reason async for d in refold(TABLE, store, **options)}


@pytest.mark.parametrize("page", [1, 2, 3, 5, 100])
async def test_sound_snapshots_equal_the_refold_byte_for_byte(page: int) -> None:
    progress = Progress()
    assert await differences(await filled(), page=page, progress=progress) == {}
    assert (progress.events, progress.streams) == (12, 4)


def change(**what: Any) -> Callable[[Tables], None]:
    def apply(t: Tables) -> None:
        t.streams["tally-n1"] = t.streams["tally-n1"]._replace(**what)

    return apply


def edit(data: bytes) -> Callable[[Tables], None]:
    def apply(t: Tables) -> None:
        id = t.by_stream["tally-n1"][2]
        t.messages[id] = t.messages[id]._replace(row=t.messages[id].row._replace(data=data))

    return apply


AMOUNT = b'{"type":"oms.tally.added.v1","name":"n1","amount":%d,"number":2}'


@pytest.mark.parametrize(
    ("corrupt", "reason"),
    [
        (change(state=b"\x92\x01\x02"), "bytes are not those"),
        (change(version=9), "is of version 9"),
        (change(guard=1000), "the guard is 1000"),
        (lambda t: t.streams.pop("tally-n1"), "no snapshot"),
        (lambda t: t.by_stream["tally-n1"].pop(2), "version 3 follows 1"),
        (lambda t: t.by_stream["tally-n1"].pop(3), "the events end at 2"),
        (lambda t: t.by_stream.pop("tally-n1"), "no event"),
        (edit(AMOUNT % 500), "bytes are not those"),
        (edit(b"{"), "version 2"),
    ],
)
async def test_every_corruption_is_named_and_no_other_stream_accused(
    corrupt: Callable[[Tables], Any], reason: str
) -> None:
    store = await filled()
    corrupt(store.tables)
    found = await differences(store, page=2)
    assert list(found) == ["tally-n1"]
    assert reason in found["tally-n1"]


async def test_streams_that_grow_meanwhile_are_not_accused() -> None:
    store = await filled()
    writer = Writer(TABLE, store, partitions=PARTITIONS)

    async def grow() -> None:
        for _ in range(30):
            await writer.submit(Unit([task(WORDS, f"n{n}", 1) for n in range(5)]))

    async with going(writer.run()):
        growing = asyncio.ensure_future(grow())
        while not growing.done():
            assert await differences(store, page=7) == {}
        await growing
    assert await differences(store) == {}
