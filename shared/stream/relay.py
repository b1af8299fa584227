"""Publishes a service's feed: positions first, durably; then records, in order; then the cursor, lazily."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
import structlog

from shared.events import Envelope
from shared.ledger import crashpoints
from shared.ledger.store import FeedPart, FeedRow, Meta, Partition, Store, Unavailable
from shared.stream.gather import pause
from shared.stream.port import BrokerLost, Outgoing, Producer

log = structlog.get_logger()

ROWS_MAX = 2000
IDLE_SECONDS = 0.5
RETRY_SECONDS = 1.0
#: After publishing, so that the next records share their requests to the broker.
GATHER_SECONDS = 0.004
#: Rows that wait in memory to be published; while the broker is away the rest waits in the store alone.
OFFERED_ROWS_MAX = 20_000
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
    """One service's publisher. What this process has just committed is published from memory; a gap before it (another
    process has appended, or this one has just started) is read from the store, as is everything when nothing is offered
    for a while. Two at once are harmless: each publishes
    the whole feed from its own cursor, so nothing overtakes."""

    def __init__(
        self, store: Store, source: str, connect: Callable[[], Awaitable[StartedProducer]]
    ) -> None:
        self._store = store
        self._source = source
        self._connect = connect
        self._wake = asyncio.Event()
        self._offered: deque[FeedPart] = deque()
        self._offered_rows = 0
        self.published = 0

    def offer(self, part: FeedPart) -> None:
        """This process has appended that: publish it. What is more than fits is read from the store instead."""
        if self._offered_rows > OFFERED_ROWS_MAX:
            self._offered.clear()
            self._offered_rows = 0
        self._offered.append(part)
        self._offered_rows += len(part.rows)
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
        parts = 0
        look = True  # whether the store may have what nobody has offered
        while True:
            self._wake.clear()
            part = self._from_memory()
            if part is None and (look or self._offered):
                part = await self._store.feed(self.published, ROWS_MAX)
                look = bool(part.rows)
            if part is not None and part.rows:
                crashpoints.reach(crashpoints.BEFORE_PUBLISH)
                await self._publish(producer, part.rows)
                crashpoints.reach(crashpoints.AFTER_PUBLISH)
                parts += 1
                await asyncio.sleep(pause(GATHER_SECONDS, len(part.rows)))
            if part is not None:
                self.published = max(self.published, part.upto)
            if self.published > marked and parts >= CURSOR_EVERY:
                await self._store.mark_published(self.published)
                marked, parts = self.published, 0
            if not look and not self._offered:
                try:
                    async with asyncio.timeout(IDLE_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    # Time for what need not be done while there is work.
                    look = True
                    if self.published > marked:
                        await self._store.mark_published(self.published)
                        marked, parts = self.published, 0

    def _from_memory(self) -> FeedPart | None:
        """What was offered and follows the last published position; None when that is nothing, or not known here."""
        upto, rows = self.published, list[FeedRow]()
        while self._offered and self._offered[0].after <= upto and len(rows) < ROWS_MAX:
            part = self._offered.popleft()
            self._offered_rows -= len(part.rows)
            rows += [row for row in part.rows if row.position > upto]
            upto = max(upto, part.upto)
        return FeedPart(self.published, upto, rows) if upto > self.published else None

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
