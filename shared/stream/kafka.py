"""Kafka through aiokafka, with the settings and the defences that its known faults ask for."""

import asyncio
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError, KafkaError

from shared.ledger.store import Partition
from shared.stream.login import OPEN, Login
from shared.stream.port import BrokerLost, Outgoing, Record

log = structlog.get_logger()

#: Sends of an idempotent producer never time out by themselves (aiokafka#1101): they are given this long.
PUBLISH_SECONDS_MAX = 30
STOP_SECONDS_MAX = 3
ANSWER_SECONDS_MAX = 10
#: Joining a group waits until the broker has given up a member that was killed. This is longer than any session
#: timeout, or every attempt would itself leave a member behind that the next one waits for.
JOIN_SECONDS_MAX = 60
BATCH_BYTES_MAX = 1_000_000
#: A topic that was deleted and made anew gives partitions again once clients look: by themselves only every 5 minutes.
METADATA_MS_MAX = 10_000
#: The client fetches ahead, so much of each partition, and a service that is behind has dozens of partitions. A larger
#: record comes all the same, alone.
FETCH_BYTES_MAX = 256 << 10
#: A broker that has records answers sooner than this.
FRESH_MS = 5
#: Around an undecodable record so many are read at once, of each partition.
STEPS_MAX = 500
#: The headers of what stands for a record that the client cannot decode: no CloudEvent, so that it is parked.
UNDECODABLE = [
    ("undecodable", b"a header's name is not UTF-8: look at the topic with another client")
]
_VALUE = itemgetter(1)


def _record(r: Any) -> Record:
    """Kafka knows null for key, value and headers; nothing here makes a difference between null and empty."""
    headers = r.headers  # a dozen of each record: copied only where one of them is null
    if None in map(_VALUE, headers):
        headers = [(name, value or b"") for name, value in headers]
    return Record(r.topic, r.partition, r.offset, r.key or b"", r.value or b"", headers)


class KafkaProducer:
    """An idempotent producer that keeps one batch in flight per partition."""

    def __init__(self, bootstrap: str, login: Login = OPEN) -> None:
        self._client = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            **login.options(),
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=BATCH_BYTES_MAX,
            request_timeout_ms=30_000,
        )

    async def start(self) -> None:
        """Connect. Raises `BrokerLost`."""
        try:
            async with asyncio.timeout(PUBLISH_SECONDS_MAX):
                await self._client.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await self.stop()
            raise BrokerLost(f"cannot connect: {error!r}") from error

    async def stop(self) -> None:
        """Disconnect. Stopping hangs while the broker is away (aiokafka#1101), so it gets a few seconds only."""
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await self._client.stop()
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("producer_stop_failed", error=repr(error))

    async def publish(self, partition: Partition, records: list[Outgoing]) -> None:
        topic, number = partition
        rest = iter(records)
        record = next(rest, None)
        while record is not None:
            batch = self._client.create_batch()
            while record is not None and batch.append(
                key=record.key, value=record.value, timestamp=None, headers=record.headers
            ):
                record = next(rest, None)
            if not batch.record_count():
                raise ValueError(
                    f"a record of {len(record.value) if record else 0} bytes fits no batch"
                )
            batch.close()
            try:
                sent = await self._client.send_batch(batch, topic, partition=number)
                async with asyncio.timeout(PUBLISH_SECONDS_MAX):
                    await sent
            except (KafkaError, OSError, TimeoutError) as error:
                raise BrokerLost(f"{topic}/{number}: {error!r}") from error


class _Moved(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes that partitions moved. Only signals: waiting here on the poll loop would deadlock (aiokafka#335)."""

    def __init__(self) -> None:
        self.moved = True

    def on_partitions_revoked(self, revoked: Any) -> None:  # noqa: ARG002 - the client's interface
        self.moved = True

    def on_partitions_assigned(self, assigned: Any) -> None:  # noqa: ARG002 - the client's interface
        self.moved = True


class KafkaConsumer:
    """A member of a consumer group. Offsets come from the caller's checkpoints, not from the broker."""

    def __init__(
        self,
        bootstrap: str,
        group: str,
        topics: Iterable[str],
        *,
        records_max: int = 1000,
        session_ms: int = 45_000,
        login: Login = OPEN,
    ) -> None:
        self._topics = list(topics)
        self._records_max = records_max
        self._client = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            **login.options(),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=records_max,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=3_000,
            max_poll_interval_ms=300_000,
            fetch_max_wait_ms=100,
            metadata_max_age_ms=METADATA_MS_MAX,
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
        )
        self._listener = _Moved()
        self._assigned: frozenset[Partition] = frozenset()
        self._generation = 0
        self._next: dict[Partition, int] = {}

    async def start(self) -> None:
        """Join the group. Raises `BrokerLost`."""
        try:
            self._client.subscribe(self._topics, listener=self._listener)
            async with asyncio.timeout(JOIN_SECONDS_MAX):
                await self._client.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await self.stop()
            raise BrokerLost(f"cannot connect: {error!r}") from error

    async def stop(self) -> None:
        """Leave the group, within a few seconds."""
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await self._client.stop()
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("consumer_stop_failed", error=repr(error))

    async def poll(self, timeout_seconds: float) -> dict[Partition, list[Record]]:
        try:
            try:
                fetched = await self._fetch(int(timeout_seconds * 1000))
            except UnicodeDecodeError:
                fetched = await self._step_over()
        except (KafkaError, OSError) as error:
            raise BrokerLost(repr(error)) from error
        now = frozenset((tp.topic, tp.partition) for tp in self._client.assignment())
        if self._listener.moved or now != self._assigned:
            # What was fetched may start at offsets that are not ours: drop it, the caller seeks first.
            self._listener.moved = False
            self._assigned = now
            self._generation += 1
            return {}
        out = {(tp.topic, tp.partition): list(map(_record, some)) for tp, some in fetched.items()}
        self._next |= {partition: some[-1].offset + 1 for partition, some in out.items() if some}
        return out

    async def _fetch(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        """What is there, or comes in time. Records that the client holds already came right after the last poll, and while
        it held them it asked for no others: what the broker got since then is fetched now, or it would wait here until the
        poll after this one."""
        held: dict[TopicPartition, list[Any]] = await self._client.getmany(timeout_ms=0)
        room = self._records_max - sum(map(len, held.values()))
        if room > 0:
            fresh = await self._client.getmany(
                timeout_ms=FRESH_MS if held else timeout_ms, max_records=room
            )
            for tp, some in fresh.items():
                held.setdefault(tp, []).extend(some)
        return held

    async def _step_over(self) -> dict[TopicPartition, list[Any]]:
        """Read one record at a time, up to one that the client cannot decode, and put something in its place that can be
        parked. What else the client had fetched is lost with its exception, so all is read anew.

        aiokafka decodes names of headers as UTF-8; clients in C may write any bytes.
        """
        waiting = self._client.assignment() - self._client.paused()
        out: dict[TopicPartition, list[Any]] = {tp: [] for tp in waiting}
        for tp in waiting:
            self._client.seek(tp, self._next.get((tp.topic, tp.partition), 0))
        for tp, some in out.items():
            try:
                while len(some) < STEPS_MAX and (
                    more := await self._client.getmany(tp, timeout_ms=300, max_records=1)
                ):
                    some.extend(more[tp])
            except UnicodeDecodeError:
                at = some[-1].offset + 1 if some else self._next.get((tp.topic, tp.partition), 0)
                log.error("record_undecodable", topic=tp.topic, partition=tp.partition, at=at)
                key = f"undecodable-{tp.partition}-{at}".encode()
                some.append(Record(tp.topic, tp.partition, at, key, b"", UNDECODABLE))
                self._client.seek(tp, at + 1)
        return {tp: some for tp, some in out.items() if some}

    def assigned(self) -> frozenset[Partition]:
        return self._assigned

    def generation(self) -> int:
        return self._generation

    def seek(self, partition: Partition, offset: int) -> None:
        self._next[partition] = offset
        self._unless_moved(lambda tp: self._client.seek(tp, offset), partition)

    def pause(self, partition: Partition) -> None:
        self._unless_moved(self._client.pause, partition)

    def resume(self, partition: Partition) -> None:
        self._unless_moved(self._client.resume, partition)

    def _unless_moved(self, act: Callable[[TopicPartition], None], partition: Partition) -> None:
        """A partition that has moved meanwhile is nothing to act on: the next poll tells of it."""
        try:
            act(TopicPartition(*partition))
        except IllegalStateError:
            log.info("partition_has_moved", partition=partition)

    async def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                ends = await self._client.end_offsets([TopicPartition(*p) for p in partitions])
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerLost(repr(error)) from error
        return {(tp.topic, tp.partition): offset for tp, offset in ends.items()}

    async def positions(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        found: dict[Partition, int] = {}
        for partition in partitions:
            try:
                tp = TopicPartition(*partition)
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    found[partition] = await self._client.position(tp)
            except IllegalStateError:
                log.info("partition_has_moved", partition=partition)
            except (KafkaError, OSError, TimeoutError) as error:
                raise BrokerLost(repr(error)) from error
        return found

    async def commit(self, offsets: dict[Partition, int]) -> None:
        if not offsets:
            return  # which the client takes for a mistake
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                await self._client.commit({TopicPartition(*p): o for p, o in offsets.items()})
        except (KafkaError, OSError, TimeoutError) as error:
            log.info("group_offsets_not_committed", error=repr(error))
