"""Feeding the views from the topics: the live version, and the next one while it is built beside
it.

Each version is a consumer group of its own, with its own marks, so a rebuild is nothing but a
version that starts at the beginning. It takes the live one's place once it has read what there is
to read."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog

from services.views import versions
from services.views.handlers import TABLE
from services.views.projector import Projector
from services.views.store import ViewStore
from services.views.versions import Version
from shared.ledger.postgres import PostgresStore
from shared.ledger.store import Mark, Partition
from shared.service.tasks import Handle
from shared.stream.consumer import ConsumerRuntime, StartedConsumer
from shared.stream.healer import Healer
from shared.stream.port import BrokerLost

log = structlog.get_logger()

#: A rebuilt version takes over when at most this many records are unread.
PROMOTE_LAG_MAX = 1000
LOOK_SECONDS = 1.0
#: A page may be this late: larger batches leave the processor to those who sell.
GATHER_SECONDS = 0.05

Connect = Callable[[str], Awaitable[StartedConsumer]]


class Position(NamedTuple):
    """How far one partition was read; ``end`` is where the broker is, None while it does not
    answer."""

    topic: str
    partition: int
    mark: Mark
    end: int | None

    @property
    def lag(self) -> int | None:
        """Records that are still to be read."""
        return None if self.end is None else max(0, self.end - self.mark.next_offset)


class Feeding:
    """One version being fed."""

    def __init__(
        self, database: PostgresStore, version: int, connect: Connect, healer: Healer
    ) -> None:
        self.version = version
        self.store = ViewStore(database, version)
        self.projector = Projector(self.store)
        self._connect = connect
        self._consumer: StartedConsumer | None = None
        self.runtime = ConsumerRuntime(
            TABLE,
            self.store,
            self.projector,
            healer,
            self._connected,
            gather_seconds=GATHER_SECONDS,
        )
        self.job = asyncio.ensure_future(self.runtime.run())

    async def _connected(self) -> StartedConsumer:
        self._consumer = await self._connect(f"oms-views-v{self.version}")
        return self._consumer

    async def positions(self) -> list[Position]:
        """Every partition that any process has read for this version."""
        marks = await self.store.all_checkpoints()
        ends: dict[Partition, int] = {}
        if self._consumer is not None and marks:
            try:
                ends = await self._consumer.ends(marks)
            except BrokerLost as error:
                log.info("ends_unknown", error=str(error))
        return [Position(*p, mark, ends.get(p)) for p, mark in sorted(marks.items())]

    async def stop(self) -> None:
        """Stop feeding; what was read is durable."""
        self.job.cancel()
        await asyncio.wait((self.job,))


class Feeder:
    """Keeps every version that is not retired fed, and promotes one that has caught up."""

    def __init__(self, database: PostgresStore, connect: Connect, healer: Healer) -> None:
        self._database = database
        self._connect = connect
        self._healer = healer
        self.fed: dict[int, Feeding] = {}

    def count(self, counter: str) -> int:
        """One counter of the runtimes, over all versions that are fed."""
        return sum(getattr(f.runtime.counters, counter) for f in self.fed.values())

    async def run(self, handle: Handle) -> None:
        """Feed until told to stop; ready once what is read is being fed."""
        try:
            while not handle.stopping.is_set():
                wanted = await versions.ensure(self._database)
                await self._match(wanted)
                await self._promote(wanted)
                self._report(handle)
                if await handle.sleep(LOOK_SECONDS):
                    return
        finally:
            await asyncio.gather(*(f.stop() for f in self.fed.values()))

    async def _match(self, wanted: list[Version]) -> None:
        for version in [v for v in self.fed if v not in {w.version for w in wanted}]:
            log.info("view_version_retired", version=version)
            await self.fed.pop(version).stop()
        for w in wanted:
            if w.version not in self.fed:
                log.info("view_version_fed", version=w.version, state=w.state)
                self.fed[w.version] = Feeding(
                    self._database, w.version, self._connect, self._healer
                )
        for feeding in self.fed.values():
            if feeding.job.done():
                feeding.job.result()

    async def _promote(self, wanted: list[Version]) -> None:
        for w in wanted:
            if w.state == "building" and await self._caught_up(w.version):
                await versions.promote(self._database, w.version)
                log.info("view_version_live", version=w.version)

    async def _caught_up(self, version: int) -> bool:
        """Whether a version has read all partitions of every topic, nearly to their ends."""
        positions = await self.fed[version].positions()
        if {p.topic for p in positions} != set(TABLE.topics):
            return False
        lags = [p.lag for p in positions]
        return all(n is not None for n in lags) and sum(n or 0 for n in lags) <= PROMOTE_LAG_MAX

    def _report(self, handle: Handle) -> None:
        runtimes = [f.runtime for f in self.fed.values()]
        handle.progress.report(
            assigned=any(r.assigned for r in runtimes), behind=any(r.behind for r in runtimes)
        )
        handle.progress.steps = sum(r.counters.handled for r in runtimes)
        if runtimes and all(r.ready.is_set() for r in runtimes):
            handle.ready()
