"""The store on Postgres, by hand-written SQL (``sql/``) in pipelines: two round trips a batch."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import structlog
from psycopg import errors
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from shared.ledger.store import (
    Answer,
    Conflict,
    EffectRow,
    FeedPart,
    FeedRow,
    Found,
    Head,
    LogRow,
    Mark,
    ParkedRow,
    Partition,
    Snapshot,
    TimerRef,
    TimerRow,
    Unavailable,
    Unwritable,
    Want,
    Writes,
)

log = structlog.get_logger()

SQL = {p.stem: p.read_text() for p in (Path(__file__).parent / "sql").glob("*.sql")}

Connection = psycopg.AsyncConnection[tuple[Any, ...]]

#: Errors that tell of what is in the batch. Text with a lone surrogate cannot even be sent; what an index or a row cannot
#: hold is an OperationalError, but will never fit.
_REFUSED = (
    errors.ProgramLimitExceeded,
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.ProgrammingError,
    UnicodeEncodeError,
)

#: Errors that tell of the database's state and not of the batch: run it again later.
_TRANSIENT = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.InternalError_,
)


def _columns(rows: Sequence[Any], width: int) -> list[list[Any]]:
    return [list(c) for c in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _named(row_type: Any, rows: Iterable[Any]) -> dict[str, Any]:
    """Rows of one NamedTuple type as a column for each field: the parameters of an unnest."""
    names = row_type._fields
    return dict(zip(names, _columns(list(rows), len(names)), strict=True))


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
            for name, cursor in cursors.items():
                _fill(found, name, await cursor.fetchall())
        return found

    async def read_events(self, stream: str, after: int = 0) -> list[tuple[str, bytes]]:
        cursor = await self._c.cursor(binary=True).execute(
            SQL["read_stream"], {"stream": stream, "after": after}
        )
        return [(type, data) for _, type, _, _, data in await cursor.fetchall()]

    async def write(self, writes: Writes) -> FeedPart | None:
        c, rows = self._c, writes.rows
        after, previous = 0, dict[int, int | None]()
        async with c.pipeline():
            if rows:
                count = {"count": len(rows)}
                taken = await c.cursor(binary=True).execute(SQL["take_positions"], count)
                args = _chained(rows) | count | {"at": writes.at}
                appended = await c.cursor(binary=True).execute(SQL["append"], args)
            for sql, args in _writes(writes):
                await c.execute(sql, args)
            await c.execute("commit")
            if rows:
                [(after,)] = await taken.fetchall()
                previous = dict(await appended.fetchall())
        return _part(after, writes, previous) if rows else None


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
    topic, number = _columns(sorted(ends), 2)
    chain = {"chain_topic": topic, "chain_partition": number}
    chain["chain_rank"] = [ends[partition] for partition in sorted(ends)]
    return _named(LogRow, rows) | chain | {"rank": list(range(1, len(rows) + 1)), "prior": prior}


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
        topic, partition = _columns(sorted(want.checkpoints), 2)
        out.append(
            ("checkpoints", SQL["lock_checkpoints"], {"topic": topic, "partition": partition})
        )
    if want.parked_keys:
        topic, key = _columns(sorted(want.parked_keys), 2)
        out.append(("parked_keys", SQL["parked_keys"], {"topic": topic, "key": key}))
    if want.parked_ids:
        sql = "select id from parked where id = any(%(ids)b::int8[]) order by id for update"
        out.append(("parked_ids", sql, {"ids": sorted(want.parked_ids)}))
    if want.effects:
        sql = "select id from effects where id = any(%(ids)b::text[]) order by id for update"
        out.append(("effects", sql, {"ids": sorted(want.effects)}))
    if want.timers:
        subject, name, due_at = _columns(sorted(want.timers), 3)
        args = {"subject": subject, "name": name, "due_at": due_at}
        out.append(("timers", SQL["lock_timers"], args))
    if want.answers:
        scope, key = _columns(sorted(want.answers), 2)
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
        args = _named(Snapshot, w.streams.values()) | {"id": list(w.streams)}
        out.append((SQL["save_streams"], args))
    if w.checkpoints:
        topic, partition = _columns(list(w.checkpoints), 2)
        args = _named(Mark, w.checkpoints.values()) | {"topic": topic, "partition": partition}
        out.append((SQL["save_checkpoints"], args))
    if dropped := [k for k, t in w.timers.items() if t is None]:
        subject, name = _columns(dropped, 2)
        out.append((SQL["drop_timers"], {"subject": subject, "name": name}))
    if started := [t for t in w.timers.values() if t is not None]:
        out.append((SQL["save_timers"], _named(TimerRow, started)))
    if w.effects_answered:
        sql = "delete from effects where id = any(%(ids)b::text[])"
        out.append((sql, {"ids": sorted(w.effects_answered)}))
    if w.effects:
        args = _named(EffectRow, w.effects.values())
        out.append((SQL["save_effects"], args | {"at": w.at, "leased_until": w.leased_until}))
    if w.parked_done:
        sql = "delete from parked where id = any(%(ids)b::int8[])"
        out.append((sql, {"ids": sorted(w.parked_done)}))
    if w.parked:
        out.append((SQL["park"], _named(ParkedRow, w.parked) | {"at": w.at}))
    if w.answers:
        scope, key = _columns(list(w.answers), 2)
        sql = """insert into idempotency (scope, key, fingerprint, status, body, at)
                 select *, %(at)b from unnest(%(scope)b::text[], %(key)b::text[], %(fingerprint)b::bytea[],
                                              %(status)b::int2[], %(body)b::bytea[])"""
        args = _named(Answer, w.answers.values()) | {"scope": scope, "key": key}
        out.append((sql, args | {"at": w.at}))
    return out + w.statements


class PostgresStore:
    """A service's database. Holds a small pool: the writer and the relay each keep one connection busy."""

    def __init__(self, dsn: str, *, connections_max: int = 6) -> None:
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=connections_max,
            open=False,
            kwargs={"autocommit": True, "options": "-c timezone=UTC -c jit=off"},
            timeout=5,
        )

    async def open(self) -> None:
        """Connect; raises `Unavailable` when the database does not answer."""
        try:
            await self._pool.open(wait=True, timeout=10)
        except psycopg.Error as error:
            raise Unavailable(f"cannot reach the database: {error}") from error

    async def close(self) -> None:
        """Give the connections back."""
        await self._pool.close(timeout=3)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode, for queries of one's own; errors are translated."""
        try:
            async with self._pool.connection() as connection:
                try:
                    yield connection
                finally:
                    await _leave_clean(connection)
        except errors.UniqueViolation as error:
            raise Conflict(str(error)) from error
        except _REFUSED as error:
            raise Unwritable(str(error)) from error
        except _TRANSIENT as error:
            raise Unavailable(str(error)) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """One batch; see `shared.ledger.store.Transaction`."""
        async with self.connection() as connection:
            yield PostgresTransaction(connection)

    async def _all(self, sql: str, **args: Any) -> list[tuple[Any, ...]]:
        async with self.connection() as c:
            return await (await c.cursor(binary=True).execute(sql, args)).fetchall()

    async def checkpoints(self, partitions: Iterable[Partition]) -> dict[Partition, Mark]:
        topic, partition = _columns(sorted(partitions), 2)
        args = {"topic": topic, "partition": partition}
        async with self.connection() as c:
            await c.execute(SQL["ensure_checkpoints"], args)
            cursor = await c.cursor(binary=True).execute(SQL["lock_checkpoints"], args)
            return {(r[0], r[1]): Mark(r[2], r[3]) for r in await cursor.fetchall()}

    async def parked_keys(self, topics: Iterable[str]) -> set[tuple[str, bytes]]:
        sql = "select distinct topic, key from parked where topic = any(%(topics)b::text[])"
        return {(r[0], r[1]) for r in await self._all(sql, topics=sorted(topics))}

    async def feed(self, after: int, limit: int) -> FeedPart:
        async with self.connection() as c, c.pipeline():
            # The head first: whatever has a position up to it is committed, and seen by the next statement.
            head = await c.execute("select position from head")
            cursor = c.cursor(binary=True)
            await cursor.execute(SQL["read_feed"], {"after": after, "limit": limit})
            [(position,)] = await head.fetchall()
            rows = [FeedRow(*r) for r in await cursor.fetchall()]
        whole = len(rows) < limit
        upto = max([after, rows[-1].position if rows else 0, position if whole else 0])
        return FeedPart(after, upto, rows)

    async def feed_of(
        self, topic: str, partition: int, after: int, upto: int, limit: int
    ) -> list[FeedRow]:
        args = {"topic": topic, "partition": partition, "after": after, "upto": upto}
        rows = await self._all(SQL["read_feed_partition"], **args, limit=limit)
        return [FeedRow(*r) for r in rows]

    async def heads(self) -> dict[Partition, Head]:
        sql = "select topic, partition, position, position <= published from chain, relay"
        return {(r[0], r[1]): Head(r[2], r[3]) for r in await self._all(sql)}

    async def published(self) -> int:
        return int((await self._all("select published from relay"))[0][0])

    async def mark_published(self, position: int) -> None:
        async with self.connection() as c, c.pipeline():
            await c.execute("begin")
            await c.execute("set local synchronous_commit = off")
            await c.execute(
                "update relay set published = %(p)b where published < %(p)b", {"p": position}
            )
            await c.execute("commit")

    async def due_timers(self, at: datetime, limit: int) -> list[TimerRow]:
        return [TimerRow(*r) for r in await self._all(SQL["due_timers"], at=at, limit=limit)]

    async def lease_effects(self, at: datetime, until: datetime, limit: int) -> list[EffectRow]:
        rows = await self._all(SQL["lease_effects"], at=at, leased_until=until, limit=limit)
        return [EffectRow(*r) for r in rows]

    async def renew_leases(self, ids: list[str], until: datetime) -> None:
        async with self.connection() as c:
            await c.execute(
                "update effects set leased_until = %(until)b where id = any(%(ids)b::text[])",
                {"ids": ids, "until": until},
            )

    async def postpone_effect(
        self, id: str, error: str, next_at: datetime, *, parked: bool
    ) -> None:
        async with self.connection() as c:
            await c.execute(
                """update effects set attempts = attempts + 1, error = %(error)s, next_at = %(next_at)b,
                   leased_until = %(next_at)b, parked = %(parked)b where id = %(id)b""",
                {"id": id, "error": error, "next_at": next_at, "parked": parked},
            )

    async def stream(
        self, stream: str, after: int = 0
    ) -> list[tuple[int, str, datetime, bytes, bytes]]:
        """A stream's events above a version: version, type, time, meta, data."""
        return await self._all(SQL["read_stream"], stream=stream, after=after)

    async def snapshot(self, stream: str) -> Snapshot | None:
        """A stream's row, if it exists."""
        sql = "select version, schema, state, guard from streams where id = %(id)b"
        rows = await self._all(sql, id=stream)
        return Snapshot(*rows[0]) if rows else None

    async def log_page(
        self, stream: str, version: int, limit: int
    ) -> list[tuple[str, int, str, bytes]]:
        """Events after a stream's version, over all streams, in order of stream and version."""
        rows = await self._all(SQL["log_page"], stream=stream, version=version, limit=limit)
        return [(r[0], r[1], r[2], r[3]) for r in rows]

    async def snapshots_of(self, streams: list[str]) -> dict[str, Snapshot]:
        """The rows of these streams."""
        sql = (
            "select id, version, schema, state, guard from streams where id = any(%(ids)b::text[])"
        )
        return {r[0]: Snapshot(*r[1:]) for r in await self._all(sql, ids=streams)}

    async def snapshots_without_events(self, limit: int) -> list[str]:
        """Streams that have a row and no event."""
        sql = """select id from streams s where not exists (
                     select from messages where stream = s.id and version is not null)
                 order by id limit %(limit)b"""
        return [r[0] for r in await self._all(sql, limit=limit)]

    async def parked_of(self, topic: str, key: bytes, limit: int) -> list[tuple[int, ParkedRow]]:
        """The oldest parked records of a key, with their ids."""
        rows = await self._all(SQL["read_parked"], topic=topic, key=key, limit=limit)
        return [(r[0], ParkedRow(*r[1:])) for r in rows]

    async def parked_summary(self, limit: int) -> list[dict[str, Any]]:
        """Parked keys: topic, key as text, how many records wait, the first error, since when."""
        return await self._dicts(SQL["parked_summary"], limit=limit)

    async def effects_open(self, limit: int) -> list[dict[str, Any]]:
        """Effects that are owed, longest first."""
        sql = """select id, subject, type, attempts, next_at, parked, error from effects
                 order by parked desc, next_at limit %(limit)b"""
        return await self._dicts(sql, limit=limit)

    async def retry_effect(self, id: str) -> bool:
        """Make a parked or waiting effect due now, with its attempts counted anew; whether it was there."""
        sql = """update effects set parked = false, attempts = 0, next_at = now() where id = %(id)b
                 returning id"""
        return bool(await self._all(sql, id=id))

    async def timers_open(self, limit: int) -> list[dict[str, Any]]:
        """Pending timers, soonest first."""
        sql = "select subject, name, due_at, type from timers order by due_at limit %(limit)b"
        return await self._dicts(sql, limit=limit)

    async def discard(self, id: int, actor: str, reason: str) -> bool:
        """See `ParkingStore.discard`."""
        return bool(await self._all(SQL["discard"], id=id, actor=actor, reason=reason))

    async def discarded(self, limit: int) -> list[dict[str, Any]]:
        """See `ParkingStore.discarded`."""
        return await self._dicts(SQL["discarded"], limit=limit)

    async def _dicts(self, sql: str, **args: Any) -> list[dict[str, Any]]:
        async with self.connection() as c:
            cursor = await c.cursor(binary=True, row_factory=dict_row).execute(sql, args)
            return await cursor.fetchall()


async def _leave_clean(connection: Connection) -> None:
    """Roll back what a cancelled or fenced batch left open.

    After an error inside a pipeline the client may take statements for prepared that the server skipped, so such a
    connection is closed: the pool opens another.
    """
    status = psycopg.pq.TransactionStatus
    if connection.closed or connection.pgconn.transaction_status == status.IDLE:
        return
    try:
        if connection.pgconn.transaction_status == status.INTRANS:
            await connection.execute("rollback")
            return
    except psycopg.Error as error:
        log.info("rollback_failed", error=str(error))
    await connection.close()
