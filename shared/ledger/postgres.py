"""The store on Postgres: connections, what errors mean, and what is done outside of batches."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime

import psycopg
import structlog
from psycopg import errors
from psycopg_pool import AsyncConnectionPool

from shared.ledger.postgres_reads import PostgresReads
from shared.ledger.postgres_transaction import SQL, Connection, PostgresTransaction, columns
from shared.ledger.store import (
    Conflict,
    EffectRow,
    FeedPart,
    FeedRow,
    Head,
    Mark,
    Partition,
    TimerRow,
    Unavailable,
    Unwritable,
)

__all__ = ["SQL", "Connection", "PostgresStore"]

log = structlog.get_logger()

#: Errors that tell of what is in the batch. Text with a lone surrogate cannot even be sent; what an index or a row cannot
#: hold is an OperationalError, but will never fit.
_REFUSED = (
    errors.ProgramLimitExceeded,
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.ProgrammingError,
    UnicodeEncodeError,
)

#: Errors that tell of the database's state and not of the batch: run it again later. The first are those of one that was
#: not set up for this version (a migration has not run, a right is missing), or that a pooler stands before which forgets
#: prepared statements: whatever came now would be refused.
_UNPREPARED = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.InvalidSchemaName,
    errors.InsufficientPrivilege,
    errors.InvalidSqlStatementName,
    errors.DuplicatePreparedStatement,
)
_TRANSIENT = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.InternalError_,
)

#: A server, or a road to it, that vanishes without a word would be waited for as long as TCP keeps hoping (hours), and all
#: connections with it: a connection that is in use for so long is cut from this side.
ANSWER_SECONDS_MAX = 15
#: The same seen from the server: so long it keeps a transaction, and its locks, for a client that has vanished.
IDLE_SECONDS_MAX = 15
CONNECT_SECONDS_MAX = 5
#: An idle connection whose other end has vanished is found out after 25 seconds, by either end: otherwise the server would
#: run out of connections long before TCP's two hours are over.
_KEEPALIVES = {"idle": 10, "interval": 5, "count": 3}


class PostgresStore(PostgresReads):
    """A service's database. Holds a small pool: the writer and the relay each keep one connection busy."""

    def __init__(self, dsn: str, *, connections_max: int = 6) -> None:
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=connections_max,
            open=False,
            kwargs={
                "autocommit": True,
                "connect_timeout": CONNECT_SECONDS_MAX,
                "options": "-c timezone=UTC -c jit=off "
                f"-c idle_in_transaction_session_timeout={IDLE_SECONDS_MAX}s "
                + " ".join(f"-c tcp_keepalives_{name}={n}" for name, n in _KEEPALIVES.items()),
                **{f"keepalives_{name}": n for name, n in _KEEPALIVES.items()},
            },
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
                loop = asyncio.get_running_loop()
                patience = loop.call_later(ANSWER_SECONDS_MAX, _cut, connection)
                try:
                    yield connection
                finally:
                    patience.cancel()
                    await _leave_clean(connection)
        except errors.UniqueViolation as error:
            raise Conflict(str(error)) from error
        except _UNPREPARED as error:
            raise Unavailable(
                f"{error} (check migrations, the role's rights, the pooler)"
            ) from error
        except _REFUSED as error:
            raise Unwritable(str(error)) from error
        except _TRANSIENT as error:
            raise Unavailable(str(error)) from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """One batch; see `shared.ledger.store.Transaction`."""
        async with self.connection() as connection:
            try:
                yield PostgresTransaction(connection)
            except errors.DeadlockDetected as error:
                # A batch locks what it reads in one order everywhere, but writes timers and effects of streams that
                # another process may just be answering for.
                raise Conflict(str(error)) from error

    async def checkpoints(self, partitions: Iterable[Partition]) -> dict[Partition, Mark]:
        topic, partition = columns(sorted(partitions), 2)
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
            await c.execute(SQL["renew_leases"], {"ids": ids, "until": until})

    async def postpone_effect(
        self, id: str, error: str, next_at: datetime, *, parked: bool
    ) -> None:
        async with self.connection() as c:
            await c.execute(
                """update effects set attempts = attempts + 1, error = %(error)s, next_at = %(next_at)b,
                   leased_until = %(next_at)b, parked = %(parked)b where id = %(id)b""",
                {"id": id, "error": error, "next_at": next_at, "parked": parked},
            )


def _cut(connection: Connection) -> None:
    """End a connection from this side, so that whoever waits for its answer is told."""
    if connection.closed:
        return
    log.warning("connection_cut", reason="no answer", waited_seconds=ANSWER_SECONDS_MAX)
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as ours, suppress(OSError):
        ours.shutdown(socket.SHUT_RDWR)


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
