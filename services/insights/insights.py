"""The running insights: the worker of the version in use, and the step to a newer one when there is one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from time import monotonic

import structlog
from aiokafka.errors import KafkaError

from services.insights.broker import Broker
from services.insights.figures import TOPICS, Figures
from services.insights.follower import Follower
from services.insights.topics import NotReady, Versions
from services.insights.worker import Worker
from shared.ledger.store import Head, Partition
from shared.service import clock as clocks
from shared.service.tasks import Handle
from shared.stream.healer import CannotHeal, Healer

log = structlog.get_logger()

LOOK_SECONDS = 0.5
VERSION_SECONDS = 2.0
LAG_SECONDS = 1.0
#: How often producers are asked whether a topic has lost its end.
END_SECONDS = 5.0


class Insights:
    """What routes ask. ``worker`` is None until the first is started."""

    def __init__(
        self, kafka: Broker, healer: Healer, *, clock: Callable[[], datetime] = clocks.now
    ) -> None:
        self.kafka = kafka
        self._healer = healer
        self.clock = clock
        self.versions = Versions(kafka)
        self.worker: Worker | None = None
        self.figures: Figures | None = None
        self.lag: dict[tuple[str, int], int] = {}

    async def run(self, handle: Handle) -> None:
        """Work until told to stop. Raises `services.insights.worker.Broken` when the process must be started anew."""
        while not handle.stopping.is_set():
            try:
                version, partitions = await self.versions.ensure(), await self.versions.partitions()
            except (KafkaError, OSError, NotReady) as error:
                log.warning("not_ready", error=str(error) or repr(error))
                await handle.sleep(1.0)
                continue
            async with self._working(version, partitions) as worker:
                await self._watch(worker, handle)

    @asynccontextmanager
    async def _working(self, version: int, partitions: int) -> AsyncIterator[Worker]:
        worker = Worker(self.kafka, version, partitions, self._healer)
        beside = [
            asyncio.ensure_future(Follower(self.kafka, version, worker.state).run()),
            asyncio.ensure_future(self._mend(worker)),
        ]
        try:
            async with worker.running():
                self.worker, self.figures, self.lag = worker, Figures(worker.state), {}
                yield worker
        finally:
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)

    async def _watch(self, worker: Worker, handle: Handle) -> None:
        """Return when told to stop, or when there is a newer version."""
        looked = asked = monotonic()
        while not await handle.sleep(LOOK_SECONDS):
            worker.check()
            if worker.ready.is_set():
                handle.ready()
            if monotonic() - asked >= LAG_SECONDS:
                asked = monotonic()
                await self._measure(worker, handle)
            if monotonic() - looked >= VERSION_SECONDS:
                looked = monotonic()
                if await self._newest(worker.version) > worker.version:
                    log.info("newer_version", left=worker.version)
                    return

    async def _measure(self, worker: Worker, handle: Handle) -> None:
        try:
            self.lag = await worker.lag()
        except (KafkaError, OSError, TimeoutError) as error:
            log.info("lag_unknown", error=repr(error))
        handle.progress.report(
            assigned=bool(worker.state.owned),
            behind=any(self.lag.values()) and worker.ready.is_set(),
        )
        handle.progress.steps = worker.records + worker.duplicates

    async def _mend(self, worker: Worker) -> None:
        """See to it that a topic's lost end is put back though nothing follows it."""
        await worker.ready.wait()
        while True:
            await asyncio.sleep(END_SECONDS)
            heads: dict[Partition, Head] = {}
            for topic in TOPICS:
                try:
                    heads |= await self._healer.heads({topic})
                except CannotHeal as error:
                    log.info("heads_unknown", topic=topic, error=str(error))
            try:
                await worker.mend(heads)
            except (KafkaError, OSError, TimeoutError) as error:
                log.info("lag_unknown", error=repr(error))

    async def _newest(self, version: int) -> int:
        try:
            return await self.versions.newest()
        except (KafkaError, OSError) as error:
            log.info("version_unknown", error=repr(error))
            return version
