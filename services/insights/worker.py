"""One faust application: it reads the sources in batches, adds them to the table, and knows how far it is.

faust's commits are weaker than at-least-once, so they are not trusted. A batch is done when the changelog has
acknowledged its cells, and after them its progress; whoever takes a partition over starts where the progress says,
whatever was committed. Cells that are ahead of it carry their own watermark and take nothing twice. What does not
fit (a record ahead of its place that its predecessors do not follow, a changelog that does not answer) ends the
process: the next one starts from what is durable.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from math import inf
from time import monotonic
from typing import Any

import structlog
from faust.contrib.asgi import faust_app_running

from services.insights.app import SESSION_SECONDS, RawSchema, application
from services.insights.broker import Broker
from services.insights.chain import Chain
from services.insights.domain.batch import Batch, Read
from services.insights.domain.cells import READ, Key, Progress
from services.insights.figures import TOPICS
from services.insights.records import Unreadable, read
from services.insights.state import State, Value
from shared.ledger.store import Head, Partition
from shared.stream.healer import Healer

log = structlog.get_logger()

BATCH_RECORDS_MAX = 4000
#: Under load a larger batch writes a busy cell less often.
BATCH_SECONDS = 1.0
#: The changelog answers within this time, or the process ends.
ACKNOWLEDGE_SECONDS_MAX = 30
ANSWER_SECONDS_MAX = 10
#: How long records may be ahead of their place: what a rebalance leaves in faust's buffers.
AHEAD_SECONDS_MAX = 20
STOP_SECONDS_MAX = 6


class Broken(Exception):
    """The process cannot go on from what it holds in memory; the message says why."""


class Worker:
    """See the module. ``state`` may be read at any time."""

    def __init__(self, kafka: Broker, version: int, partitions: int, healer: Healer) -> None:
        self.version = version
        self.state = State(partitions)
        self.records = 0
        self.duplicates = 0
        self.ready = asyncio.Event()
        self._expected: dict[tuple[str, int], int] = {}
        self._ahead_since: dict[tuple[str, int], float] = {}
        self._chain = Chain(healer)
        self._awake = inf
        self._writing = asyncio.Lock()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._app, self._table = application(kafka, version, partitions)
        source = self._app.topic(*TOPICS, schema=RawSchema())
        self._app.agent(source, name="insights-adder")(self._add_all)
        self._table.on_recover(self._recovered)
        self._app.on_partitions_revoked.connect(self._revoked)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Works until the context is left."""
        async with faust_app_running(self._app, stop_timeout=STOP_SECONDS_MAX):
            yield

    def check(self) -> None:
        """Raises `Broken` when the process must end. To be called more often than a session takes to end."""
        self._check_awake()
        self._awake = monotonic()
        if self._broken.done():
            self._broken.result()
        if self._app.crashed:
            raise Broken(f"faust has crashed: {self._app.crash_reason!r}")

    def _check_awake(self) -> None:
        """A process that stood still for a session has lost its partitions, and does not know yet."""
        if (still := monotonic() - self._awake) > SESSION_SECONDS:
            raise Broken(f"stood still for {still:.0f} s: its partitions may be another worker's")

    @property
    def healed(self) -> int:
        """Records that were fetched from their producers' feeds."""
        return self._chain.healed

    def leads(self) -> bool:
        """Whether this worker is the one that announces: it has the first partition."""
        return 0 in self.state.owned and self.ready.is_set()

    async def put(self, partition: int, values: dict[str, Value | None]) -> bool:
        """Set or drop cells of a partition outside of a batch; False when it is another worker's by now."""
        async with self._writing:
            if partition not in self.state.owned:
                return False
            await self._store(partition, values)
            return True

    async def lag(self) -> dict[tuple[str, int], int]:
        """Records that are still to be read, of the partitions that are this worker's."""
        tps = [tp for tp in self._app.consumer.assignment() if tp.topic in TOPICS]
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            ends = await self._app.consumer.highwaters(*tps) if tps else {}
        out = {}
        for tp in tps:
            if tp.partition in self.state.owned and (end := ends.get(tp)) is not None:
                out[tp.topic, tp.partition] = max(
                    0, end - self._expected.get((tp.topic, tp.partition), 0)
                )
        return out

    # -- taking partitions over, and giving them up

    async def _revoked(self, *_: Any, **__: Any) -> None:
        """Partitions may move: the batch that is being written is waited for, and none begins until `_recovered`.

        This waits for the producer only, which is not part of the rebalance (compare aiokafka#335)."""
        async with self._writing:
            self.state.release()
            self._expected.clear()
            self._ahead_since.clear()

    async def _recovered(self) -> None:
        """The table holds what the changelog has. Have faust start where it says, not where was committed."""
        try:
            await self._take_over()
        except Exception as error:  # noqa: BLE001 - told to whoever watches, who ends the process
            self._fail(error)

    async def _take_over(self) -> None:
        if self._awake == inf:
            self._awake = monotonic()  # from now on there is something that another worker may take
        consumer: Any = self._app.consumer
        tps = [tp for tp in consumer.assignment() if tp.topic in TOPICS]
        owned = frozenset(tp.partition for tp in tps)
        first = await consumer.earliest_offsets(*tps) if tps else {}
        async with self._writing:
            self.state.hold(self._table.data, owned)
            self._expected = {
                (tp.topic, tp.partition): max(
                    self._progress(tp.topic, tp.partition).offset + 1, first.get(tp) or 0
                )
                for tp in tps
            }
            starts = {tp: self._expected[tp.topic, tp.partition] for tp in tps}
            await self._write_again()
        # The driver's own commit: its public one sends what faust has counted, which is what is not trusted.
        if starts and not await consumer._commit(starts):  # noqa: SLF001
            log.info("rebalanced_again", partitions=sorted(owned))
            return
        # Nor does its client go anywhere for a commit of 0: it stays behind what was committed before.
        for tp in (tp for tp, offset in starts.items() if offset == 0):
            await consumer.seek(tp, 0)
        self.ready.set()
        log.info("partitions_taken_over", partitions=sorted(owned), version=self.version)

    async def _write_again(self) -> None:
        """What a late write of another process stands behind, so that compaction keeps the right one."""
        data, outrun = self._table.data, self._table.outrun
        for text in sorted(outrun & set(data)):
            if (partition := Key.parse(text).partition) in self.state.owned:
                await self._store(partition, {text: data[text]})
        outrun.clear()

    def _fail(self, error: BaseException) -> None:
        if not self._broken.done():
            self._broken.set_exception(
                error if isinstance(error, Broken) else Broken(f"{type(error).__name__}: {error}")
            )

    # -- adding

    async def _add_all(self, stream: Any) -> None:
        async for events in stream.take_events(BATCH_RECORDS_MAX, within=BATCH_SECONDS):
            # An exception that leaves an agent acknowledges what failed (faust#606): nothing leaves it.
            try:
                await self._add(events)
            except Exception as error:  # noqa: BLE001 - told to whoever watches, who ends the process
                self._fail(error)

    async def _add(self, events: Iterable[Any]) -> None:
        by_partition: dict[int, list[Any]] = defaultdict(list)
        for event in events:
            by_partition[event.message.partition].append(event.message)
        async with self._writing:
            for partition, messages in by_partition.items():
                if partition in self.state.owned and not self._broken.done():
                    await self._add_partition(partition, messages)

    async def _add_partition(self, partition: int, messages: list[Any]) -> None:
        """The cells of a batch, acknowledged, and only then the progress."""
        changed: dict[str, Value] = {}
        done: dict[str, Progress] = {}
        by_topic: dict[str, list[Any]] = defaultdict(list)
        for message in messages:
            by_topic[message.topic].append(message)
        for topic, of_topic in by_topic.items():
            progress = self._progress(topic, partition)
            batch = Batch(partition, progress, self.state.own.get)
            if await self._fold(topic, batch, of_topic):
                changed |= batch.changed
                done[_read_key(topic, partition)] = progress
        if done:
            await self._keep(partition, changed, done)

    async def _keep(
        self, partition: int, changed: Mapping[str, Value], done: Mapping[str, Progress]
    ) -> None:
        await self._store(partition, changed)
        newest = max(progress.newest for progress in done.values())
        await self._store(partition, dict.fromkeys(self.state.expired(partition, newest)))
        await self._store(partition, done)

    async def mend(self, heads: Mapping[Partition, Head]) -> None:
        """Add what topics have lost at their ends, where nothing follows that would show it: a partition is read to its
        end, and does not reach what its producer had published before (``heads``)."""
        lag = await self.lag()
        ended = [place for place, head in heads.items() if head.published and lag.get(place) == 0]
        try:
            # No batch is half way then: all that was read is in the progress.
            async with self._writing:
                for topic, partition in ended:
                    if partition in self.state.owned and not self._broken.done():
                        await self._add_end(topic, partition, heads[topic, partition].position)
        except Exception as error:  # noqa: BLE001 - told to whoever watches, who ends the process
            self._fail(error)

    async def _add_end(self, topic: str, partition: int, upto: int) -> None:
        progress = self._progress(topic, partition)
        if not 0 < progress.sequence < upto:
            return  # before its first record nothing is missed
        place = (topic, partition)
        reads = await self._chain.end(place, progress.sequence, upto, progress.offset)
        if not reads:
            return
        batch = Batch(partition, progress, self.state.own.get)
        for each in reads:
            batch.add(each)
        self.records += len(reads)
        await self._keep(partition, batch.changed, {_read_key(topic, partition): progress})

    async def _fold(self, topic: str, batch: Batch, messages: list[Any]) -> bool:
        """Add what is in its place, and what is missing before it; returns whether anything was."""
        place = (topic, batch.partition)
        before, sequence = batch.progress.records, batch.progress.sequence
        taken = 0
        reads: list[Read] = []
        for message in messages:
            if message.offset > self._expected.get(place, 0):
                self._ahead(place, message.offset)
                continue
            self._expected[place] = message.offset + 1
            self._ahead_since.pop(place, None)
            taken += 1
            try:
                reads.append(read(message.offset, message.headers or (), message.value))
            except Unreadable as error:
                batch.skip(message.offset)
                log.warning("record_skipped", topic=topic, at=message.offset, error=str(error))
        for each in await self._chain.whole(place, sequence, reads):
            batch.add(each)
        self.records += batch.progress.records - before
        self.duplicates += max(0, taken - (batch.progress.records - before))
        return taken > 0

    def _ahead(self, place: tuple[str, int], offset: int) -> None:
        """A record before which others are missing: left over in a buffer, or faust has lost what came before it."""
        since = self._ahead_since.setdefault(place, monotonic())
        if monotonic() - since > AHEAD_SECONDS_MAX:
            raise Broken(f"{place}: offset {offset} came, {self._expected.get(place)} did not")

    def _progress(self, topic: str, partition: int) -> Progress:
        found = self._table.data.get(_read_key(topic, partition))
        return found if isinstance(found, Progress) else Progress()

    async def _store(self, partition: int, values: Mapping[str, Value | None]) -> None:
        """Set (or drop, where None) cells, and return once the changelog has them."""
        self._check_awake()
        sent = []
        for text, value in values.items():
            if value is None:
                self._table.data.pop(text, None)
                self.state.forget(text)
            else:
                self._table.data[text] = value
                self.state.note(text)
            # Past `table[key] = …`, which takes the partition from the event at hand and drops the acknowledgement.
            sent.append(self._table.send_changelog(partition, text, value))
        try:
            async with asyncio.timeout(ACKNOWLEDGE_SECONDS_MAX):
                await asyncio.gather(*sent)
        except TimeoutError as error:
            raise Broken(
                f"the changelog did not answer for {ACKNOWLEDGE_SECONDS_MAX} s: is Kafka up?"
            ) from error


def _read_key(topic: str, partition: int) -> str:
    return str(Key(READ, partition, shard=topic))
