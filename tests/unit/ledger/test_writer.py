"""Group commit: who shares a transaction, and who alone pays for what."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from shared.ledger.memory import MemoryStore
from shared.ledger.memory_tables import Tables
from shared.ledger.parking import redrive
from shared.ledger.store import Answer, Fenced, Mark, Record, Unavailable, Unwritable
from shared.ledger.table import Handler
from shared.ledger.work import IdempotencyMismatch, Outcome, Overloaded, RecordTask, Unit
from shared.ledger.writer import WAITING_TASKS_MAX, Writer
from tests.ledgerkit import PARTITIONS, Tally, going, language, outgoing, tally, task

WORDS = language("tally")
TOPIC = WORDS.commands
P = (TOPIC, 0)


class Faulty:
    """A fault hook: counts the labels that were passed and raises where a test has planned it."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.plan: dict[str, list[Exception]] = {}

    async def __call__(self, label: str) -> None:
        self.passed.append(label)
        await asyncio.sleep(0)
        if self.plan.get(label):
            raise self.plan[label].pop(0)


class Home:
    """A store, its faults and a writer over it."""

    def __init__(self, tables: Tables | None = None, **options: Any) -> None:
        self.fault = Faulty()
        self.store = MemoryStore(tables, fault=self.fault)
        self.table = tally(WORDS, **options)
        self.writer = Writer(self.table, self.store, partitions=PARTITIONS)

    def total(self, name: str) -> int:
        snapshot = self.store.tables.streams.get(f"tally-{name}")
        return 0 if snapshot is None else msgspec.msgpack.decode(snapshot.state)["total"]

    def versions(self, name: str) -> list[int]:
        return sorted(self.store.tables.by_stream.get(f"tally-{name}", {}))


def record(offset: int, name: str, amount: int = 1, **more: Any) -> RecordTask:
    message = WORDS.Add(name=name, amount=amount)
    out = outgoing(message, f"r-{offset}")
    return RecordTask(
        message=message,
        id=f"r-{offset}",
        partition=P,
        mark=Mark(offset + 1, 0),
        record=Record(*P, offset, out.key, out.value, out.headers),
        **more,
    )


async def test_all_that_waits_shares_one_transaction() -> None:
    home = Home()
    async with going(home.writer.run()):
        outcomes = await asyncio.gather(
            *(home.writer.handle(task(WORDS, f"n{n % 5}")) for n in range(50))
        )
    assert home.fault.passed.count("before_commit") == 1
    assert [len(o.events) for o in outcomes] == [1] * 50
    assert [home.versions(f"n{n}") for n in range(5)] == [list(range(1, 11))] * 5
    assert home.writer.idle


async def test_a_refusal_and_a_failure_are_answered_to_whom_they_concern() -> None:
    home = Home()
    unit = Unit([task(WORDS, "a", 5), task(WORDS, "a", -1), task(WORDS, "b", 13), task(WORDS, "a")])
    async with going(home.writer.run()):
        good, refused, failed, after = await home.writer.submit(unit)
    assert isinstance(good, Outcome)
    assert isinstance(refused, Outcome)
    assert refused.refused is not None
    assert refused.refused.code == "negative"
    assert isinstance(failed, ValueError)
    assert isinstance(after, Outcome)
    assert after.states["tally-a"] == Tally(6, 2)
    assert (home.total("a"), home.total("b")) == (6, 0)


async def test_a_failing_record_parks_its_key_and_redrive_applies_it_once_in_order() -> None:
    home = Home()
    tasks = [record(0, "a", 1), record(1, "a", 13), record(2, "a", 2), record(3, "b", 4)]
    async with going(home.writer.run()):
        await home.store.checkpoints([P])
        first = await home.writer.submit(Unit(tasks, {P: Mark(0, 0)}))
        later = await home.writer.submit(Unit([record(4, "a", 8)], {P: Mark(4, 0)}))
        assert [getattr(o, "parked", None) for o in [*first, *later]] == [
            "",
            "ValueError: thirteen",
            "queued behind a parked message of the same key",
            "",
            "queued behind a parked message of the same key",
        ]
        assert (home.total("a"), home.total("b")) == (1, 4)
        assert (await home.store.checkpoints([P]))[P] == Mark(5, 0)
        failing = await redrive(home.table, home.store, home.writer, TOPIC, b"a")
        assert failing == {"applied": 0, "error": "ValueError: thirteen"}
        assert [r.offset for _, r in await home.store.parked_of(TOPIC, b"a", 9)] == [1, 2, 4]

    mended = Home(home.store.tables, unlucky=None)
    async with going(mended.writer.run()):
        await mended.writer.suspect([TOPIC])
        [queued] = await mended.writer.submit(Unit([record(5, "a", 16)], {P: Mark(5, 0)}))
        assert queued.parked  # type: ignore[union-attr]
        done = await asyncio.gather(
            *(redrive(mended.table, mended.store, mended.writer, TOPIC, b"a") for _ in range(2))
        )
        assert all(d["error"] is None for d in done)
        [flows] = await mended.writer.submit(Unit([record(6, "a", 32)], {P: Mark(6, 0)}))
        assert not flows.parked  # type: ignore[union-attr]
    amounts = [msgspec.json.decode(row[-1])["amount"] for row in await home.store.stream("tally-a")]
    assert amounts == [1, 13, 2, 8, 16, 32]


async def test_what_the_database_refuses_costs_only_the_culprit() -> None:
    home, name = Home(), "a\x00"
    good, bad = [record(n, "b") for n in (0, 1)], record(2, name)
    async with going(home.writer.run()):
        await home.store.checkpoints([P])
        consumed, asked, also = await asyncio.gather(
            home.writer.submit(Unit([*good, bad, record(3, "b")], {P: Mark(0, 0)})),
            home.writer.submit(Unit([task(WORDS, name)])),
            home.writer.submit(Unit([task(WORDS, "c")])),
        )
    assert [bool(o.parked) for o in consumed] == [False, False, True, False]  # type: ignore[union-attr]
    assert isinstance(asked[0], Unwritable)
    assert isinstance(also[0], Outcome)
    assert (home.total("b"), home.total("c")) == (3, 1)
    assert home.store.tables.checkpoints[P] == Mark(4, 0)
    assert len(home.store.tables.parked) == 1


async def test_a_state_that_cannot_be_kept_costs_only_the_culprit() -> None:
    home = Home()
    most = 2**63 - 1
    tasks = [record(0, "a", most), record(1, "a", most), record(2, "a", 2), record(3, "b", 4)]
    async with going(home.writer.run()):
        await home.store.checkpoints([P])
        outcomes = await home.writer.submit(Unit(tasks, {P: Mark(0, 0)}))
        alone = await home.writer.submit(Unit([task(WORDS, "a", most)]))
    assert [getattr(o, "parked", None) for o in outcomes[:2]] == ["", ""]
    assert outcomes[2].parked.startswith("OverflowError"), "the sum has more than 64 bits"  # type: ignore[union-attr]
    assert isinstance(alone[0], Unwritable)
    assert (home.total("a"), home.total("b")) == (2 * most, 4)


async def test_the_guard_stops_what_a_decider_lets_through() -> None:
    home = Home(guard=lambda state: 10 - state.total)
    async with going(home.writer.run()):
        results = await asyncio.gather(
            *(home.writer.submit(Unit([task(WORDS, "a", n)])) for n in (4, 100, 6, 1))
        )
    assert [type(r[0]) for r in results] == [Outcome, Unwritable, Outcome, Unwritable]
    assert home.total("a") == 10


async def test_a_fence_fails_one_consumer_and_no_request() -> None:
    home = Home()
    async with going(home.writer.run()):
        await home.store.checkpoints([P])
        zombie, request = await asyncio.gather(
            home.writer.submit(Unit([record(0, "z")], {P: Mark(7, 7)})),
            home.writer.submit(Unit([task(WORDS, "a")])),
            return_exceptions=True,
        )
    assert isinstance(zombie, Fenced)
    assert isinstance(request, list)
    assert (home.total("z"), home.total("a")) == (0, 1)


async def test_two_writers_that_create_the_same_stream_both_succeed() -> None:
    one, two = Home(), Home()
    two.store.tables = one.store.tables
    two.store._locks = one.store._locks
    async with going(one.writer.run(), two.writer.run()):
        for n in range(20):
            await asyncio.gather(
                one.writer.handle(task(WORDS, f"n{n}")), two.writer.handle(task(WORDS, f"n{n}"))
            )
    assert [one.versions(f"n{n}") for n in range(20)] == [[1, 2]] * 20


def asked(key: str, body: bytes, amount: int = 1) -> Any:
    def respond(outcome: Outcome) -> Answer:
        return Answer(body, 201, b"total %d" % outcome.states["tally-a"].total)

    return task(WORDS, "a", amount, idempotency=("web", key, body), respond=respond)


async def test_equal_requests_get_one_answer_and_another_body_is_refused() -> None:
    home = Home()
    async with going(home.writer.run()):
        outcomes = await asyncio.gather(*(home.writer.handle(asked("k", b"x")) for _ in range(50)))
        again = await home.writer.handle(asked("k", b"x"))
        with pytest.raises(IdempotencyMismatch):
            await home.writer.handle(asked("k", b"y"))
    assert {o.answer for o in [*outcomes, again]} == {Answer(b"x", 201, b"total 1")}
    assert home.versions("a") == [1]


@pytest.mark.parametrize(("label", "kept"), [("before_commit", 0), ("after_commit", 1)])
async def test_a_lost_commit_is_wholly_applied_or_absent_and_a_retry_answers_the_same(
    label: str, kept: int
) -> None:
    home = Home()
    home.fault.plan[label] = [Unavailable("the connection broke")]
    async with going(home.writer.run()):
        with pytest.raises(Unavailable):
            await home.writer.handle(asked("k", b"x"))
        assert len(home.versions("a")) == kept
        retried = await home.writer.handle(asked("k", b"x"))
    assert retried.answer == Answer(b"x", 201, b"total 1")
    assert home.versions("a") == [1]


async def test_too_much_waiting_is_turned_away_and_stopping_answers_all() -> None:
    home = Home()
    waiting = [asyncio.ensure_future(home.writer.handle(task(WORDS, "a"))) for _ in range(3)]
    await asyncio.sleep(0)
    full = [task(WORDS, "a")] * WAITING_TASKS_MAX
    waiting.append(asyncio.ensure_future(home.writer.submit(Unit(full))))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await home.writer.handle(task(WORDS, "a"))
    running = asyncio.ensure_future(home.writer.run())
    await asyncio.sleep(0)
    running.cancel()
    results = await asyncio.gather(*waiting, running, return_exceptions=True)
    assert [type(r) for r in results[:-1]] == [Unavailable] * 4


async def test_a_snapshot_of_another_shape_is_folded_anew() -> None:
    home = Home()
    async with going(home.writer.run()):
        await home.writer.submit(Unit([task(WORDS, "a", n) for n in (1, 2, 3)]))
    tables = home.store.tables
    tables.streams["tally-a"] = tables.streams["tally-a"]._replace(state=b"of another shape")
    newer = Home(tables, schema=2)
    async with going(newer.writer.run()):
        outcome = await newer.writer.handle(task(WORDS, "a", 4))
    assert outcome.states["tally-a"] == Tally(10, 4)
    assert tables.streams["tally-a"][:2] == (4, 2)


async def test_a_handler_that_cannot_even_name_its_streams_fails_alone() -> None:
    def streams(message: Any) -> list[str]:
        if message.name == "bad":
            raise KeyError("no stream for this")
        return [message.subject]

    home = Home()
    decide = home.table.handlers[WORDS.Add].decide
    home.table.handlers[WORDS.Add] = Handler(streams, decide)
    async with going(home.writer.run()):
        bad, good = await home.writer.submit(Unit([task(WORDS, "bad"), task(WORDS, "a")]))
    assert isinstance(bad, KeyError)
    assert isinstance(good, Outcome)


async def test_a_message_too_large_for_the_broker_is_refused_when_it_is_decided() -> None:
    home = Home()
    async with going(home.writer.run()):
        large, good = await home.writer.submit(
            Unit([task(WORDS, "x" * 1_000_000), task(WORDS, "a")])
        )
    assert isinstance(large, ValueError)
    assert isinstance(good, Outcome)
    assert list(home.store.tables.by_stream) == ["tally-a"]


async def test_an_error_with_characters_that_no_database_takes_can_be_parked() -> None:
    home = Home()
    broken = record(0, "a", error="BadPayload: \x00 and \ud800")
    async with going(home.writer.run()):
        await home.store.checkpoints([P])
        await home.writer.submit(Unit([broken], {P: Mark(0, 0)}))
    [(row, _)] = home.store.tables.parked.values()
    assert row.error == "BadPayload: \\x00 and \\ud800"


@pytest.mark.parametrize("schema", [1, 2])
async def test_a_stream_that_cannot_be_read_fails_only_those_who_need_it(schema: int) -> None:
    home = Home()
    async with going(home.writer.run()):
        await home.writer.submit(Unit([task(WORDS, "a"), task(WORDS, "b")]))
    tables = home.store.tables
    tables.streams["tally-a"] = tables.streams["tally-a"]._replace(state=b"\xff")
    id = tables.by_stream["tally-a"][1]
    logged = tables.messages[id]
    tables.messages[id] = logged._replace(row=logged.row._replace(data=b"{"))
    again = Home(tables, schema=schema)
    async with going(again.writer.run()):
        await again.store.checkpoints([P])
        [asked, good] = await again.writer.submit(Unit([task(WORDS, "a"), task(WORDS, "b")]))
        [heard] = await again.writer.submit(Unit([record(0, "a")], {P: Mark(0, 0)}))
    assert isinstance(asked, Exception)
    assert isinstance(good, Outcome)
    assert isinstance(heard, Outcome)
    assert heard.parked
