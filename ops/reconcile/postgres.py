"""A service's database, read in one repeatable-read transaction by server-side cursors: memory stays flat."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from ops.reconcile.log import Cut, FeedLine, Row, ToldRow, ViewRow

SQL = {p.stem: p.read_text() for p in (Path(__file__).parent / "sql").glob("*.sql")}

ROWS_FETCHED = 2_000
CONNECT_SECONDS = 10

_SETTINGS = "set local cursor_tuple_fraction = 1; set local work_mem = '64MB'; set local jit = off"

_names = count()


class CannotRead(Exception):
    """A database does not answer, or is no database of ours; the message says which and what to do."""


class Database:
    """One connection, and on it one snapshot of the database."""

    def __init__(self, service: str, dsn: str) -> None:
        self.service = service
        self._path: sql.SQL | sql.Composed = sql.SQL("")
        try:
            self._c: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(
                dsn,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                options="-c timezone=UTC",
                application_name="oms reconcile",
            )
        except psycopg.Error as error:
            raise CannotRead(
                f"the database of {service} does not answer: {error}. Is the system up (`oms status`)?"
            ) from error

    def close(self) -> None:
        """End the transaction and the connection."""
        self._c.close()

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Close the connection when the block fails."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def begin(self) -> None:
        """Take a new snapshot; everything read from now on is as it is at this moment."""
        self._c.execute("rollback")
        self._c.execute("begin isolation level repeatable read, read only")
        self._c.execute(_SETTINGS)
        self._c.execute(self._path)

    def all(self, query: str) -> list[tuple[Any, ...]]:
        """A small result, whole. Raises `CannotRead`."""
        try:
            return self._c.cursor(binary=True).execute(query).fetchall()
        except psycopg.Error as error:
            raise CannotRead(
                f"the database of {self.service} cannot be read: {error}. Were its migrations run?"
            ) from error

    def each(self, query: str) -> Iterator[tuple[Any, ...]]:
        """A large result, row by row."""
        name = f"reconcile_{next(_names)}"
        try:
            with self._c.cursor(name=name, binary=True) as cursor:
                cursor.itersize = ROWS_FETCHED
                cursor.execute(query)
                yield from cursor
        except psycopg.Error as error:
            raise CannotRead(
                f"reading the database of {self.service} broke off: {error}"
            ) from error

    def search(self, schema: str) -> None:
        """Look for tables in a schema first, from the next snapshot on."""
        self._path = sql.SQL("set local search_path to {}, public").format(sql.Identifier(schema))


class PostgresLog:
    """A service's log; see `ops.reconcile.log.ServiceLog`."""

    def __init__(self, service: str, dsn: str) -> None:
        self.service = service
        self.database = Database(service, dsn)
        with self.database.closed_on_error():
            self.cut = self.take()

    def take(self) -> Cut:
        """Start a new snapshot and say where the service stands in it."""
        self.database.begin()
        all_of = self.database.all
        [(at, position, published)] = all_of(SQL["cut"])
        self.cut = Cut(
            at,
            *_progress(self.database),
            position=position,
            published=published,
            effects=dict(all_of("select id, subject from effects")),
            effects_parked=all_of("select count(*) from effects where parked")[0][0],
            due=frozenset(r[0] for r in all_of("select subject from timers where due_at <= now()")),
            parked=_parked(self.database),
            given_up=frozenset(
                all_of("select topic, partition, sequence from discarded where sequence > 0")
            ),
        )
        return self.cut

    def rows(self) -> Iterator[Row]:
        """See the protocol."""
        return map(Row._make, self.database.each(SQL["rows"]))

    def feed(self) -> Iterator[FeedLine]:
        """See the protocol."""
        return map(FeedLine._make, self.database.each(SQL["feed"]))

    def stray_snapshots(self) -> Iterator[tuple[str, int]]:
        """See the protocol."""
        return self.database.each(SQL["stray_snapshots"])


class PostgresViews:
    """The live version of the read models; see `ops.reconcile.log.ViewsLog`. Raises `CannotRead` if there is none."""

    def __init__(self, dsn: str) -> None:
        self.database = Database("views", dsn)
        with self.database.closed_on_error():
            self.database.begin()
            live = self.database.all("select version from projections where state = 'live'")
            if not live:
                raise CannotRead(
                    "no version of the views is live yet: start the views service once"
                )
            self.database.search(f"v{live[0][0]}")
            self.cut = self.take()

    def take(self) -> Cut:
        """Start a new snapshot and say where the views stand in it."""
        self.database.begin()
        [(at,)] = self.database.all("select clock_timestamp()")
        marks, _ = _progress(self.database, heads=False)
        self.cut = Cut(at, marks, {}, 0, 0, parked=_parked(self.database))
        return self.cut

    def orders(self) -> Iterator[ViewRow]:
        """See the protocol."""
        sql = """select id, version, document, status, channel, number, placed_at
                 from orders order by id collate "C" """
        return map(ViewRow._make, self.database.each(sql))

    def timeline(self) -> Iterator[ToldRow]:
        """See the protocol."""
        return map(
            ToldRow._make, self.database.each("select order_id, type, position, data from timeline")
        )

    def availability(self) -> Iterator[tuple[str, str, int, int, int]]:
        """See the protocol."""
        sql = "select sku, location, on_hand, reserved, allocated from availability"
        return self.database.each(sql)


def _progress(database: Database, *, heads: bool = True) -> tuple[dict[Any, int], dict[Any, int]]:
    """What was consumed, and what was given positions to."""
    marks = database.all("select topic, partition, sequence from checkpoints")
    given = database.all("select topic, partition, position from chain") if heads else []
    return {(t, p): n for t, p, n in marks}, {(t, p): n for t, p, n in given}


def _parked(database: Database) -> frozenset[tuple[str, str]]:
    rows = database.all("select distinct topic, key from parked")
    return frozenset((topic, bytes(key).decode("utf-8", "replace")) for topic, key in rows)
