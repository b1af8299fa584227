"""What a world leaves behind, as plain lists that a test may tamper with before they are reconciled."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec

from ops.reconcile import Report, judge
from ops.reconcile.log import Cut, FeedLine, Row, ToldRow, ViewRow
from ops.reconcile.mail import Mail
from ops.reconcile.money import LedgerEntry, micros
from services.views.domain import document as documents
from shared.events import SERVICES, encode
from shared.ledger.memory_tables import Tables
from shared.ledger.store import LogRow, Partition
from shared.payments.rules import Entry

#: Makes another message of a decoded one: fields of its JSON.
Edit = Callable[[dict[str, Any]], None]


class Store(Protocol):
    """A service's store in memory."""

    tables: Tables


class Payments(Protocol):
    """Whoever can show the provider's ledger."""

    async def entries(self, after: int = 0, limit: int = 500) -> list[Entry]: ...


class Sunk(Protocol):
    """One e-mail that arrived, and how often."""

    id: str
    to: str
    at: datetime
    received: int


class World(Protocol):
    """Anything that has run the services in memory. ``view_marks`` is how far the views have read, ``units`` what they
    show of the stock: on hand, reserved, allocated."""

    now: datetime
    payments: Payments
    sink: Mapping[str, Sunk]
    view_marks: Mapping[Partition, int]
    documents: Mapping[str, documents.Document]
    timeline: list[Any]
    units: Mapping[tuple[str, str], list[int]]

    @property
    def stores(self) -> Mapping[str, Store]: ...


@dataclass
class Log:
    """One service's evidence; see `ops.reconcile.log.ServiceLog`."""

    service: str
    cut: Cut
    messages: list[Row]
    previous: dict[int, int | None]
    snapshots: dict[str, Any]

    def rows(self) -> Iterator[Row]:
        def order(row: Row) -> tuple[Any, ...]:
            return row.group, row.stream, row.version is None, row.version or 0, row.position

        for row in sorted(self.messages, key=order):
            snapshot = self.snapshots.get(row.stream)
            if snapshot is not None and snapshot.version == row.version:
                yield row._replace(
                    schema=snapshot.schema, state=snapshot.state, guard=snapshot.guard
                )
            else:
                yield row

    def feed(self) -> Iterator[FeedLine]:
        for x in sorted(self.messages, key=lambda x: x.position):
            previous = self.previous.get(x.position)
            yield FeedLine(x.position, previous, x.topic, x.partition, x.stream, x.version)

    def stray_snapshots(self) -> Iterator[tuple[str, int]]:
        ends = {(row.stream, row.version) for row in self.messages}
        yield from ((s, x.version) for s, x in self.snapshots.items() if (s, x.version) not in ends)

    def at(self, stream: str, version: int) -> Row:
        """The row of an event."""
        [row] = [x for x in self.messages if (x.stream, x.version) == (stream, version)]
        return row

    def find(self, tag: str, **fields: Any) -> Row:
        """The first row of a type whose message has these values."""
        for row in self.messages:
            told = msgspec.json.decode(row.data)
            if row.type == tag and all(told.get(k) == v for k, v in fields.items()):
                return row
        raise LookupError(f"no {tag} with {fields}")

    def change(self, row: Row, **columns: Any) -> None:
        """Put other values into a row's columns."""
        self.messages[self.messages.index(row)] = row._replace(**columns)

    def edit(self, row: Row, edit: Edit) -> None:
        """Put other values into a row's message."""
        told = msgspec.json.decode(row.data)
        edit(told)
        self.change(row, data=encode(told))

    def delete(self, *rows: Row) -> None:
        """Take rows away."""
        for row in rows:
            self.messages.remove(row)

    def add(self, row: Row, **columns: Any) -> Row:
        """One more row, made of another, at the end of the log."""
        position = max(x.position for x in self.messages) + 1
        row = row._replace(position=position, **columns)
        self.messages.append(row)
        self.previous[position] = None
        if row.topic is not None and row.partition is not None:
            partition = (row.topic, row.partition)
            self.previous[position] = self.cut.heads.get(partition, 0)
            self.cut.heads[partition] = position
        self.cut = self.cut._replace(position=position)
        return row


@dataclass
class Views:
    """The views' evidence; see `ops.reconcile.log.ViewsLog`."""

    cut: Cut
    documents: list[ViewRow]
    told: list[ToldRow]
    units: dict[tuple[str, str], list[int]]

    def orders(self) -> Iterator[ViewRow]:
        return iter(sorted(self.documents, key=lambda row: row.id))

    def timeline(self) -> Iterator[ToldRow]:
        return iter(self.told)

    def availability(self) -> Iterator[tuple[str, str, int, int, int]]:
        for (sku, location), (on_hand, reserved, allocated) in self.units.items():
            yield sku, location, on_hand, reserved, allocated


@dataclass
class Evidence:
    """All of it. Parts may be taken away."""

    logs: dict[str, Log]
    views: Views | None
    ledger: list[LedgerEntry] | None
    mails: list[Mail] | None

    def __getitem__(self, service: str) -> Log:
        return self.logs[service]

    def judge(self) -> Report:
        """Reconcile it."""
        return judge(list(self.logs.values()), self.views, self.ledger, self.mails)


async def gather(world: World) -> Evidence:
    """What the world leaves behind now."""
    entries = await _ledger(world.payments)
    logs = {name: _log(name, world.stores[name].tables, world.now) for name in SERVICES}
    mails = [Mail(m.id, m.to, m.received, micros(m.at)) for m in world.sink.values()]
    ledger = [
        LedgerEntry(
            e.id, e.kind, e.key, e.payment_id, e.provider_ref, e.amount, e.currency, micros(e.at)
        )
        for e in entries
    ]
    cut = Cut(world.now, dict(world.view_marks), {}, 0, 0, effects={})
    rows = [
        ViewRow(
            d.order_id,
            d.version,
            documents.encode(d),
            d.order.status,
            d.order.channel,
            d.order.number,
            d.order.placed_at,
        )
        for d in world.documents.values()
    ]
    told = [ToldRow(e.order_id, e.type, e.position, e.data) for e in world.timeline]
    units = {key: list(sums) for key, sums in world.units.items()}
    return Evidence(logs, Views(cut, rows, told, units), ledger, mails)


async def _ledger(payments: Payments) -> list[Entry]:
    out: list[Entry] = []
    while page := await payments.entries(out[-1].id if out else 0, 1_000):
        out += page
    return out


def _log(service: str, tables: Tables, now: datetime) -> Log:
    rows = [_row(position, x.row, x.at) for position, x in tables.messages.items()]
    previous: dict[int, int | None] = dict.fromkeys(tables.messages)
    previous |= {x.position: x.previous for x in tables.feed}
    cut = Cut(
        now,
        {partition: mark.sequence for partition, mark in tables.checkpoints.items()},
        dict(tables.chain),
        len(rows),
        len(rows),
        effects={id: owed.row.subject for id, owed in tables.effects.items()},
        effects_parked=sum(owed.parked for owed in tables.effects.values()),
        due=frozenset(t.subject for t in tables.timers.values() if t.due_at <= now),
        parked=frozenset((row.topic, row.key.decode()) for row, _ in tables.parked.values()),
    )
    return Log(service, cut, rows, previous, dict(tables.streams))


def _row(position: int, row: LogRow, at: datetime) -> Row:
    shared = row.stream == "endpoints-all"
    return Row(
        position,
        row.stream if shared else row.key,
        row.key,
        row.stream,
        row.version or None,
        row.type,
        row.topic or None,
        None if row.partition < 0 else row.partition,
        at,
        row.meta,
        row.data,
    )
