"""What every store promises."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from shared.ledger.store import (
    Answer,
    Conflict,
    EffectRow,
    LogRow,
    Mark,
    ParkedRow,
    TimerRef,
    TimerRow,
    Unwritable,
    Want,
    Writes,
)
from tests.ledgerkit import snapshot, writes
from tests.spec import NOON

P0, P1 = ("oms.x.events", 0), ("oms.x.events", 1)
LATER = NOON + timedelta(seconds=30)


def event(stream: str, version: int, topic: str = "oms.x.events", partition: int = 0) -> LogRow:
    key, data = stream.partition("-")[2], b'{"n":%d}' % version
    return LogRow(stream, version, "oms.x.done.v1", topic, partition, key, b"{}", data)


def command(partition: int) -> LogRow:
    return LogRow("a-1", 0, "oms.y.do.v1", "oms.y.commands", partition, "1", b"{}", b"{}")


def private(stream: str, version: int) -> LogRow:
    return LogRow(stream, version, "oms.x.hid.v1", "", -1, "k", b"{}", b"{}")


async def commit(store: Any, want: Want | None = None, **what: Any) -> Any:
    async with store.transaction() as tx:
        found = await tx.read(want or Want())
        await tx.write(writes(**what))
    return found


async def append(store: Any, **what: Any) -> Any:
    async with store.transaction() as tx:
        await tx.read(Want())
        return await tx.write(writes(**what))


async def look(store: Any, **what: Any) -> Any:
    async with store.transaction() as tx:
        return await tx.read(Want(**what))


async def test_a_stream_is_read_back_as_it_was_written(store: Any) -> None:
    rows = [event("a-1", 1), event("a-1", 2), private("a-1", 3)]
    before = await commit(
        store, Want(streams={"a-1"}), rows=rows, streams={"a-1": snapshot(3, b"\x00state")}
    )
    assert before.streams == {}

    assert (await look(store, streams={"a-1", "a-2"})).streams["a-1"][:3] == (3, 1, b"\x00state")
    assert await store.snapshot("a-1") == snapshot(3, b"\x00state")
    assert await store.snapshot("a-2") is None
    stored = await store.stream("a-1")
    assert [(version, at, data) for version, _, at, _, data in stored] == [
        (r.version, NOON, r.data) for r in rows
    ]
    assert len(await store.stream("a-1", 2)) == 1
    async with store.transaction() as tx:
        await tx.read(Want(streams={"a-1"}))
        assert await tx.read_events("a-1", 1) == [(r.type, r.data) for r in rows[1:]]


async def test_of_two_creators_one_meets_a_conflict_and_leaves_nothing(store: Any) -> None:
    async with store.transaction() as first, store.transaction() as second:
        assert (await first.read(Want(streams={"a-1"}))).streams == {}
        assert (await second.read(Want(streams={"a-1"}))).streams == {}
        await first.write(writes(rows=[event("a-1", 1)], streams={"a-1": snapshot(1, b"first")}))
        with pytest.raises(Conflict):
            async with store.transaction():
                await second.write(
                    writes(
                        rows=[event("b-1", 1), event("a-1", 1)],
                        streams={"a-1": snapshot(1, b"second"), "b-1": snapshot(1)},
                        checkpoints={P0: Mark(9, 9)},
                    )
                )
    assert await store.snapshot("a-1") == snapshot(1, b"first")
    assert await store.snapshot("b-1") is None
    assert await store.stream("b-1") == []
    assert await store.checkpoints([P0]) == {P0: Mark(0, 0)}
    assert len((await store.feed(0, 10)).rows) == 1


async def test_a_locked_stream_is_waited_for(store: Any) -> None:
    await commit(store, rows=[event("a-1", 1)], streams={"a-1": snapshot(1)})
    async with store.transaction() as first:
        await first.read(Want(streams={"a-1"}))
        waiting = asyncio.ensure_future(look(store, streams={"a-1"}))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
        await first.write(writes(rows=[event("a-1", 2)], streams={"a-1": snapshot(2)}))
    assert (await waiting).streams["a-1"].version == 2


async def test_batches_that_share_streams_take_turns_and_never_wait_in_a_circle(store: Any) -> None:
    names = [f"a-{n}" for n in range(6)]
    await commit(store, rows=[event(n, 1) for n in names], streams={n: snapshot(1) for n in names})

    async def bump(mine: list[str]) -> None:
        async with store.transaction() as tx:
            found = await tx.read(Want(streams=set(mine)))
            next_version = {n: found.streams[n].version + 1 for n in mine}
            await tx.write(
                writes(
                    rows=[event(n, v) for n, v in next_version.items()],
                    streams={n: snapshot(v) for n, v in next_version.items()},
                )
            )

    for _ in range(5):
        await asyncio.gather(
            bump(names[:4]), bump(names[2:][::-1]), bump([names[0], names[5]]), bump([names[3]])
        )
    assert (await store.snapshot("a-3")).version == 16
    assert (await store.snapshot("a-0")).version == 11


async def test_a_checkpoint_is_locked_and_shows_another_owner(store: Any) -> None:
    assert await store.checkpoints([P0, P1]) == {P0: Mark(0, 0), P1: Mark(0, 0)}
    async with store.transaction() as first:
        assert (await first.read(Want(checkpoints={P0}))).checkpoints == {P0: Mark(0, 0)}
        zombie = asyncio.ensure_future(look(store, checkpoints={P0}))
        done, _ = await asyncio.wait([zombie], timeout=0.1)
        assert not done
        await first.write(writes(checkpoints={P0: Mark(5, 50)}))
    assert (await zombie).checkpoints == {P0: Mark(5, 50)}
    assert await store.checkpoints([P0, P1]) == {P0: Mark(5, 50), P1: Mark(0, 0)}


async def test_positions_are_dense_and_published_rows_chained_by_partition(store: Any) -> None:
    one = await append(
        store, rows=[event("a-1", 1), private("a-1", 2), command(3), event("a-1", 3)]
    )
    two = await append(store, rows=[event("b-1", 1, partition=1), event("a-2", 1), command(3)])
    assert (one.after, one.upto, two.after, two.upto) == (0, 4, 4, 7)
    feed = one.rows + two.rows
    assert [(r.position, r.previous, r.topic, r.partition) for r in feed] == [
        (1, 0, "oms.x.events", 0),
        (3, 0, "oms.y.commands", 3),
        (4, 1, "oms.x.events", 0),
        (5, 0, "oms.x.events", 1),
        (6, 4, "oms.x.events", 0),
        (7, 3, "oms.y.commands", 3),
    ]
    assert [(r.stream, r.version) for r in feed[:3]] == [("a-1", 1), ("a-1", None), ("a-1", 3)]
    assert await store.feed_of("oms.x.events", 0, 1, 6, 10) == [feed[2], feed[4]]
    assert await store.feed_of("oms.x.events", 0, 0, 5, 1) == [feed[0]]
    await store.mark_published(6)
    assert await store.heads() == {P0: (6, True), P1: (5, True), ("oms.y.commands", 3): (7, False)}


async def test_the_feed_tells_up_to_where_it_is_complete(store: Any) -> None:
    assert await store.feed(0, 10) == (0, 0, [])
    one = await append(store, rows=[event("a-1", 1), event("a-1", 2), private("a-1", 3)])
    assert one == await store.feed(0, 10) == (0, 3, one.rows)
    assert await store.feed(0, 1) == (0, 1, one.rows[:1])
    assert await store.feed(2, 10) == (2, 3, [])


async def test_a_batch_without_messages_takes_no_position(store: Any) -> None:
    assert await append(store, checkpoints={P0: Mark(1, 1)}) is None
    assert (await store.feed(0, 10)).upto == 0


async def test_writers_side_by_side_take_positions_in_the_order_in_which_they_become_visible(
    store: Any,
) -> None:
    parts: list[Any] = []

    async def write(name: str) -> None:
        for version in range(1, 11):
            rows = [event(name, 2 * version - 1), event(name, 2 * version, partition=1)]
            parts.append(await append(store, rows=rows))

    async def follow() -> list[Any]:
        seen, after = [], 0
        while after < 120:
            part = await store.feed(after, 7)
            seen += part.rows
            after = part.upto
        return seen

    following = asyncio.ensure_future(follow())
    await asyncio.gather(*(write(f"a-{n}") for n in range(6)))
    async with asyncio.timeout(10):
        seen = await following
    assert [r.position for r in seen] == list(range(1, 121))
    assert [r.previous for r in seen] == [0, 0, *range(1, 119)]
    assert sorted(r for part in parts for r in part.rows) == seen


async def test_the_published_cursor_only_advances(store: Any) -> None:
    assert await store.published() == 0
    await store.mark_published(7)
    await store.mark_published(5)
    assert await store.published() == 7


async def test_an_answer_is_kept_and_given_once(store: Any) -> None:
    key, answer = ("web", "k-1"), Answer(b"print", 201, b'{"id":1}')
    before = await commit(store, Want(answers={key}), answers={key: answer})
    assert before.answers == {}
    assert (await look(store, answers={key, ("web", "k-2")})).answers == {key: answer}
    with pytest.raises(Conflict):
        await commit(store, rows=[event("a-1", 1)], answers={key: answer})
    assert await store.stream("a-1") == []


async def test_timers_are_set_moved_claimed_and_forgotten(store: Any) -> None:
    def timer(name: str, seconds: int) -> TimerRow:
        due = NOON + timedelta(seconds=seconds, microseconds=7)
        return TimerRow("a-1", name, due, "oms.x.tick.v1", b'{"n":1}', b"{}")

    early, late, other = timer("pay", 1), timer("pay", 20), timer("ship", 10)
    await commit(store, timers={early[:2]: early, other[:2]: other})
    assert await store.due_timers(LATER, 10) == [early, other]
    assert await store.due_timers(LATER, 1) == [early]
    assert await store.due_timers(NOON, 10) == []
    await commit(store, timers={late[:2]: late})
    assert await store.due_timers(LATER, 10) == [other, late]

    refs = {TimerRef(*t[:3]) for t in (early, late, other)}
    found = await commit(store, Want(timers=refs), timers={("a-1", "ship"): None})
    assert found.timers == {TimerRef(*late[:3]), TimerRef(*other[:3])}, "a moved timer is another"
    assert await store.due_timers(LATER, 10) == [late]
    await commit(store, timers={("a-1", "ship"): None, ("a-1", "pay"): None})
    assert await store.due_timers(LATER, 10) == []


def effect(id: str) -> EffectRow:
    return EffectRow(id, "a-1", "oms.x.call.v1", b"{}", b"{}")


async def owe(store: Any, *ids: str) -> None:
    await commit(store, effects={id: effect(id) for id in ids})


async def test_an_effect_is_leased_to_one_until_the_lease_ends(store: Any) -> None:
    await owe(store, "e-1", "e-2")
    soon, then = NOON + timedelta(seconds=5), NOON + timedelta(seconds=10)
    leased = await store.lease_effects(NOON, soon, 10)
    assert sorted(leased) == [effect("e-1"), effect("e-2")]
    assert await store.lease_effects(NOON, soon, 10) == []
    await store.renew_leases(["e-1"], LATER)
    assert await store.lease_effects(then, LATER, 10) == [effect("e-2")]
    assert len(await store.lease_effects(LATER, LATER, 1)) == 1


async def test_effects_are_postponed_parked_and_answered(store: Any) -> None:
    await owe(store, "e-1", "e-2", "e-3")
    await owe(store, "e-1")
    await store.lease_effects(NOON, LATER, 10)
    await store.postpone_effect("e-1", "no answer", NOON + timedelta(seconds=1), parked=False)
    await store.postpone_effect("e-2", "nonsense", NOON, parked=True)
    await store.postpone_effect("gone", "nothing", NOON, parked=True)
    again = await store.lease_effects(NOON + timedelta(seconds=2), LATER, 10)
    assert again == [effect("e-1")._replace(attempts=1)]
    found = await commit(store, Want(effects={"e-1", "e-3", "gone"}), effects_answered={"e-3"})
    assert found.effects == {"e-1", "e-3"}
    assert (await look(store, effects={"e-1", "e-3"})).effects == {"e-1"}
    shown = await store.effects_open(10)
    assert [(s["id"], s["parked"], s["attempts"], s["error"]) for s in shown] == [
        ("e-2", True, 1, "nonsense"),
        ("e-1", False, 1, "no answer"),
    ]


async def test_an_effect_that_is_being_answered_is_not_leased(store: Any) -> None:
    await owe(store, "e-1")
    async with store.transaction() as tx:
        await tx.read(Want(effects={"e-1"}))
        assert await store.lease_effects(LATER, LATER, 10) == []
        postponing = asyncio.ensure_future(store.postpone_effect("e-1", "", NOON, parked=False))
        await tx.write(writes(effects_answered={"e-1"}))
    await postponing
    assert await store.effects_open(10) == []


def parked(key: bytes, offset: int, error: str = "bad", sequence: int = -1) -> ParkedRow:
    return ParkedRow("oms.x.events", key, 2, offset, sequence, b"\x90", b"\xff\x00", error)


async def test_parked_records_keep_their_order_within_a_key(store: Any) -> None:
    strange = "São\\".encode() + b"\xff\x00"
    await commit(store, parked=[parked(b"k", 4, "first"), parked(strange, 5), parked(b"k", 6)])
    await commit(store, parked=[parked(b"k", 3, sequence=12)])
    waiting = await store.parked_of("oms.x.events", b"k", 10)
    assert [row for _, row in waiting] == [
        parked(b"k", 4, "first"),
        parked(b"k", 6),
        parked(b"k", 3, sequence=12),
    ]
    assert await store.parked_of("oms.x.events", b"k", 1) == waiting[:1]
    assert await store.parked_keys(["oms.x.events", "oms.y.events"]) == {
        ("oms.x.events", b"k"),
        ("oms.x.events", strange),
    }
    asked = {("oms.x.events", b"k"), ("oms.y.events", b"k")}
    assert (await look(store, parked_keys=asked)).parked_keys == {("oms.x.events", b"k")}

    summary = await store.parked_summary(10)
    assert [(s["key"], s["records"], s["error"], s["since"]) for s in summary] == [
        ("k", 3, "first", NOON),
        ("S\\303\\243o\\\\\\377\\000", 1, "bad", NOON),
    ]
    ids = {id for id, _ in waiting}
    found = await commit(store, Want(parked_ids={*ids, 10**6}), parked_done={waiting[0][0]})
    assert found.parked_ids == ids
    assert await store.parked_of("oms.x.events", b"k", 10) == waiting[1:]


async def test_a_discarded_record_is_kept_with_who_and_why_and_its_key_flows(store: Any) -> None:
    await commit(store, parked=[parked(b"k", 4, "first"), parked(b"k", 5), parked(b"l", 6)])
    [(first, _), second] = await store.parked_of("oms.x.events", b"k", 10)
    assert await store.discard(first, "ops:ann", "the sender sent it anew")
    assert not await store.discard(first, "ops:bob", "again")
    assert await store.parked_of("oms.x.events", b"k", 10) == [second]
    assert await store.discard(second[0], "ops:ann", "as well")
    assert await store.parked_keys(["oms.x.events"]) == {("oms.x.events", b"l")}
    told = await store.discarded(10)
    assert [(t["id"], t["key"], t["error"], t["actor"], t["reason"]) for t in told] == [
        (second[0], "k", "bad", "ops:ann", "as well"),
        (first, "k", "first", "ops:ann", "the sender sent it anew"),
    ]
    assert all(t["parked_at"] == NOON for t in told)
    assert await store.discarded(1) == told[:1]


EVERYTHING: dict[str, Any] = {
    "rows": [event("a-1", 1), event("a-1", 2)],
    "streams": {"a-1": snapshot(2)},
    "checkpoints": {P0: Mark(3, 3)},
    "timers": {("a-1", "t"): TimerRow("a-1", "t", NOON, "oms.x.tick.v1", b"{}", b"{}")},
    "effects": {"e-1": effect("e-1")},
    "parked": [parked(b"k", 1)],
    "answers": {("web", "k"): Answer(b"", 200, b"")},
}


async def assert_empty(store: Any, start: int = 0) -> None:
    assert await store.snapshot("a-1") is None
    assert await store.stream("a-1") == []
    assert await store.feed(start, 10) == (start, start, [])
    assert (await store.checkpoints([P0]))[P0] == Mark(0, 0)
    assert await store.due_timers(LATER, 10) == []
    assert await store.effects_open(10) == []
    assert await store.parked_summary(10) == []
    assert (await look(store, answers={("web", "k")})).answers == {}


async def test_leaving_without_writing_leaves_nothing_and_no_lock(store: Any) -> None:
    await commit(store, rows=[event("b-1", 1)], streams={"b-1": snapshot(1)})
    async with store.transaction() as tx:
        await tx.read(Want(streams={"b-1"}, checkpoints={P0}))
    reading = asyncio.Event()

    async def cancelled() -> None:
        async with store.transaction() as tx:
            await tx.read(Want(streams={"b-1"}))
            reading.set()
            await asyncio.Event().wait()

    job = asyncio.ensure_future(cancelled())
    await reading.wait()
    job.cancel()
    await asyncio.wait([job])
    async with asyncio.timeout(5):
        assert (await look(store, streams={"b-1"})).streams["b-1"].version == 1
    await assert_empty(store, start=1)


@pytest.mark.parametrize(
    "bad",
    [
        {"rows": [*EVERYTHING["rows"], event("b-\x00", 1)]},
        {"rows": [*EVERYTHING["rows"], event("b-\ud800", 1)]},
        {"streams": {"a-1": snapshot(2), "b-1": snapshot(1, guard=-1)}},
        {"checkpoints": {P0: Mark(1, 2**63)}},
        {"parked": [parked(b"k", 1, error="a \x00 in it")]},
        {"answers": {("web", "k\x00"): Answer(b"", 200, b"")}},
    ],
    ids=["nul", "surrogate", "guard", "range", "error", "key"],
)
async def test_what_the_database_cannot_hold_is_refused_as_a_whole(store: Any, bad: Any) -> None:
    with pytest.raises(Unwritable):
        await commit(store, **{**EVERYTHING, **bad})
    await assert_empty(store)
    await commit(store, **EVERYTHING)
    assert (await store.checkpoints([P0]))[P0] == Mark(3, 3)


@pytest.mark.parametrize("name", ["a-\x00", "a-\ud800"])
async def test_a_stream_that_cannot_exist_is_refused_when_it_is_asked_for(
    store: Any, name: str
) -> None:
    with pytest.raises(Unwritable):
        await look(store, streams={name})
    assert isinstance(writes(), Writes)
    await assert_empty(store)


async def test_the_whole_log_is_listed_by_stream_in_pages(store: Any) -> None:
    await commit(store, rows=[event("b-1", 1), command(0), event("a-1", 1), event("b-1", 2)])
    await commit(store, rows=[event("a-1", 2)], streams={"a-1": snapshot(2), "z-1": snapshot(9)})
    at, seen = ("", 0), []
    while rows := await store.log_page(*at, 2):
        seen += [(stream, version, data) for stream, version, _, data in rows]
        at = rows[-1][:2]
    assert seen == [(s, v, b'{"n":%d}' % v) for s in ("a-1", "b-1") for v in (1, 2)]
    assert await store.snapshots_of(["a-1", "b-1"]) == {"a-1": snapshot(2)}
    assert await store.snapshots_without_events(5) == ["z-1"]
