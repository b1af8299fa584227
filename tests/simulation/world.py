"""The world of one seed: services, broker, provider, mail server, shoppers, and what goes wrong."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine, Iterable, Mapping
from datetime import datetime, timedelta
from random import Random
from types import MappingProxyType
from typing import Any, NamedTuple

from ops.reconcile.tables import table_of
from services.fulfillment import handlers as fulfillment
from services.order import handlers as order
from services.order.domain.saga import Policy
from services.views.domain.document import Document
from shared.events import SERVICES, catalogue
from shared.ledger.store import Partition
from shared.ledger.table import Table
from shared.payments import InProcessPayments
from shared.stream.memory import MemoryBroker
from shared.stream.port import BrokerLost
from tests.simulation.chaos import Chaos
from tests.simulation.judging import judged, unsettled
from tests.simulation.loop import RUNNING, SimLoop
from tests.simulation.outside import (
    PATIENCE_SECONDS,
    Endpoint,
    MailServer,
    ProviderFaults,
    performers,
)
from tests.simulation.process import PARTITIONS, Process, Service, ServiceProcess
from tests.simulation.trouble import Trouble
from tests.simulation.views import Views, ViewsProcess
from tests.simulation.watch import Watch
from tests.simulation.workload import Workload
from tests.unit.reconcile.world import START, Sunk

#: The saga's patience, short, so that deadlines pass while it is watched.
POLICY = Policy(
    hold_seconds=8,
    placed_seconds=40,
    backordered_seconds=30,
    confirmed_seconds=60,
    cancelling_seconds=30,
)
#: Where everything is picked, packed and sent without people.
AUTOMATIC = frozenset({"WEST"})
#: How long the world may take to come to rest once nothing goes wrong any more.
QUIET_SECONDS_MAX = 400


class Outcome(NamedTuple):
    """What came of a seed."""

    seed: int
    violations: tuple[str, ...]
    fired: Mapping[str, int]
    digest: str
    virtual_seconds: float
    messages: int
    steps: int


class World:
    """One run; see `run`."""

    def __init__(self, seed: int, orders: int, kinds: Iterable[str], *, trace: bool) -> None:
        self.seed = seed
        self.loop = SimLoop(seed)
        self.random = Random(f"{seed}:world")
        self.trace = trace
        self.violations: list[str] = []
        self.over = False
        self._broken = asyncio.Event()
        self.watch = Watch(self)
        self.chaos = Chaos(seed, kinds, self.note)
        topics = {topic.name: PARTITIONS for topic in catalogue.topics()}
        self.broker = MemoryBroker(topics, fault=self._at_broker)
        self.payments = InProcessPayments.in_memory(
            clock=lambda: self.now,
            faults=ProviderFaults(self.chaos),
            patience_s=PATIENCE_SECONDS,
        )
        self.mail = MailServer(self)
        self.endpoint = Endpoint(self)
        self.performers = performers(self, self.payments, self.mail, self.endpoint)
        self.tables: dict[str, Table] = {name: table_of(name) for name in SERVICES}
        self.tables |= {"order": order.table(POLICY), "fulfillment": fulfillment.table(AUTOMATIC)}
        self.services: dict[str, Service] = {name: Service(self, name) for name in SERVICES}
        self.views = Views(self)
        self.workload = Workload(self, orders)
        self.trouble = Trouble(self)
        self._actors: list[asyncio.Task[Any]] = []
        self._others: list[asyncio.Task[Any]] = []

    @property
    def now(self) -> datetime:
        """The true time."""
        return START + timedelta(seconds=self.loop.now)

    def everything(self) -> list[Service]:
        """All services and the views."""
        return [*self.services.values(), self.views]

    def process_type(self, name: str) -> type[Process]:
        """What the processes of a service are."""
        return ViewsProcess if name == "views" else ServiceProcess

    def violation(self, text: str) -> None:
        """Something that must never be."""
        self.note(f"VIOLATION {text}")
        if text not in self.violations:
            self.violations.append(text)
        self._broken.set()

    def note(self, what: str) -> None:
        """Something worth a line in a trace; part of the digest."""
        self.watch.saw(what)
        if self.trace:
            print(f"{self.loop.now:10.4f} {what}")  # noqa: T201 - a trace is for reading

    def spawn(self, actor: Coroutine[Any, Any, None], *, awaited: bool = True) -> None:
        """Let somebody outside act; the world waits for the end of most."""
        context = contextvars.copy_context()
        context.run(RUNNING.set, None)
        task = self.loop.create_task(actor, context=context)
        (self._actors if awaited else self._others).append(task)

    async def _at_broker(self, label: str) -> None:
        process = RUNNING.get()
        if process is not None:
            await process.at_broker(label)
        elif label == "acknowledge" and self.chaos.strikes("ack_lost", 0.1):
            raise BrokerLost("no acknowledgement came")

    async def live(self) -> None:
        """From the first process to the last judgement."""
        for service in self.everything():
            service.start()
        story = asyncio.ensure_future(self._story())
        broken = asyncio.ensure_future(self._broken.wait())
        await asyncio.wait((story, broken), return_when=asyncio.FIRST_COMPLETED)
        self.over = True
        if story.done():
            story.result()

    async def _story(self) -> None:
        self.workload.begin()
        await self.trouble.make()
        self.trouble.end()
        until = self.loop.now + QUIET_SECONDS_MAX
        while left := self._unfinished():
            if self.loop.now > until:
                self.violation(f"not at rest after {QUIET_SECONDS_MAX} s: " + "; ".join(left[:6]))
                return
            await asyncio.sleep(1.0)
        for text in [*self.workload.answers.broken(), *await judged(self)]:
            self.violation(text)

    def _unfinished(self) -> list[str]:
        waiting = [task for task in self._actors if not task.done()]
        for task in self._actors:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error
        if waiting:
            return [f"{len(waiting)} people still act: {waiting[0].get_coro().__qualname__}"]
        return unsettled(self)

    # What reconciliation asks for; see `tests.evidence.World`.

    @property
    def stores(self) -> Mapping[str, Service]:
        return self.services

    @property
    def sink(self) -> Mapping[str, Sunk]:
        return self.mail.sink

    @property
    def view_marks(self) -> Mapping[Partition, int]:
        marks = self.views.tables.checkpoints
        return MappingProxyType({p: mark.sequence for p, mark in marks.items()})

    @property
    def documents(self) -> Mapping[str, Document]:
        return self.views.shown

    @property
    def timeline(self) -> list[Any]:
        return self.views.tables.timeline  # type: ignore[attr-defined,no-any-return]

    @property
    def units(self) -> Mapping[tuple[str, str], list[int]]:
        return self.views.tables.units  # type: ignore[attr-defined,no-any-return]
