"""The projection's tables on Postgres: read what a batch touches, write what it became, in one
transaction."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from services.views.batch import Batch, Entry
from services.views.domain import document as documents
from services.views.domain.document import Document
from shared.ledger.postgres import SQL as LEDGER
from shared.ledger.postgres import Connection, PostgresStore
from shared.ledger.store import Conflict, Mark, ParkedRow, Partition

SQL = {p.stem: p.read_text() for p in (Path(__file__).parent / "sql").glob("*.sql")}

_ENTRY_TYPES = ["text", "timestamptz", "text", "int2", "int8", "int8", "bytea", "bytea"]


@dataclass(slots=True)
class Want:
    """What a batch needs to see; checkpoints and parked rows are locked until it commits."""

    orders: set[str] = field(default_factory=set)
    checkpoints: set[Partition] = field(default_factory=set)
    keys: set[tuple[str, bytes]] = field(default_factory=set)
    parked_ids: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Found:
    """What was there of what was wanted."""

    orders: dict[str, Document] = field(default_factory=dict)
    checkpoints: dict[Partition, Mark] = field(default_factory=dict)
    parked_keys: set[tuple[str, bytes]] = field(default_factory=set)
    parked_ids: set[int] = field(default_factory=set)


def schema(version: int) -> str:
    """The schema that holds a version's tables."""
    return f"v{version:d}"


class ViewTransaction:
    """One batch on one connection. Leaving the context without `write` rolls back."""

    def __init__(self, connection: Connection, version: int) -> None:
        self._c = connection
        self._path = f"set local search_path to {schema(version)}, public"

    async def begin(self, *, durable: bool) -> None:
        """Open the transaction. Not waiting for the disk is safe here: the marks are lost with what
        they stand for, and the topics are read again from there."""
        await self._c.execute("begin")
        await self._c.execute(self._path)
        if not durable:
            await self._c.execute("set local synchronous_commit to off")

    async def read(self, want: Want) -> Found:
        """Lock the marks and load the documents, in one round trip."""
        c, found = self._c, Found()
        topics, partitions = _columns(sorted(want.checkpoints), 2)
        async with c.pipeline():
            await self.begin(durable=False)
            marks = await c.cursor(binary=True).execute(
                LEDGER["lock_checkpoints"], {"topic": topics, "partition": partitions}
            )
            any_parked = await c.execute("select exists (select 1 from parked)")
            orders = await c.cursor(binary=True).execute(
                "select document from orders where id = any(%(ids)b::text[])",
                {"ids": list(want.orders)},
            )
            found.checkpoints = {(r[0], r[1]): Mark(r[2], r[3]) for r in await marks.fetchall()}
            is_parked = await any_parked.fetchone()
            for (data,) in await orders.fetchall():
                document = documents.decode(data)
                found.orders[document.order_id] = document
        if is_parked is not None and is_parked[0]:
            await self._read_parked(want, found)
        return found

    async def _read_parked(self, want: Want, found: Found) -> None:
        topic, key = _columns(sorted(want.keys), 2)
        cursor = await self._c.cursor(binary=True).execute(
            LEDGER["parked_keys"], {"topic": topic, "key": key}
        )
        found.parked_keys = {(r[0], bytes(r[1])) for r in await cursor.fetchall()}
        cursor = await self._c.execute(
            "select id from parked where id = any(%(ids)b::int8[]) order by id for update",
            {"ids": sorted(want.parked_ids)},
        )
        found.parked_ids = {r[0] for r in await cursor.fetchall()}

    async def write(self, batch: Batch, at: datetime) -> None:
        """Write everything and commit. Raises `Conflict` when a document has changed since it was
        read."""
        c = self._c
        async with c.pipeline():
            updated = await self._write_orders(batch)
            for sql, args in _writes(batch, at):
                await c.execute(sql, args)
        if updated is not None and updated[0].rowcount != updated[1]:
            raise Conflict(f"{updated[1] - updated[0].rowcount} orders changed meanwhile")
        if batch.entries:
            await self._copy(batch.entries)
        await c.execute("commit")

    async def _write_orders(self, batch: Batch) -> tuple[Any, int] | None:
        rows = {d.order_id: _order(d, batch.was(d.order_id)) for d in batch.documents.values()}
        new = [row for row in rows.values() if not row["was"]]
        old = [row for row in rows.values() if row["was"]]
        if new:
            await self._c.execute(SQL["insert_orders"], _by_name(new))
        if not old:
            return None
        return await self._c.execute(SQL["update_orders"], _by_name(old)), len(old)

    async def _copy(self, entries: Iterable[Entry]) -> None:
        async with self._c.cursor().copy(SQL["copy_timeline"]) as copy:
            copy.set_types(_ENTRY_TYPES)
            for entry in entries:
                await copy.write_row(entry)


def _order(document: Document, was: int) -> dict[str, Any]:
    order = document.order
    return {
        "id": document.order_id,
        "was": was,
        "version": document.version,
        "document": documents.encode(document),
        "status": order.status,
        "channel": order.channel,
        "number": order.number,
        "placed_at": order.placed_at,
    }


def _by_name(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _columns(rows: Iterable[Any], width: int) -> list[list[Any]]:
    return [list(c) for c in zip(*rows, strict=True)] or [[] for _ in range(width)]


def _writes(batch: Batch, at: datetime) -> list[tuple[str, dict[str, Any]]]:
    """The statements besides documents and timeline: only those that have rows."""
    out: list[tuple[str, dict[str, Any]]] = []
    if batch.terms:
        keys = sorted(batch.terms)
        term, order_id = _columns(keys, 2)
        kinds = [batch.terms[k].kind for k in keys]
        out.append((SQL["add_terms"], {"term": term, "order_id": order_id, "kind": kinds}))
    moved = sorted((*key, *sums) for key, sums in batch.movements.items() if any(sums))
    if moved:
        names = ("sku", "location", "on_hand", "reserved", "allocated")
        out.append((SQL["add_movements"], dict(zip(names, _columns(moved, 5), strict=True))))
    if batch.checkpoints:
        topic, partition = _columns(batch.checkpoints, 2)
        next_offset, sequence = _columns(batch.checkpoints.values(), 2)
        args = {"topic": topic, "partition": partition, "next_offset": next_offset}
        out.append((LEDGER["save_checkpoints"], args | {"sequence": sequence}))
    if batch.parked_done:
        sql = "delete from parked where id = any(%(ids)b::int8[])"
        out.append((sql, {"ids": sorted(batch.parked_done)}))
    if batch.parked:
        columns = _columns(batch.parked, len(ParkedRow._fields))
        out.append(
            (LEDGER["park"], dict(zip(ParkedRow._fields, columns, strict=True)) | {"at": at})
        )
    return out


class ViewStore:
    """One version's tables. Holds `checkpoints`, which is all that the consumer runtime asks of a
    store."""

    def __init__(self, database: PostgresStore, version: int) -> None:
        self._database = database
        self.version = version

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[ViewTransaction]:
        """One batch. Errors are those of `shared.ledger.store`."""
        async with self._database.connection() as connection:
            yield ViewTransaction(connection, self.version)

    async def checkpoints(self, partitions: Iterable[Partition]) -> dict[Partition, Mark]:
        """The stored marks of these partitions; one never seen starts at (0, 0)."""
        topic, partition = _columns(sorted(partitions), 2)
        args = {"topic": topic, "partition": partition}
        async with self._database.connection() as c:
            await ViewTransaction(c, self.version).begin(durable=True)
            await c.execute(LEDGER["ensure_checkpoints"], args)
            cursor = await c.cursor(binary=True).execute(LEDGER["lock_checkpoints"], args)
            marks = {(r[0], r[1]): Mark(r[2], r[3]) for r in await cursor.fetchall()}
            await c.execute("commit")
            return marks

    async def all_checkpoints(self) -> dict[Partition, Mark]:
        """The mark of every partition that was ever read for this version."""
        rows = await self._all("select topic, partition, next_offset, sequence from checkpoints")
        return {(r[0], r[1]): Mark(r[2], r[3]) for r in rows}

    async def parked_of(self, topic: str, key: bytes, limit: int) -> list[tuple[int, ParkedRow]]:
        """The oldest parked records of a key, with their ids."""
        rows = await self._all(LEDGER["read_parked"], topic=topic, key=key, limit=limit)
        return [(r[0], ParkedRow(*r[1:])) for r in rows]

    async def parked_summary(self, limit: int) -> list[dict[str, Any]]:
        """Parked keys: topic, key as text, how many records wait, since when, the first error."""
        rows = await self._all(LEDGER["parked_summary"], limit=limit)
        return [
            dict(zip(("topic", "key", "records", "since", "error"), r, strict=True)) for r in rows
        ]

    async def discard(self, id: int, actor: str, reason: str) -> bool:
        """See `ParkingStore.discard`."""
        return bool(await self._all(LEDGER["discard"], id=id, actor=actor, reason=reason))

    async def discarded(self, limit: int) -> list[dict[str, Any]]:
        """See `ParkingStore.discarded`: of all versions."""
        return await self._database.discarded(limit)

    async def _all(self, sql: str, **args: Any) -> list[tuple[Any, ...]]:
        async with self._database.connection() as c, c.pipeline():
            await ViewTransaction(c, self.version).begin(durable=True)
            cursor = await c.cursor(binary=True).execute(sql, args)
            await c.execute("commit")
            return await cursor.fetchall()
