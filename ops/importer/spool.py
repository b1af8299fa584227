"""Rows regrouped into documents, in order of business time, with bounded memory.

A document's rows may stand apart (Online Retail: invoice 542806), files may come in any order, and
the catalogue must be known before the first order. So rows go once through a private temporary
SQLite database, which spills to disk and vanishes with its connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

_BATCH_ROWS = 5_000


class SpooledRow(NamedTuple):
    """A row that waits for its document; with a ``reason`` if it could not be read.

    ``instant_us`` is the business time in microseconds since 1970 UTC; ``rank`` orders documents of
    one instant.
    """

    document: str
    path: str
    line: int
    instant_us: int | None
    rank: int
    payload: bytes
    reason: str | None


_SCHEMA = """
CREATE TABLE rows (
    document TEXT, path TEXT, line INTEGER, instant_us INTEGER, rank INTEGER, payload BLOB,
    reason TEXT
)
"""

# A table with a key, not a subquery: without a key SQLite joins by scanning, which took minutes.
_GROUP = """
CREATE TABLE documents (document TEXT PRIMARY KEY, first INTEGER, rank INTEGER) WITHOUT ROWID
"""
_GROUP_FILL = """
INSERT INTO documents SELECT document, min(instant_us), min(rank) FROM rows GROUP BY document
"""

# Documents without any readable row have no time: they come last. CROSS JOIN keeps rows outside.
_DOCUMENTS = """
SELECT r.document, r.path, r.line, r.instant_us, r.rank, r.payload, r.reason
FROM rows r CROSS JOIN documents d USING (document)
ORDER BY d.first IS NULL, d.first, d.rank, r.document, r.path, r.line
"""


class Spool:
    """Write every row once, then read documents back in order."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(
            "", isolation_level=None
        )  # "": on disk when large, deleted on close
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("BEGIN")
        self._db.execute(_SCHEMA)
        self._waiting: list[SpooledRow] = []

    def add(self, row: SpooledRow) -> None:
        """Keep one row."""
        self._waiting.append(row)
        if len(self._waiting) >= _BATCH_ROWS:
            self._write()

    def _write(self) -> None:
        self._db.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)", self._waiting)
        self._waiting.clear()

    def documents(self) -> Iterator[tuple[str, list[SpooledRow]]]:
        """Yield (document id, rows in source order) by first business time, rank and id."""
        self._write()
        self._db.execute(_GROUP)
        self._db.execute(_GROUP_FILL)
        rows = map(SpooledRow._make, self._db.execute(_DOCUMENTS))
        for document, group in groupby(rows, key=itemgetter(0)):
            yield document, list(group)

    def close(self) -> None:
        """Delete the spool."""
        self._db.close()
