"""What a consumer does about lost records: beside its reading, so that the trouble of one partition stops no other.

A partition with a gap is paused, fed from its producer's feed until the gap is closed, and read on from the record that
showed the gap. Nothing follows a record that was lost last, so no chain shows that: the producers' heads do.
"""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import structlog

from shared.events import catalogue
from shared.ledger.store import Head, Mark, Partition
from shared.ledger.work import RecordTask
from shared.stream.healer import CannotHeal, Healer
from shared.stream.port import Consumer, Record

log = structlog.get_logger()

#: Until a feed that did not answer is asked again: the first time, and at most.
RETRY_FIRST_SECONDS = 0.5
RETRY_LONGEST_SECONDS = 15.0
#: Until a broken chain is looked at again; only a person can mend it.
HOLD_SECONDS = 10.0
#: How often the producers are asked whether the broker has lost the end of a partition, and how long one may stand
#: still at the broker's end before that counts: the relay publishes what has a position within moments.
TAIL_CHECK_SECONDS = 5.0
TAIL_STILL_SECONDS = 1.0


class ChainBroken(Exception):
    """A record's predecessor lies below the watermark: producer and consumer disagree about the past (a restored
    backup?). The partition stops at ``offset`` until a person decides; see the runbook in the service's README."""

    def __init__(self, text: str, offset: int) -> None:
        super().__init__(text)
        self.offset = offset


class Gap(NamedTuple):
    """Positions up to ``upto`` are missing before the record at ``offset``."""

    upto: int
    offset: int


@dataclass(slots=True)
class Counters:
    """What the runtime has seen since start, for metrics and tests."""

    handled: int = 0
    duplicates: int = 0
    gaps: int = 0
    healed: int = 0
    parked: int = 0
    refused: int = 0
    stopped: int = 0
    rewound: int = 0


class Checkpoints(Protocol):
    """Where the marks are kept; a service's store, or one version of a read model."""

    async def checkpoints(self, partitions: Iterable[Partition]) -> dict[Partition, Mark]: ...


class Reader(Protocol):
    """The runtime that reads on: how a record becomes a task, and where tasks go."""

    marks: dict[Partition, Mark]
    counters: Counters
    busy: bool

    def task(
        self, record: Record, mark: Mark, headers: Mapping[str, bytes]
    ) -> tuple[RecordTask, int | None]: ...

    async def submit(self, tasks: list[RecordTask], expected: dict[Partition, Mark]) -> None: ...


class Recovery:
    """The background work of one connected consumer. A failure of it shows in `check`."""

    def __init__(
        self, reader: Reader, consumer: Consumer, healer: Healer, store: Checkpoints
    ) -> None:
        self._reader = reader
        self._consumer = consumer
        self._healer = healer
        self._store = store
        self._stopped: dict[Partition, asyncio.Task[None]] = {}
        self._watching = asyncio.create_task(self._watch(), name="tails")
        self.behind = False

    def check(self) -> None:
        """Raise what the background work failed with (`Fenced`, `Unavailable`, `BrokerLost` …)."""
        for partition, task in list(self._stopped.items()):
            if task.done():
                del self._stopped[partition]
                task.result()
        if self._watching.done():
            self._watching.result()

    def stopped(self, partition: Partition) -> bool:
        """Whether a partition waits to be mended."""
        task = self._stopped.get(partition)
        return task is not None and not task.done()

    async def forget(self) -> None:
        """Partitions moved: what was being mended is others' business, or found again."""
        await _end(self._stopped.values())
        self._stopped.clear()

    async def stop(self) -> None:
        """End all background work."""
        await _end([self._watching, *self._stopped.values()])

    def begin(self, partition: Partition, trouble: Gap | ChainBroken) -> None:
        """Stop reading a partition until its gap is closed from the producer's feed; where its chain is broken, until
        the checkpoint was mended."""
        work: Coroutine[Any, Any, None]
        if isinstance(trouble, Gap):
            self._reader.counters.gaps += 1
            after = self._reader.marks[partition].sequence
            log.error("gap_found", partition=partition, after=after, upto=trouble.upto)
            work = self._heal(partition, trouble)
        else:
            self._note(partition, trouble, HOLD_SECONDS)
            work = self._hold(partition, trouble.offset)
        self._consumer.pause(partition)
        self._stopped[partition] = asyncio.create_task(work, name=f"recover {partition}")

    def _note(self, partition: Partition, error: Exception, wait: float) -> None:
        self._reader.counters.stopped += 1
        log.error("partition_stopped", partition=partition, error=str(error), again_seconds=wait)

    def _read_on(self, partition: Partition, offset: int) -> None:
        self._consumer.seek(partition, offset)
        self._consumer.resume(partition)

    async def _hold(self, partition: Partition, offset: int) -> None:
        await asyncio.sleep(HOLD_SECONDS)
        self._reader.marks |= await self._store.checkpoints([partition])
        self._read_on(partition, offset)

    async def _heal(self, partition: Partition, gap: Gap) -> None:
        marks, healed, wait = self._reader.marks, 0, RETRY_FIRST_SECONDS
        while marks[partition].sequence < gap.upto:
            try:
                tasks = await self._page(partition, gap)
            except (CannotHeal, ChainBroken) as error:
                self._note(partition, error, wait)
                await asyncio.sleep(wait)
                wait = min(wait * 2, RETRY_LONGEST_SECONDS)
                marks |= await self._store.checkpoints([partition])
                continue
            await self._reader.submit(tasks, {partition: marks[partition]})
            marks[partition] = tasks[-1].mark
            self._reader.counters.healed += len(tasks)
            healed += len(tasks)
        log.warning("gap_healed", partition=partition, records=healed)
        self._read_on(partition, gap.offset)

    async def _page(self, partition: Partition, gap: Gap) -> list[RecordTask]:
        """Tasks for the next positions that are missing. Raises `CannotHeal` or `ChainBroken`."""
        mark = self._reader.marks[partition]
        page = await self._healer.fetch(partition, mark.sequence, gap.upto)
        if not page:
            raise CannotHeal(
                f"the feed has nothing in ({mark.sequence}, {gap.upto}] of {partition}"
            )
        tasks: list[RecordTask] = []
        for record in page:
            task, previous = self._reader.task(record, mark, dict(record.headers))
            if previous != mark.sequence:
                raise ChainBroken(
                    f"the feed of {partition} has no successor of {mark.sequence}", gap.offset
                )
            mark = task.mark = Mark(gap.offset, task.mark.sequence)
            tasks.append(task)
        return tasks

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TAIL_CHECK_SECONDS)
            await self._check_tails()

    async def _check_tails(self) -> None:
        # A partition that is being mended is late as well, but no new client would help it.
        marks = {p: m for p, m in self._reader.marks.items() if not self.stopped(p)}
        heads = await self._heads(marks)
        for partition, mark in marks.items():
            head = heads.get(partition)
            if head is not None and head.position < mark.sequence:
                self._reader.counters.rewound += 1
                log.error(
                    "producer_lost_its_past",
                    partition=partition,
                    head=head.position,
                    handled=mark.sequence,
                )
        # What is still to be published is not lost; and what follows it will show whether anything was.
        late = {
            p: m
            for p, m in marks.items()
            if (head := heads.get(p)) and head.published and head.position > m.sequence
        }
        self.behind = bool(late)
        if not late:
            return
        generation = self._consumer.generation()
        await asyncio.sleep(TAIL_STILL_SECONDS)
        still = [p for p, m in late.items() if self._reader.marks.get(p) == m]
        if not still:
            return
        ends = await self._consumer.ends(still)
        positions = await self._consumer.positions(still)
        if self._consumer.generation() != generation:
            return  # these positions are what the group has committed; the marks are about to be read anew
        for p in still:
            waits = self._reader.busy or self._reader.marks.get(p) != late[p] or self.stopped(p)
            if not waits and positions.get(p, -1) >= ends[p]:
                self.begin(p, Gap(heads[p].position, ends[p]))

    async def _heads(self, partitions: Iterable[Partition]) -> dict[Partition, Head]:
        """The heads of these partitions, where their producer answers."""
        by_service: dict[str, set[str]] = defaultdict(set)
        for topic, _ in partitions:
            if service := catalogue.sequenced_by(topic):
                by_service[service].add(topic)
        out: dict[Partition, Head] = {}
        for service, some in by_service.items():
            try:
                heads = await self._healer.heads(some)
                out |= {
                    p: heads.get(p, Head(0, published=True)) for p in partitions if p[0] in some
                }
            except CannotHeal as error:
                log.info("tail_check_failed", producer=service, error=str(error))
        return out


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel and wait; what they failed with is of no interest any more."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
