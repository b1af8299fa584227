"""What operators, refolding and healing ask of a service's database; nothing here is part of a batch."""

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from psycopg.rows import dict_row

from shared.ledger.postgres_transaction import SQL, Connection
from shared.ledger.store import ParkedRow, Snapshot


class PostgresReads(ABC):
    """The queries; see `shared.ledger.postgres.PostgresStore`, which has the connections."""

    @abstractmethod
    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """A connection in autocommit mode; errors are translated."""

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
        """Make a parked or waiting effect due now, with its attempts counted anew; whether it was there. One that is
        being performed keeps its lease: only a postponed one is leased until its next attempt."""
        sql = """update effects set parked = false, attempts = 0, next_at = now(),
                     leased_until = case when leased_until = next_at then now() else leased_until end
                 where id = %(id)b returning id"""
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

    async def _all(self, sql: str, **args: Any) -> list[tuple[Any, ...]]:
        async with self.connection() as c:
            return await (await c.cursor(binary=True).execute(sql, args)).fetchall()
