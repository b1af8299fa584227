"""The views in memory: the real projector and its folds, on tables that a crash outlives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from services.views.batch import Batch, Entry
from services.views.domain import document as documents
from services.views.domain.document import Document
from services.views.handlers import TABLE
from services.views.projector import Projector
from services.views.store import Found, ViewStore, Want
from shared.ledger.memory import RowLocks
from shared.ledger.store import Conflict, Mark, Partition
from shared.stream.consumer import ConsumerRuntime
from tests.simulation.process import PeerHealer, Process, Service, SimConsumer


@dataclass(slots=True)
class ViewTables:
    """What the views keep."""

    documents: dict[str, bytes] = field(default_factory=dict)
    timeline: list[Entry] = field(default_factory=list)
    units: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    checkpoints: dict[Partition, Mark] = field(default_factory=dict)
    parked: list[Any] = field(default_factory=list)


class MemoryViews:
    """What `services.views.store.ViewStore` is on Postgres."""

    def __init__(self, tables: ViewTables, locks: RowLocks, process: Process) -> None:
        self.tables = tables
        self.locks = locks
        self.fault = process.at_store

    async def checkpoints(self, partitions: Iterable[Partition]) -> dict[Partition, Mark]:
        await self.fault("checkpoints")
        return {p: self.tables.checkpoints.setdefault(p, Mark(0, 0)) for p in partitions}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[_Transaction]:
        await self.fault("begin")
        tx = _Transaction(self)
        try:
            yield tx
        finally:
            self.locks.release(tx.mine)


class _Transaction:
    def __init__(self, views: MemoryViews) -> None:
        self._views = views
        self.mine: set[Any] = set()

    async def read(self, want: Want) -> Found:
        views = self._views
        await views.fault("read")
        for partition in sorted(want.checkpoints):
            await views.locks.take(("checkpoint", partition), self.mine)
        t = views.tables
        keys = {(row.topic, row.key) for row in t.parked}
        return Found(
            orders={
                id: documents.decode(t.documents[id])
                for id in sorted(want.orders)
                if id in t.documents
            },
            checkpoints={p: t.checkpoints[p] for p in want.checkpoints if p in t.checkpoints},
            parked_keys=keys & want.keys,
        )

    async def write(self, batch: Batch, at: datetime) -> None:
        views = self._views
        await views.fault("before_commit")
        t = views.tables
        for id in batch.documents:
            stored = documents.decode(t.documents[id]).version if id in t.documents else 0
            if stored != batch.was(id):
                raise Conflict(f"{id} changed meanwhile")
        t.documents |= {id: documents.encode(d) for id, d in batch.documents.items()}
        t.timeline += batch.entries
        for key, sums in batch.movements.items():
            known = t.units.setdefault(key, [0, 0, 0])
            for n, change in enumerate(sums):
                known[n] += change
        t.checkpoints |= batch.checkpoints
        t.parked += batch.parked
        views.locks.release(self.mine)
        await views.fault("after_commit")


class ViewsProcess(Process):
    """One process of the views."""

    def __init__(self, service: Service, number: int) -> None:
        super().__init__(service, number)
        store = MemoryViews(service.tables, service.locks, self)  # type: ignore[arg-type]
        self.projector = Projector(cast(ViewStore, store), clock=self.clock)
        self.consumer = ConsumerRuntime(
            TABLE, store, self.projector, PeerHealer(self.world), self._connect
        )

    async def _connect(self) -> SimConsumer:
        return SimConsumer(self, "oms-views-v1", TABLE.topics)

    def parts(self) -> list[Coroutine[Any, Any, None]]:
        return [self.consumer.run()]


class Views(Service):
    """The views: a database of read models, and its processes."""

    def __init__(self, world: Any) -> None:
        super().__init__(world, "views")
        self.tables = ViewTables()  # type: ignore[assignment]

    def committed(self) -> None:
        """What they show is compared with the logs at the end."""

    @property
    def shown(self) -> dict[str, Document]:
        """Every document."""
        return {id: documents.decode(data) for id, data in self.tables.documents.items()}  # type: ignore[attr-defined]


__all__ = ["MemoryViews", "Views", "ViewsProcess"]
