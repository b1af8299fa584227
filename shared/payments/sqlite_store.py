"""The fake provider's ledger in one SQLite file, which survives kill -9 and power loss.

The file is the only truth; nothing is cached, so several processes may share it and memory stays
flat. `commit` returns once the entries are on disk (WAL, synchronous=FULL).
"""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from shared.payments.rules import Account, Entry

SCHEMA_VERSION = 1
_BUSY_TIMEOUT_S = 5.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SCHEMA = f"""
CREATE TABLE entries (
    id           INTEGER PRIMARY KEY,
    kind         TEXT NOT NULL CHECK (kind IN
                 ('authorised', 'declined', 'captured', 'voided', 'refunded', 'refused')),
    operation    TEXT NOT NULL CHECK (operation IN ('authorise', 'capture', 'void', 'refund')),
    key          TEXT NOT NULL UNIQUE,
    payment_id   TEXT NOT NULL,
    provider_ref TEXT NOT NULL,
    amount       INTEGER NOT NULL CHECK (amount >= 0),
    currency     TEXT NOT NULL,
    method       TEXT NOT NULL,
    code         TEXT NOT NULL,
    at_us        INTEGER NOT NULL
) STRICT;
CREATE TRIGGER entries_are_final BEFORE UPDATE ON entries
    BEGIN SELECT raise(ABORT, 'ledger entries are never changed'); END;
CREATE TRIGGER entries_are_kept BEFORE DELETE ON entries
    BEGIN SELECT raise(ABORT, 'ledger entries are never deleted'); END;
CREATE TABLE accounts (
    provider_ref TEXT PRIMARY KEY,
    payment_id   TEXT NOT NULL,
    method       TEXT NOT NULL,
    currency     TEXT NOT NULL,
    authorised   INTEGER NOT NULL,
    captured     INTEGER NOT NULL,
    refunded     INTEGER NOT NULL,
    released     INTEGER NOT NULL,
    voided       INTEGER NOT NULL,
    CHECK (0 <= refunded AND refunded <= captured),
    CHECK (0 <= released AND captured + released <= authorised)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = {SCHEMA_VERSION};
"""
_ENTRY_BY_KEY = """
    SELECT id, kind, operation, key, payment_id, provider_ref, amount, currency, method, code, at_us
    FROM entries WHERE key = ?"""
_ENTRIES_AFTER = """
    SELECT id, kind, operation, key, payment_id, provider_ref, amount, currency, method, code, at_us
    FROM entries WHERE id > ? ORDER BY id LIMIT ?"""
_ADD_ENTRY = """
    INSERT INTO entries
        (id, kind, operation, key, payment_id, provider_ref, amount, currency, method, code, at_us)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_ACCOUNT = """
    SELECT provider_ref, payment_id, method, currency, authorised, captured, refunded, released,
        voided
    FROM accounts WHERE provider_ref = ?"""
_SET_ACCOUNT = """
    INSERT INTO accounts
        (provider_ref, payment_id, method, currency, authorised, captured, refunded, released,
         voided)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (provider_ref) DO UPDATE SET captured = excluded.captured,
        refunded = excluded.refunded, released = excluded.released, voided = excluded.voided"""


class LedgerFileError(Exception):
    """The ledger file can't be used; the message says why and what to do."""


class SqliteStore:
    """A `Store` in a SQLite file, created if missing. Appends only within `begin` … `commit`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._db.close()
            raise self._unusable(error) from error
        except LedgerFileError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        self._db.execute("BEGIN")
        self._is_new()  # before anything is written: another program's file stays as it is
        self.commit()
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self.begin()
        if self._is_new():
            for statement in _statements(_SCHEMA):
                self._db.execute(statement)
        self.commit()

    def _is_new(self) -> bool:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == SCHEMA_VERSION:
            return False
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if version == 0 and tables == 0:
            return True
        raise LedgerFileError(
            f"{self.path} has schema version {version}, this program writes {SCHEMA_VERSION}; "
            "move the file away or set OMS_PAYMENTS_LEDGER to another path"
        )

    def _unusable(self, error: Exception) -> LedgerFileError:
        return LedgerFileError(
            f"can't open the payments ledger {self.path}: {error}; check that its directory is "
            "writable and that the file is a ledger, or set OMS_PAYMENTS_LEDGER to another path"
        )

    def begin(self) -> None:
        """Start a write transaction, waiting up to 5 s for another process to finish its own."""
        self._db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make everything appended since `begin` durable."""
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        """Forget everything appended since `begin`; harmless if SQLite has done so itself."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def next_id(self) -> int:
        """See `Store.next_id`. Rolled back ids are given again, so ids stay dense."""
        (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()
        return int(last) + 1

    def by_key(self, key: str) -> Entry | None:
        """See `Store.by_key`."""
        row = self._db.execute(_ENTRY_BY_KEY, (key,)).fetchone()
        return None if row is None else _entry(row)

    def account(self, provider_ref: str) -> Account | None:
        """See `Store.account`."""
        row = self._db.execute(_ACCOUNT, (provider_ref,)).fetchone()
        return None if row is None else _account(row)

    def append(self, entry: Entry, account: Account | None) -> None:
        """See `Store.append`. The table's checks refuse an account that breaks the invariant."""
        if not self._db.in_transaction:
            raise AssertionError(
                "append outside begin … commit would not be durable with its batch"
            )
        at_us = (entry.at - _EPOCH) // _MICROSECOND
        self._db.execute(_ADD_ENTRY, (*msgspec.structs.astuple(entry)[:-1], at_us))
        if account is not None:
            self._db.execute(_SET_ACCOUNT, msgspec.structs.astuple(account))

    def entries(self, after: int, limit: int) -> list[Entry]:
        """See `Store.entries`."""
        return [_entry(row) for row in self._db.execute(_ENTRIES_AFTER, (after, limit))]


def _entry(row: tuple[Any, ...]) -> Entry:
    """Make an entry of its row; the STRICT table vouches for the types."""
    fields = dict(zip(Entry.__struct_fields__, row, strict=True))
    fields["at"] = _EPOCH + row[-1] * _MICROSECOND
    return Entry(**fields)


def _account(row: tuple[Any, ...]) -> Account:
    fields = dict(zip(Account.__struct_fields__, row, strict=True))
    fields["voided"] = bool(row[-1])
    return Account(**fields)


def _statements(script: str) -> list[str]:
    """Split a script: `executescript` would commit, and two first openers could collide."""
    statements, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
