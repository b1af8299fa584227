"""What a topic has lost is put back from its producer's feed, in its place."""

from __future__ import annotations

import pytest

from benchmarks.insights_load import Shop
from services.insights import chain
from services.insights.chain import Chain
from services.insights.domain.batch import Batch, Read
from services.insights.domain.cells import Cell, Progress, is_older
from services.insights.records import read
from shared.stream.healer import CannotHeal
from shared.stream.port import Record

PLACE = ("oms.order.events", 0)


def records(count: int) -> list[Record]:
    """A shop's orders, each once."""
    found: dict[bytes, Record] = {}
    for place, r in Shop(1).records(count):
        if place == PLACE:
            n = len(found)
            found.setdefault(
                dict(r.headers)["ce_sequence"], Record(*PLACE, n, r.key, r.value, list(r.headers))
            )
    return list(found.values())


class Feed:
    """A producer's feed, in pages of two; it does not answer the first ``away`` times."""

    def __init__(self, held: list[Record], away: int = 0) -> None:
        self.held = held
        self.away = away

    async def fetch(self, place, after: int, upto: int) -> list[Record]:
        self.away -= 1
        if self.away >= 0:
            raise CannotHeal("away")
        found = [r for r in self.held if after < reads([r])[0].sequence <= upto]
        return [r._replace(offset=0) for r in found[:2]]


def reads(some: list[Record]) -> list[Read]:
    return [read(r.offset, r.headers, r.value) for r in some]


def added(some: list[Read]) -> tuple[Progress, dict[str, Cell]]:
    batch = Batch(0, Progress(), lambda _: None)
    for each in some:
        batch.add(each)
    return batch.progress, batch.changed


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "RETRY_SECONDS", 0)


@pytest.mark.parametrize("away", [0, 2])
async def test_totals_are_as_if_nothing_had_been_lost(away: int) -> None:
    sent = records(200)
    kept = [*sent[:40], *sent[45:90], *sent[91:]]
    made = Chain(Feed(sent, away))

    mended = await made.whole(PLACE, 0, reads(kept))

    assert [r.sequence for r in mended] == [r.sequence for r in reads(sent)]
    assert made.healed == 6
    assert added(mended)[1] == added(reads(sent))[1]
    assert added(mended)[0].gaps == 0
    assert max(r.offset for r in mended[40:45]) < sent[45].offset


async def test_what_is_read_again_is_no_gap() -> None:
    sent = reads(records(80))
    made = Chain(Feed([], away=1))
    again = [*sent, *sent[3:]]
    assert await made.whole(PLACE, sent[2].sequence, again) == again


@pytest.mark.parametrize("feed", [Feed([]), Feed(records(100), away=99)], ids=["empty", "away"])
async def test_a_gap_that_cannot_be_healed_is_counted(feed: Feed) -> None:
    sent = reads(records(100))
    kept = [*sent[:10], *sent[12:]]
    made = Chain(feed)

    mended = await made.whole(PLACE, 0, kept)

    assert (mended, made.healed) == (kept, 0)
    assert added(mended)[0].gaps == 1


async def test_a_lost_end_is_put_back_once_the_feed_answers() -> None:
    sent = records(100)
    feed = Feed(sent, away=1)
    made = Chain(feed)
    [*_, last] = reads(sent)
    at = reads(sent)[-6]

    assert await made.end(PLACE, at.sequence, last.sequence, at.offset) == []
    mended = await made.end(PLACE, at.sequence, last.sequence, at.offset)

    assert [r.sequence for r in mended] == [r.sequence for r in reads(sent)[-5:]]
    assert {r.offset for r in mended} == {at.offset}
    assert made.healed == 5
    assert added([*reads(sent[:-5]), *mended])[1] == added(reads(sent))[1]


async def test_a_feed_that_tells_another_past_is_not_believed() -> None:
    sent = records(100)
    kept = [*sent[:10], *sent[14:]]
    made = Chain(Feed([*sent[:11], *sent[12:]]))
    assert await made.whole(PLACE, 0, reads(kept)) == reads(kept)
    assert made.healed == 0


def test_a_late_write_does_not_set_a_value_back() -> None:
    assert is_older(Cell(3, {}), Cell(4, {}))
    assert not is_older(Cell(4, {}), Cell(4, {}))
    assert not is_older(Cell(1, {}), None)
    assert is_older(Progress(offset=3), Progress(offset=4))
    assert not is_older(Progress(offset=5), Progress(offset=4))
