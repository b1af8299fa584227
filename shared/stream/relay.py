"""Publishes a service's feed: positions first, durably; then records, in order; then the cursor, lazily."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
import structlog

from shared.events import Envelope
from shared.ledger import crashpoints
from shared.ledger.store import FeedRow, Meta, Partition, Store, Unavailable
from shared.stream.port import BrokerLost, Outgoing, Producer

log = structlog.get_logger()

ROWS_MAX = 2000
IDLE_SECONDS = 0.5
RETRY_SECONDS = 1.0
#: Under load a larger batch is worth a short wait.
BUSY_ROWS = 128
BUSY_PAUSE_SECONDS = 0.01
#: Batches between two writes of the cursor. After a crash at most these are published again, as duplicates.
CURSOR_EVERY = 8


class StartedProducer(Producer, Protocol):
    """A producer that is connected and must be stopped."""

    async def stop(self) -> None: ...


_meta = msgspec.json.Decoder(Meta)


def envelope(row: FeedRow, source: str) -> Envelope:
    """The CloudEvents envelope of a published row."""
    meta = _meta.decode(row.meta)
    return Envelope(
        id=meta.id or f"{row.stream}/{row.version}",
        type=row.type,
        source=source,
        subject=row.stream,
        time=row.at,
        correlation_id=meta.correlation,
        causation_id=meta.causation,
        actor=meta.actor,
        traceparent=meta.trace,
        sequence=row.position,
        previous=row.previous,
    )


class Relay:
    """One service's sequencer and publisher. Two at once are harmless: the head row gives each position once, and each
    publishes the whole feed from its own cursor, so nothing overtakes."""

    def __init__(
        self, store: Store, source: str, connect: Callable[[], Awaitable[StartedProducer]]
    ) -> None:
        self._store = store
        self._source = source
        self._connect = connect
        self._wake = asyncio.Event()
        self.published = 0

    def wake(self) -> None:
        """Something was committed: look at once."""
        self._wake.set()

    async def run(self) -> None:
        """Publish until cancelled. After a failure the client is rebuilt and goes on after what was acknowledged."""
        while True:
            try:
                producer = await self._connect()
                try:
                    await self._publish_all(producer)
                finally:
                    await producer.stop()
            except (BrokerLost, Unavailable) as error:
                log.warning("relay_restarts", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _publish_all(self, producer: Producer) -> None:
        marked = await self._store.published()
        # What was acknowledged to this process need not be repeated, though the cursor may lag: or a store that fails
        # before every mark would make the relay publish the same batches for ever.
        self.published = max(self.published, marked)
        batches = 0
        while True:
            self._wake.clear()
            rows = await self._store.sequence(ROWS_MAX)
            if not rows or rows[0].position != self.published + 1:
                rows = await self._store.feed(self.published, ROWS_MAX)
            if rows:
                crashpoints.reach(crashpoints.AFTER_SEQUENCING)
                await self._publish(producer, rows)
                crashpoints.reach(crashpoints.AFTER_PUBLISH)
                self.published = rows[-1].position
                batches += 1
            if len(rows) >= BUSY_ROWS:
                await asyncio.sleep(BUSY_PAUSE_SECONDS)
            if self.published > marked and (not rows or batches % CURSOR_EVERY == 0):
                await self._store.mark_published(self.published)
                marked = self.published
            if not rows:
                try:
                    await asyncio.wait_for(self._wake.wait(), IDLE_SECONDS)
                except TimeoutError:
                    continue

    async def _publish(self, producer: Producer, rows: list[FeedRow]) -> None:
        """Each partition in order, partitions side by side; the first failure stops them all."""
        by_partition: dict[Partition, list[Outgoing]] = {}
        for row in rows:
            record = Outgoing(row.key.encode(), row.data, envelope(row, self._source).headers())
            by_partition.setdefault((row.topic, row.partition), []).append(record)
        try:
            async with asyncio.TaskGroup() as group:
                for partition, records in by_partition.items():
                    group.create_task(producer.publish(partition, records))
        except ExceptionGroup as failed:
            lost, other = failed.split(BrokerLost)
            if lost is None or other is not None:
                raise
            raise BrokerLost("; ".join(map(str, lost.exceptions))) from failed
