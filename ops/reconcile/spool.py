"""What must be compared across keys, in a temporary SQLite file: memory stays flat however long the logs are."""

import sqlite3
from collections.abc import Iterator
from typing import Any

from ops.reconcile.log import Entry
from ops.reconcile.report import Place

_SCHEMA = """
create table ids (service text, row integer, id text, cause text, stem text, at integer, stream text, version integer,
                  said integer);
create table asked (stem text, id text);
create table facts (kind text, key text, item text, side integer, quantity integer,
                    service text, stream text, version integer, id text);
create table told (service text, position integer, side integer, order_id text, digest blob,
                   stream text, version integer, id text);
create table ledger (entry integer primary key, kind text, key text, payment_id text, provider_ref text, amount integer,
                     currency text, at integer);
create table claimed (payment_id text primary key) without rowid;
create table mails (id text primary key, recipients text, received integer, at integer) without rowid;
create table mails_claimed (id text primary key) without rowid;
"""
_COLUMNS = {
    "ids": 9,
    "asked": 2,
    "facts": 9,
    "told": 8,
    "ledger": 8,
    "claimed": 1,
    "mails": 4,
    "mails_claimed": 1,
}
ROWS_BUFFERED_MAX = 5_000

#: The two sides of a fact: who decided it, and where it must show.
DECIDED, SHOWN = 0, 1


class Spool:
    """Rows to compare at the end. One thread uses it at a time."""

    def __init__(self) -> None:
        # An empty name is a temporary file that SQLite removes, kept in memory as long as it is small.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(
            "pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -65536;"
        )
        self._db.executescript(_SCHEMA)
        self._db.execute("begin")
        self._buffers: dict[str, list[tuple[Any, ...]]] = {name: [] for name in _COLUMNS}

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def add(self, table: str, *values: Any) -> None:
        """One more row. Keyed tables keep the first of equal rows."""
        buffer = self._buffers[table]
        buffer.append(values)
        if len(buffer) >= ROWS_BUFFERED_MAX:
            self._flush(table)

    def fact(self, kind: str, key: str, item: str, side: int, quantity: int, entry: Entry) -> None:
        """``quantity`` of ``item``, as one side states it; both sides must add up to the same."""
        self.add(
            "facts",
            kind,
            key,
            item,
            side,
            quantity,
            entry.service,
            entry.stream,
            entry.number,
            entry.id,
        )

    def query(self, sql: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Rows of a query over everything added so far."""
        self.flush()
        return self._db.execute(sql, values)

    def look(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query over tables that are complete and flushed."""
        return self._db.execute(sql, values).fetchall()

    def index(self, sql: str) -> None:
        """Make an index, once its table is complete."""
        self.flush()
        self._db.execute(sql)

    def differing(self, kind: str) -> Iterator[tuple[str, str, int, int, Place]]:
        """Facts whose two sides differ: key, item, what was decided, what is shown, and an event to look at."""
        sql = """
            select key, item, sum(iif(side = 0, quantity, 0)) as decided, sum(iif(side = 1, quantity, 0)) as shown,
                   service, stream, version, max(id)
            from facts where kind = ? group by key, item having decided <> shown
        """
        for key, item, decided, shown, *place in self.query(sql, kind):
            yield key, item, decided, shown, Place(*place)

    def count(self, kind: str) -> int:
        """How many facts of a kind there are to compare."""
        sql = "select count(*) from (select 1 from facts where kind = ? group by key, item)"
        return int(next(self.query(sql, kind))[0])

    def flush(self) -> None:
        """Let `look` see everything added so far."""
        for table in self._buffers:
            self._flush(table)

    def _flush(self, table: str) -> None:
        buffer = self._buffers[table]
        if buffer:
            marks = ", ".join("?" * _COLUMNS[table])
            self._db.executemany(f"insert or ignore into {table} values ({marks})", buffer)  # noqa: S608 - our own names
            buffer.clear()
