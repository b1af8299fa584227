"""A played world, written into real databases, a real ledger file and a real mail file."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
from psycopg.conninfo import make_conninfo

from ops.reconcile import PaymentsSource, SinkSource, Sources
from ops.sink.store import Received
from ops.stack import Stack, create_database
from services.views import versions
from services.views.store import schema
from shared.events import SERVICES
from shared.ledger.migrate import migrate
from shared.ledger.postgres import PostgresStore
from shared.payments.rules import Entry
from shared.payments.sqlite_store import SqliteStore
from tests.evidence import Evidence, Log
from tests.unit.reconcile.world import World

ROOT = Path(__file__).parents[3]

Connection = psycopg.Connection[tuple[Any, ...]]


class Loaded:
    """Where everything is. What a test changes is a copy of its own."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack = stack
        self._mark = uuid4().hex[:8]
        self.dsns: dict[str, str] = {}
        self.ledger = folder / "payments.sqlite"
        self.mail = folder / "mail.jsonl"

    @property
    def sources(self) -> Sources:
        """What to reconcile."""
        return Sources(self.dsns, PaymentsSource(path=self.ledger), SinkSource(path=self.mail))

    def superuser(self, service: str) -> Connection:
        """A connection that may do anything to a service's database."""
        return psycopg.connect(self.dsns[service], autocommit=True)

    def copy(self, service: str, folder: Path) -> Loaded:
        """The same, with a copy of one database and of both files: what is done to it harms nobody else."""
        other = Loaded(self._stack, folder)
        shutil.copy(self.ledger, other.ledger)
        shutil.copy(self.mail, other.mail)
        name, copied = (f"oms_rc{mark}_{service}" for mark in (self._mark, other._mark))
        with psycopg.connect(self._stack.postgres, dbname="postgres", autocommit=True) as c:
            c.execute(f"create database {copied} template {name}")
        other.dsns = self.dsns | {service: make_conninfo(self._stack.postgres, dbname=copied)}
        return other

    async def load(self, world: World, evidence: Evidence) -> None:
        """Write it all."""
        for service in (*SERVICES, "views"):
            name = f"rc{self._mark}_{service}"
            self.dsns[service] = create_database(self._stack.postgres, name, self._stack.data)
            migrate(self.dsns[service], ROOT / "services" / service)
        for service, log in evidence.logs.items():
            with psycopg.connect(self.dsns[service]) as c:
                _load_log(c, log, world)
        store = PostgresStore(self.dsns["views"])
        await store.open()
        await versions.ensure(store)
        await store.close()
        with psycopg.connect(self.dsns["views"]) as c:
            _load_views(c, world, evidence)
        _load_ledger(self.ledger, await world.payments.entries(0, 1_000))
        lines = [
            msgspec.json.encode(Received(m.id, m.at, "shop@oms.local", [m.to], "", b"x")) + b"\n"
            for m in world.sink.values()
        ]
        self.mail.write_bytes(b"".join(lines))


def _copy(c: Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    with c.cursor().copy(f"copy {table} from stdin") as copy:
        for row in rows:
            copy.write_row(row)


def _load_log(c: Connection, log: Log, world: World) -> None:
    columns = "position, stream, version, type, topic, partition, previous, key, at, meta, data"
    _copy(
        c,
        f"messages ({columns})",
        (
            (
                m.position,
                m.stream,
                m.version,
                m.type,
                m.topic,
                m.partition,
                before,
                m.key,
                m.at,
                m.meta,
                m.data,
            )
            for m in log.messages
            for before in [log.previous[m.position]]
        ),
    )
    _copy(c, "chain", ((*partition, n) for partition, n in log.cut.heads.items()))
    c.execute("update head set position = %s", [log.cut.position])
    c.execute("update relay set published = %s", [log.cut.published])
    columns = "streams (id, version, schema, state, guard)"
    _copy(c, columns, ((id, *snapshot) for id, snapshot in log.snapshots.items()))
    _copy(c, "checkpoints", ((*p, n, n) for p, n in log.cut.marks.items()))
    tables = world.stores[log.service].tables
    _copy(c, "timers", tables.timers.values())


def _load_views(c: Connection, world: World, evidence: Evidence) -> None:
    assert evidence.views is not None
    c.execute(f"set search_path to {schema(1)}, public")
    _copy(
        c,
        "orders (id, version, document, status, channel, number, placed_at)",
        evidence.views.documents,
    )
    _copy(c, "timeline", world.timeline)
    _copy(c, "availability", evidence.views.availability())
    _copy(c, "checkpoints", ((*p, n, n) for p, n in evidence.views.cut.marks.items()))


def _load_ledger(path: Path, entries: list[Entry]) -> None:
    store = SqliteStore(path)
    store.begin()
    for entry in entries:
        store.append(entry, None)
    store.commit()
    store.close()
