"""The consumer runtime: records to tasks, with the watermark against duplicates and the chain against gaps.

Every record from a service of the house carries its feed position and that of its predecessor on the partition. At or
below the watermark it is a duplicate, whatever the relay or the broker did; when its predecessor is the watermark it is
next; when its predecessor is above the watermark something was lost, and is fetched from the producer's feed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from shared.events import BadEnvelope, BadPayload, UnknownType, catalogue, read_headers
from shared.ledger.store import Fenced, Mark, ParkedRow, Partition, Store, Unavailable
from shared.ledger.table import Table
from shared.ledger.work import Overloaded, RecordTask, Unit, pack_headers
from shared.ledger.writer import Writer
from shared.stream.healer import CannotHeal, Healer
from shared.stream.port import BrokerLost, Consumer, Record

log = structlog.get_logger()

POLL_SECONDS = 0.5
RETRY_SECONDS = 1.0
COMMIT_EVERY = 20
#: How often an idle consumer asks the producers whether the broker has lost the end of a partition.
TAIL_CHECK_SECONDS = 5.0


class StartedConsumer(Consumer, Protocol):
    """A consumer that is connected and must be stopped."""

    async def stop(self) -> None: ...


class ChainBroken(Exception):
    """A record's predecessor lies below the watermark: producer and consumer disagree about the past (a restored
    backup?). The partition stops until a person decides; see the runbook in the service's README."""


@dataclass(slots=True)
class Counters:
    """What the runtime has seen since start, for metrics and tests."""

    handled: int = 0
    duplicates: int = 0
    gaps: int = 0
    healed: int = 0
    parked: int = 0
    stopped: int = 0


class ConsumerRuntime:
    """Feeds a service's topics to its writer until cancelled."""

    def __init__(
        self,
        table: Table,
        store: Store,
        writer: Writer,
        healer: Healer,
        connect: Callable[[], Awaitable[StartedConsumer]],
    ) -> None:
        self._table = table
        self._store = store
        self._writer = writer
        self._healer = healer
        self._connect = connect
        self._marks: dict[Partition, Mark] = {}
        self._wanted_names = {tag.rpartition(".")[0] for t in table.handlers for tag in [t.tag()]}
        self._sources = {t: f"/oms/{catalogue.sequenced_by(t)}" for t in table.topics}
        self.counters = Counters()
        self.ready = asyncio.Event()
        self.behind = False

    @property
    def assigned(self) -> bool:
        """Whether this process has partitions to consume."""
        return bool(self._marks)

    async def run(self) -> None:
        """Consume until cancelled; a lost broker or a fence rebuilds the client and rereads the checkpoints."""
        while True:
            try:
                consumer = await self._connect()
                try:
                    await self._consume(consumer)
                finally:
                    self._marks.clear()
                    await consumer.stop()
            except (BrokerLost, Fenced, Unavailable, Overloaded) as error:
                log.warning("consumer_restarts", error=str(error), kind=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    async def _consume(self, consumer: Consumer) -> None:
        polls = 0
        checked = asyncio.get_running_loop().time()
        while True:
            records = await consumer.poll(POLL_SECONDS)
            if consumer.assigned() != self._marks.keys():
                await self._take_over(consumer)
                continue
            if records:
                await self._handle(consumer, records)
                polls += 1
                if polls % COMMIT_EVERY == 0:
                    await self._commit(consumer)
            now = asyncio.get_running_loop().time()
            if now - checked > TAIL_CHECK_SECONDS:
                checked = now
                await self._check_tails(consumer)
                if polls:
                    await self._commit(consumer)
                    polls = 0

    async def _commit(self, consumer: Consumer) -> None:
        await consumer.commit({p: m.next_offset for p, m in self._marks.items() if m.next_offset})

    async def _take_over(self, consumer: Consumer) -> None:
        """Partitions moved: go on where the store says, not where the broker does."""
        assigned = consumer.assigned()
        stored = await self._store.checkpoints(assigned)
        self._marks = {p: stored[p] for p in assigned}
        for partition, mark in self._marks.items():
            consumer.seek(partition, mark.next_offset)
        log.info("partitions_assigned", count=len(assigned))
        if assigned:
            self.ready.set()

    async def _handle(self, consumer: Consumer, records: dict[Partition, list[Record]]) -> None:
        """Hand one poll's records to the writer as one unit; a partition that cannot go on is sought back."""
        tasks: list[RecordTask] = []
        expected: dict[Partition, Mark] = {}
        marks: dict[Partition, Mark] = {}
        for partition, batch in records.items():
            try:
                some = await self._tasks(partition, batch)
            except (CannotHeal, ChainBroken) as error:
                self.counters.stopped += 1
                log.error("partition_stopped", partition=partition, error=str(error))
                consumer.seek(partition, batch[0].offset)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if some:
                tasks += some
                expected[partition] = self._marks[partition]
                marks[partition] = some[-1].mark
        if tasks:
            await self._submit(tasks, expected)
            self._marks |= marks

    async def _submit(self, tasks: list[RecordTask], expected: dict[Partition, Mark]) -> None:
        results = await self._writer.submit(Unit(tasks, expected))
        for task, result in zip(tasks, results, strict=True):
            if isinstance(result, Exception):
                raise result
            self.counters.handled += 1
            if result.parked:
                self.counters.parked += 1
                log.error(
                    "record_parked", id=task.id, partition=task.partition, error=result.parked
                )

    async def _tasks(self, partition: Partition, records: list[Record]) -> list[RecordTask]:
        """The tasks of a partition's records: duplicates skipped, gaps healed."""
        mark = self._marks[partition]
        out: list[RecordTask] = []
        if records[0].offset < mark.next_offset:
            log.warning(
                "offsets_went_back", partition=partition, at=records[0].offset, was=mark.next_offset
            )
        for record in records:
            task, previous = self._task(record, mark)
            if previous is not None:
                if task.mark.sequence <= mark.sequence:
                    self.counters.duplicates += 1
                    task = _skip(record, mark)
                elif previous > mark.sequence:
                    out += await self._heal(partition, mark, previous)
                elif previous < mark.sequence:
                    raise ChainBroken(
                        f"position {task.mark.sequence} follows {previous}, but {mark.sequence} was handled"
                    )
            mark = task.mark
            out.append(task)
        return out

    def _task(self, record: Record, mark: Mark) -> tuple[RecordTask, int | None]:
        """The task of one record, and its predecessor's position when it is part of its producer's chain. A record that
        cannot be read becomes a task that parks it."""
        task = _skip(record, mark)
        parked = ParkedRow(
            record.topic,
            record.key,
            record.partition,
            record.offset,
            -1,
            pack_headers(record.headers),
            record.value,
            "",
        )
        previous = None
        try:
            task.envelope = envelope = read_headers(record.headers)
            task.id = envelope.id
            task.correlation_id = envelope.correlation_id
            task.actor = envelope.actor
            task.traceparent = envelope.traceparent
            task.causation_id = envelope.causation_id
            task.time = envelope.time
            if envelope.sequence is not None and envelope.source == self._sources[record.topic]:
                task.mark = Mark(record.offset + 1, envelope.sequence)
                parked = parked._replace(sequence=envelope.sequence)
                previous = envelope.previous
            if self._wants(envelope.type, record.topic):
                task.record = parked
                task.message = self._table.codec.decode(envelope.type, record.value)
        except (BadEnvelope, BadPayload, UnknownType) as error:
            task.record = parked
            task.error = f"{type(error).__name__}: {error}"
        return task, previous

    def _wants(self, tag: str, topic: str) -> bool:
        """Whether to decode a type. Another version of a type that is handled here is wanted (and parks when it cannot
        be read); so is anything on a commands topic, because it is addressed to this service."""
        if self._table.handles(tag):
            return True
        return tag.rpartition(".")[0] in self._wanted_names or not topic.endswith(".events")

    async def _heal(self, partition: Partition, mark: Mark, upto: int) -> list[RecordTask]:
        """Tasks for the positions in (mark, upto], from the producer's feed. Raises `CannotHeal`."""
        self.counters.gaps += 1
        log.error("gap_found", partition=partition, after=mark.sequence, upto=upto)
        out: list[RecordTask] = []
        while mark.sequence < upto:
            page = await self._healer.fetch(partition, mark.sequence, upto)
            if not page:
                raise CannotHeal(
                    f"the feed has nothing in ({mark.sequence}, {upto}] of {partition}"
                )
            for record in page:
                task, previous = self._task(record, mark)
                if previous != mark.sequence:
                    raise ChainBroken(
                        f"the feed of {partition} has no successor of {mark.sequence}"
                    )
                mark = task.mark = Mark(mark.next_offset, task.mark.sequence)
                out.append(task)
        self.counters.healed += len(out)
        log.warning("gap_healed", partition=partition, records=len(out))
        return out

    async def _check_tails(self, consumer: Consumer) -> None:
        """Nothing follows a record that was lost last, so no chain shows it: compare with the producers' heads."""
        topics = {t for t, _ in self._marks if catalogue.sequenced_by(t)}
        self.behind = False
        try:
            heads = await self._healer.heads(topics)
            behind = {
                p: head
                for p, head in heads.items()
                if p in self._marks and head > self._marks[p].sequence
            }
            ends = await consumer.ends(behind) if behind else {}
            for partition, head in behind.items():
                mark = self._marks[partition]
                if 0 < ends[partition] - mark.next_offset:
                    continue  # still to be read from the broker
                tasks = await self._heal(partition, mark, head)
                await self._submit(tasks, {partition: mark})
                self._marks[partition] = tasks[-1].mark
            self.behind = bool(behind)
        except (CannotHeal, ChainBroken) as error:
            log.info("tail_check_failed", error=str(error))


def _skip(record: Record, mark: Mark) -> RecordTask:
    """A task that only moves past a record."""
    return RecordTask(
        message=None,
        id=f"{record.topic}/{record.partition}/{record.offset}",
        partition=(record.topic, record.partition),
        mark=Mark(record.offset + 1, mark.sequence),
    )
