"""The consumer runtime: records to tasks, with the watermark against duplicates and the chain against gaps.

Every record from a service of the house carries its feed position and that of its predecessor on the partition. At or
below the watermark it is a duplicate, whatever the relay or the broker did; when its predecessor is the watermark it is
next; when its predecessor is above the watermark something was lost, and is fetched from the producer's feed (see
`shared.stream.recovery`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import structlog

from shared.events import BadEnvelope, BadPayload, UnknownType, catalogue, read_headers
from shared.ledger.store import Fenced, Mark, Partition, Unavailable
from shared.ledger.table import Table
from shared.ledger.work import Outcome, Overloaded, RecordTask, Unit
from shared.stream.gather import pause
from shared.stream.healer import Healer
from shared.stream.port import BrokerLost, Consumer, Record
from shared.stream.recovery import ChainBroken, Checkpoints, Counters, Gap, Recovery

log = structlog.get_logger()

POLL_SECONDS = 0.5
RETRY_SECONDS = 1.0
#: A larger batch is worth a short wait: every poll with records is followed by one, so that others get the processor and
#: the writer, and what comes next comes together. A service that nobody waits for waits longer, by its settings.
GATHER_SECONDS = 0.005
#: How often a consumer tells the broker how far it is: others judge by that whether it is behind.
COMMIT_SECONDS = 1.0

#: What travels on each topic, without the versions.
_ADDRESSED = {
    topic.name: {t.tag().rpartition(".")[0] for t in topic.types} for topic in catalogue.topics()
}
#: Types that are remembered as of no interest here; more than exist, less than a hostile producer could make up.
UNWANTED_MAX = 1000


class StartedConsumer(Consumer, Protocol):
    """A consumer that is connected and must be stopped."""

    async def stop(self) -> None: ...


class Sink(Protocol):
    """What becomes of the tasks, together with their partitions' marks: the writer, or a projector."""

    async def submit(self, unit: Unit) -> list[Outcome | Exception]: ...


async def _nothing(topics: set[str]) -> None:
    """Taking over partitions needs nothing more by default."""


class ConsumerRuntime:
    """Feeds a service's topics to its writer until cancelled. ``taken_over`` is called with the topics whenever
    partitions were assigned."""

    def __init__(
        self,
        table: Table,
        store: Checkpoints,
        writer: Sink,
        healer: Healer,
        connect: Callable[[], Awaitable[StartedConsumer]],
        taken_over: Callable[[set[str]], Awaitable[None]] = _nothing,
        *,
        gather_seconds: float = GATHER_SECONDS,
    ) -> None:
        self._table = table
        self._store = store
        self._writer = writer
        self._healer = healer
        self._connect = connect
        self._taken_over = taken_over
        self._gather_seconds = gather_seconds
        self.marks: dict[Partition, Mark] = {}
        self._wanted_names = {tag.rpartition(".")[0] for t in table.handlers for tag in [t.tag()]}
        producers = {t: catalogue.sequenced_by(t) for t in table.topics}
        self._sources = {t: f"/oms/{p}" for t, p in producers.items() if p is not None}
        self._source_bytes = {t: source.encode() for t, source in self._sources.items()}
        self._unwanted: set[bytes] = set()
        self.counters = Counters()
        self.busy = False
        self.ready = asyncio.Event()
        self._recovery: Recovery | None = None

    @property
    def assigned(self) -> bool:
        """Whether this process has partitions to consume."""
        return bool(self.marks)

    @property
    def behind(self) -> bool:
        """Whether producers have positions that were not handled here at the last look."""
        return self._recovery is not None and self._recovery.behind

    async def run(self) -> None:
        """Consume until cancelled; a lost broker or a fence rebuilds the client and rereads the checkpoints."""
        while True:
            try:
                consumer = await self._connect()
                recovery = Recovery(self, consumer, self._healer, self._store)
                self._recovery = recovery
                try:
                    await self._consume(consumer, recovery)
                finally:
                    await recovery.stop()
                    self.marks.clear()
                    self.busy = False
                    await consumer.stop()
            except (BrokerLost, Fenced, Unavailable, Overloaded) as error:
                log.warning("consumer_restarts", error=str(error), kind=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    async def _consume(self, consumer: Consumer, recovery: Recovery) -> None:
        polls = generation = 0
        clock = asyncio.get_running_loop().time
        committed = clock()
        while True:
            records = await consumer.poll(POLL_SECONDS)
            recovery.check()
            if consumer.generation() != generation:
                generation = consumer.generation()
                await recovery.forget()
                await self._take_over(consumer)
                continue
            if records:
                await self._handle(recovery, records)
                polls += 1
                await asyncio.sleep(pause(self._gather_seconds, sum(map(len, records.values()))))
            if polls and clock() - committed > COMMIT_SECONDS:
                await self._commit(consumer)
                polls, committed = 0, clock()

    async def _commit(self, consumer: Consumer) -> None:
        await consumer.commit({p: m.next_offset for p, m in self.marks.items() if m.next_offset})

    async def _take_over(self, consumer: Consumer) -> None:
        """Partitions moved: go on where the store says, not where the broker does."""
        assigned = consumer.assigned()
        stored = await self._store.checkpoints(assigned)
        self.marks = {p: stored[p] for p in assigned}
        await self._taken_over({topic for topic, _ in assigned})
        for partition, mark in self.marks.items():
            consumer.seek(partition, mark.next_offset)
        log.info("partitions_assigned", count=len(assigned))
        if assigned:
            self.ready.set()

    async def _handle(self, recovery: Recovery, records: dict[Partition, list[Record]]) -> None:
        """Hand one poll's records to the writer as one unit; partitions that cannot go on are left to the recovery."""
        tasks: list[RecordTask] = []
        expected: dict[Partition, Mark] = {}
        marks: dict[Partition, Mark] = {}
        troubles: dict[Partition, Gap | ChainBroken] = {}
        for partition, batch in records.items():
            if recovery.stopped(partition):
                continue  # it is sought back when it is mended
            some, trouble = self._tasks(partition, batch)
            if trouble is not None:
                troubles[partition] = trouble
            if some:
                tasks += some
                expected[partition] = self.marks[partition]
                marks[partition] = some[-1].mark
        if tasks:
            self.busy = True
            await self.submit(tasks, expected)
            self.marks |= marks
            self.busy = False
        for partition, trouble in troubles.items():
            recovery.begin(partition, trouble)

    async def submit(self, tasks: list[RecordTask], expected: dict[Partition, Mark]) -> None:
        """Hand tasks over, and return once they and their marks are durable."""
        results = await self._writer.submit(Unit(tasks, expected))
        for task, result in zip(tasks, results, strict=True):
            if isinstance(result, Exception):
                raise result
            self.counters.handled += 1
            if result.refused is not None:
                # Nobody waits for an answer here, so this line is all that tells of it.
                self.counters.refused += 1
                log.warning(
                    "record_refused",
                    id=task.id,
                    partition=task.partition,
                    code=result.refused.code,
                    detail=result.refused.detail[:500],
                )
            if result.parked:
                self.counters.parked += 1
                log.error(
                    "record_parked", id=task.id, partition=task.partition, error=result.parked
                )

    def _tasks(
        self, partition: Partition, records: list[Record]
    ) -> tuple[list[RecordTask], Gap | ChainBroken | None]:
        """The tasks of a partition's records up to the first trouble; duplicates are skipped."""
        mark = self.marks[partition]
        out: list[RecordTask] = []
        if records[0].offset < mark.next_offset:
            log.warning(
                "offsets_went_back", partition=partition, at=records[0].offset, was=mark.next_offset
            )
        passed: Record | None = None
        for record in records:
            headers = dict(record.headers)
            if (sequence := self._pass(headers, record.topic, mark.sequence)) is not None:
                mark, passed = Mark(record.offset + 1, sequence), record
                continue
            passed = None
            task, previous = self.task(record, mark, headers)
            if previous is not None:
                if task.mark.sequence <= mark.sequence:
                    self.counters.duplicates += 1
                    task = _skip(record, mark)
                elif previous > mark.sequence:
                    return out, Gap(previous, record.offset)
                elif previous < mark.sequence:
                    return out, ChainBroken(
                        f"position {task.mark.sequence} follows {previous}, but {mark.sequence} was handled",
                        record.offset,
                    )
            mark = task.mark
            out.append(task)
        if passed is not None:
            out.append(_skip(passed, mark))
        return out, None

    def _pass(self, headers: dict[str, bytes], topic: str, before: int) -> int | None:
        """The position of a record that is next in its chain after ``before`` and of a type that nobody here wants: most
        records of some topics, so they cost a look at four headers and no task. None for every other record."""
        kind = headers.get("ce_type", b"")
        if kind not in self._unwanted and not self._is_unwanted(kind, topic):
            return None
        if headers.get("ce_source") != self._source_bytes.get(topic):
            return None
        if headers.get("ce_previous") != b"%d" % before:
            return None
        try:
            sequence = int(headers["ce_sequence"])
        except (KeyError, ValueError):
            return None
        return sequence if before < sequence < 2**63 else None

    def _is_unwanted(self, kind: bytes, topic: str) -> bool:
        try:
            unwanted = not self._wants(kind.decode(), topic)
        except UnicodeDecodeError:
            return False
        if unwanted and len(self._unwanted) < UNWANTED_MAX:
            self._unwanted.add(kind)
        return unwanted

    def task(
        self, record: Record, mark: Mark, headers: Mapping[str, bytes]
    ) -> tuple[RecordTask, int | None]:
        """The task of one record, and its predecessor's position when it is part of its producer's chain. A record that
        cannot be read becomes a task that parks it."""
        task = _skip(record, mark)
        previous = None
        try:
            envelope = read_headers(headers)
            task.id = envelope.name
            task.correlation_id = envelope.correlation_id
            task.actor = envelope.actor
            task.traceparent = envelope.traceparent
            task.causation_id = envelope.causation_id
            task.time = envelope.time
            if envelope.sequence is not None and envelope.source == self._sources.get(record.topic):
                task.mark = Mark(record.offset + 1, envelope.sequence)
                task.chained = True
                previous = envelope.previous
            if self._wants(envelope.type, record.topic):
                task.record = record
                task.message = self._table.read(record.topic, envelope.type, record.value)
        except (BadEnvelope, BadPayload, UnknownType) as error:
            task.record = record
            task.error = f"{type(error).__name__}: {error}"
        return task, previous

    def _wants(self, tag: str, topic: str) -> bool:
        """Whether to decode a type. Another version of a type that is handled here is wanted (and parks when it cannot
        be read); so is anything on a commands topic, because it is addressed to this service, unless it is known to be
        addressed to another."""
        name = tag.rpartition(".")[0]
        if name in self._wanted_names or self._table.handles(tag):
            return True
        return not topic.endswith(".events") and name not in _ADDRESSED.get(topic, ())


def _skip(record: Record, mark: Mark) -> RecordTask:
    """A task that only moves past a record."""
    return RecordTask(
        message=None,
        id=f"{record.topic}/{record.partition}/{record.offset}",
        partition=(record.topic, record.partition),
        mark=Mark(record.offset + 1, mark.sequence),
    )
