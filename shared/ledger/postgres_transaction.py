"""One batch on Postgres, by hand-written SQL (``sql/``) in pipelines: two round trips, however many messages."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psycopg

from shared.ledger.store import (
    Answer,
    EffectRow,
    FeedPart,
    FeedRow,
    Found,
    LogRow,
    Mark,
    ParkedRow,
    Partition,
    Snapshot,
    TimerRef,
    TimerRow,
    Want,
    Writes,
)

SQL = {p.stem: p.read_text() for p in (Path(__file__).parent / "sql").glob("*.sql")}

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


def columns(rows: Sequence[Any], width: int) -> list[list[Any]]:
    """Rows as columns."""
    return [list(c) for c in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def named(row_type: Any, rows: Iterable[Any]) -> dict[str, Any]:
    """Rows of one NamedTuple type as a column for each field: the parameters of an unnest."""
    names = row_type._fields
    return dict(zip(names, columns(list(rows), len(names)), strict=True))


class PostgresTransaction:
    """A batch on one connection; see `shared.ledger.store.Transaction`."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    async def read(self, want: Want) -> Found:
        c, found = self._c, Found()
        cursors: dict[str, Any] = {}
        async with c.pipeline():
            await c.execute("begin")
            for name, sql, args in _reads(want):
                cursors[name] = await c.cursor(binary=True).execute(sql, args)
        for name, cursor in cursors.items():  # leaving the pipeline has brought them all
            _fill(found, name, await cursor.fetchall())
        return found

    async def read_events(self, stream: str, after: int = 0) -> list[tuple[str, bytes]]:
        cursor = await self._c.cursor(binary=True).execute(
            SQL["read_stream"], {"stream": stream, "after": after}
        )
        return [(type, data) for _, type, _, _, data in await cursor.fetchall()]

    async def write(self, writes: Writes) -> FeedPart | None:
        async with self._c.pipeline():
            appended = await self._append(writes) if writes.rows else []
            for sql, args in _writes(writes):
                await self._c.execute(sql, args)
            await self._c.execute("commit")
        answers = [await cursor.fetchall() for cursor in appended]
        if not answers:
            return None
        [(after,)], previous = answers
        return _part(after, writes, dict(previous))

    async def _append(self, writes: Writes) -> list[Any]:
        """Take positions and append: the cursors of the position before, and of the rows' positions and predecessors."""
        count = {"count": len(writes.rows)}
        args = _chained(writes.rows) | count | {"at": writes.at}
        statements = (SQL["take_positions"], count), (SQL["append"], args)
        return [await self._c.cursor(binary=True).execute(sql, args) for sql, args in statements]


def _chained(rows: list[LogRow]) -> dict[str, Any]:
    """The rows by column, each with its rank and that of its predecessor on the same topic and partition."""
    ends: dict[Partition, int] = {}
    prior = []
    for rank, row in enumerate(rows, 1):
        partition = (row.topic, row.partition)
        prior.append(ends.get(partition, 0))
        if row.topic:
            ends[partition] = rank
    # In one order everywhere, so that two writers never wait for each other in a circle.
    topic, number = columns(sorted(ends), 2)
    chain = {"chain_topic": topic, "chain_partition": number}
    chain["chain_rank"] = [ends[partition] for partition in sorted(ends)]
    return named(LogRow, rows) | chain | {"rank": list(range(1, len(rows) + 1)), "prior": prior}


def _part(after: int, writes: Writes, previous: dict[int, int | None]) -> FeedPart:
    """What was appended, as it stands in the feed."""
    rows = [
        FeedRow(
            position,
            before,
            row.topic,
            row.partition,
            row.key,
            row.type,
            row.stream,
            row.version or None,
            writes.at,
            row.meta,
            row.data,
        )
        for position, row in enumerate(writes.rows, after + 1)
        if (before := previous[position]) is not None
    ]
    return FeedPart(after, after + len(writes.rows), rows)


def _reads(want: Want) -> list[tuple[str, str, dict[str, Any]]]:
    """The statements of a read: only those that the batch needs."""
    out: list[tuple[str, str, dict[str, Any]]] = []
    if want.checkpoints:
        topic, partition = columns(sorted(want.checkpoints), 2)
        out.append(
            ("checkpoints", SQL["lock_checkpoints"], {"topic": topic, "partition": partition})
        )
    if want.parked_keys:
        topic, key = columns(sorted(want.parked_keys), 2)
        out.append(("parked_keys", SQL["parked_keys"], {"topic": topic, "key": key}))
    if want.parked_ids:
        sql = "select id from parked where id = any(%(ids)b::int8[]) order by id for update"
        out.append(("parked_ids", sql, {"ids": sorted(want.parked_ids)}))
    if want.effects:
        sql = "select id from effects where id = any(%(ids)b::text[]) order by id for update"
        out.append(("effects", sql, {"ids": sorted(want.effects)}))
    if want.timers:
        subject, name, due_at = columns(sorted(want.timers), 3)
        args = {"subject": subject, "name": name, "due_at": due_at}
        out.append(("timers", SQL["lock_timers"], args))
    if want.answers:
        scope, key = columns(sorted(want.answers), 2)
        sql = """select scope, key, fingerprint, status, body from idempotency
                 where (scope, key) in (select * from unnest(%(scope)b::text[], %(key)b::text[]))"""
        out.append(("answers", sql, {"scope": scope, "key": key}))
    if want.streams:
        out.append(("streams", SQL["lock_streams"], {"ids": sorted(want.streams)}))
    return out


def _fill(found: Found, name: str, rows: list[tuple[Any, ...]]) -> None:
    match name:
        case "streams":
            found.streams = {r[0]: Snapshot(r[1], r[2], r[3]) for r in rows}
        case "checkpoints":
            found.checkpoints = {(r[0], r[1]): Mark(r[2], r[3]) for r in rows}
        case "parked_keys":
            found.parked_keys = {(r[0], r[1]) for r in rows}
        case "parked_ids":
            found.parked_ids = {r[0] for r in rows}
        case "effects":
            found.effects = {r[0] for r in rows}
        case "timers":
            found.timers = {TimerRef(*r) for r in rows}
        case "answers":
            found.answers = {(r[0], r[1]): Answer(r[2], r[3], r[4]) for r in rows}


def _writes(w: Writes) -> list[tuple[str, dict[str, Any]]]:
    """The statements of a write besides the append: only those that have rows."""
    out: list[tuple[str, dict[str, Any]]] = []
    if w.streams:
        args = named(Snapshot, w.streams.values()) | {"id": list(w.streams)}
        out.append((SQL["save_streams"], args))
    if w.checkpoints:
        topic, partition = columns(list(w.checkpoints), 2)
        args = named(Mark, w.checkpoints.values()) | {"topic": topic, "partition": partition}
        out.append((SQL["save_checkpoints"], args))
    if dropped := [k for k, t in w.timers.items() if t is None]:
        subject, name = columns(dropped, 2)
        out.append((SQL["drop_timers"], {"subject": subject, "name": name}))
    if started := [t for t in w.timers.values() if t is not None]:
        out.append((SQL["save_timers"], named(TimerRow, started)))
    if w.effects_answered:
        sql = "delete from effects where id = any(%(ids)b::text[])"
        out.append((sql, {"ids": sorted(w.effects_answered)}))
    if w.effects:
        args = named(EffectRow, w.effects.values())
        out.append((SQL["save_effects"], args | {"at": w.at, "leased_until": w.leased_until}))
    if w.parked_done:
        sql = "delete from parked where id = any(%(ids)b::int8[])"
        out.append((sql, {"ids": sorted(w.parked_done)}))
    if w.parked:
        out.append((SQL["park"], named(ParkedRow, w.parked) | {"at": w.at}))
    if w.answers:
        scope, key = columns(list(w.answers), 2)
        sql = """insert into idempotency (scope, key, fingerprint, status, body, at)
                 select *, %(at)b from unnest(%(scope)b::text[], %(key)b::text[], %(fingerprint)b::bytea[],
                                              %(status)b::int2[], %(body)b::bytea[])"""
        args = named(Answer, w.answers.values()) | {"scope": scope, "key": key}
        out.append((sql, args | {"at": w.at}))
    return out + w.statements
