"""Publishes what the figures say: windows that closed, channels that fell silent, stock that runs low.

The worker that has the first partition does it, once a second. What was said is kept in the table beside the figures,
and set after Kafka has acknowledged it: after a crash a statement may be made again, under the same id.
"""

import asyncio
from collections.abc import Iterable
from zlib import crc32

import structlog

from services.insights.domain import statements
from services.insights.domain.cells import TOLD, Cell, Key, name, parts
from services.insights.domain.windows import EPOCH, Size
from services.insights.figures import Figures
from services.insights.insights import Insights
from services.insights.worker import Worker
from shared.events import Envelope, Event, encode
from shared.service.tasks import Handle
from shared.stream.kafka import KafkaProducer
from shared.stream.port import BrokerLost, Outgoing

log = structlog.get_logger()

TOPIC = "oms.insights.events"
SOURCE = "/oms/insights"
LOOK_SECONDS = 1.0
#: Stock cover is looked at this often: it moves slowly.
COVER_SECONDS = 10.0
#: A window is over this long after its end: what is on its way still gets in.
GRACE_SECONDS = 5
#: Windows of one look, so that a rebuild does not hold the event loop.
WINDOWS_MAX = 50
#: Where the leader keeps what was said.
PARTITION = 0

_SILENT = Key(TOLD, PARTITION, shard="silent")
_LOW = Key(TOLD, PARTITION, shard="low")


class Announcer:
    """See the module."""

    def __init__(self, insights: Insights) -> None:
        self._insights = insights
        self._producer: KafkaProducer | None = None
        self._worker: Worker | None = None
        self._pending: set[tuple[Size, int]] = set()
        self._cover_at = 0.0
        self.announced = 0

    async def run(self, handle: Handle) -> None:
        """Announce until told to stop."""
        handle.ready()
        try:
            while not await handle.sleep(LOOK_SECONDS):
                worker, figures = self._insights.worker, self._insights.figures
                if worker is None or figures is None or not worker.leads():
                    self._worker = None
                elif not any(self._insights.lag.values()):
                    try:
                        await self._look(worker, figures)
                    except BrokerLost as error:
                        log.warning("not_announced", error=str(error), next="trying again")
                        await self._stop()
        finally:
            await self._stop()

    async def _look(self, worker: Worker, figures: Figures) -> None:
        now = int((self._insights.clock() - EPOCH).total_seconds())
        if self._worker is not worker:
            # New in this office: whatever was not said by the one before is found by looking at all windows.
            self._worker = worker
            self._pending = {(size, s) for size in Size for s in figures.starts(size)}
        self._pending |= worker.state.touched
        worker.state.touched.clear()
        over = [w for w in self._pending if w[1] + w[0].seconds + GRACE_SECONDS <= now]
        for size, start in sorted(over)[:WINDOWS_MAX]:
            await self._close(worker, figures, size, start)
            self._pending.discard((size, start))
            await asyncio.sleep(0)
        await self._channels(worker, figures, now)
        loop = asyncio.get_running_loop()
        if loop.time() - self._cover_at >= COVER_SECONDS:
            self._cover_at = loop.time()
            await self._cover(worker, figures)

    async def _close(self, worker: Worker, figures: Figures, size: Size, start: int) -> None:
        oldest = figures.oldest(size)
        if oldest is not None and start < oldest:
            return
        key = Key(TOLD, PARTITION, size, start)
        told: Cell = worker.state.get(key) or Cell(0, {})
        said = {(c, u): n for (c, u), (n,) in ((parts(k), v) for k, v in told.sums.items())}
        orders = figures.orders(size, start)
        events = statements.closed_window(size, start, figures.sales(size, start), orders, said)
        if events:
            await self._publish(worker, events)
            now_said = {name(*pair): [count] for pair, count in orders.items()}
            await worker.put(PARTITION, {str(key): Cell(0, now_said)})

    async def _channels(self, worker: Worker, figures: Figures, now: int) -> None:
        told: Cell = worker.state.get(_SILENT) or Cell(0, {})
        silent = {channel: second for channel, (second,) in told.sums.items()}
        events, after = statements.channel_statements(figures.activity(), silent, now)
        if events:
            await self._publish(worker, events)
            await worker.put(PARTITION, {str(_SILENT): Cell(0, {c: [s] for c, s in after.items()})})

    async def _cover(self, worker: Worker, figures: Figures) -> None:
        told: Cell = worker.state.get(_LOW) or Cell(0, {})
        events, after = statements.cover_statements(figures.cover(), told.sums)
        if events:
            await self._publish(worker, events)
            await worker.put(PARTITION, {str(_LOW): Cell(0, {sku: [1] for sku in after})})

    async def _publish(self, worker: Worker, events: Iterable[Event]) -> None:
        if self._producer is None:
            producer = KafkaProducer(self._insights.kafka.bootstrap, self._insights.kafka.login)
            await producer.start()
            self._producer = producer
        by_partition: dict[int, list[Outgoing]] = {}
        for event in events:
            envelope = Envelope(
                id=statements.statement_id(event), type=event.tag(), source=SOURCE,
                subject=event.subject, time=self._insights.clock(),
            )  # fmt: skip
            partition = crc32(event.key.encode()) % worker.state.partitions
            by_partition.setdefault(partition, []).append(
                Outgoing(event.key.encode(), encode(event), envelope.headers())
            )
        for partition, records in by_partition.items():
            await self._producer.publish((TOPIC, partition), records)
            self.announced += len(records)

    async def _stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None
