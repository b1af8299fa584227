"""The broker in memory, for simulation and unit tests: partitions, groups and rebalances, and what can go wrong there.

``fault`` is awaited at labelled points, where a simulation waits or raises `BrokerLost`: ``publish`` before each record
(raising there leaves a first part), ``acknowledge`` after the last one (raising there is a lost acknowledgement),
``poll``, ``ends`` and ``commit``.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from shared.ledger.memory_tables import Fault, calm
from shared.ledger.store import Partition
from shared.stream.port import BrokerLost, Outgoing, Record


@dataclass(slots=True)
class Log:
    """One partition's records by offset; a hole is an offset that is not there."""

    records: dict[int, Record] = field(default_factory=dict)
    end: int = 0

    def first(self) -> int:
        """The offset of the first record, or the end."""
        return min(self.records, default=self.end)


@dataclass(slots=True)
class Group:
    """A consumer group: who is in it, what each member reads, and the offsets that were committed."""

    members: list["MemoryConsumer"] = field(default_factory=list)
    given: dict["MemoryConsumer", frozenset[Partition]] = field(default_factory=dict)
    committed: dict[Partition, int] = field(default_factory=dict)
    generation: int = 0


class MemoryBroker:
    """Topics and groups; outlives the clients. The methods here are what a test or a simulation does to a broker."""

    def __init__(self, topics: dict[str, int] | None = None, *, fault: Fault = calm) -> None:
        self.logs: dict[Partition, Log] = {}
        self.fault = fault
        self._groups: dict[str, Group] = {}
        self._waiting: dict[MemoryConsumer, asyncio.Future[None]] = {}
        for topic, partitions in (topics or {}).items():
            self.create(topic, partitions)

    def create(self, topic: str, partitions: int) -> None:
        """Make an empty topic."""
        for partition in range(partitions):
            self.logs[topic, partition] = Log()

    def wipe(self, topic: str) -> None:
        """Delete a topic and make it anew: its offsets start at 0 again."""
        self.create(topic, sum(t == topic for t, _ in self.logs))

    def remove(self, partition: Partition, offset: int) -> Record:
        """Lose one record; the others keep their offsets."""
        return self.logs[partition].records.pop(offset)

    def append(self, partition: Partition, record: Outgoing) -> int:
        """Store a record and return its offset."""
        log = self.logs[partition]
        offset = log.end
        log.records[offset] = Record(*partition, offset, record.key, record.value, record.headers)
        log.end += 1
        self.wake(partition)
        return offset

    def repeat(self, partition: Partition, offset: int) -> None:
        """Append a copy of a record, as a retried request does."""
        record = self.logs[partition].records[offset]
        self.append(partition, Outgoing(record.key, record.value, record.headers))

    def records(self, partition: Partition) -> list[Record]:
        """What a partition holds, in order."""
        log = self.logs[partition]
        return [log.records[offset] for offset in sorted(log.records)]

    def group(self, name: str) -> Group:
        """A consumer group, made when it is first asked for."""
        return self._groups.setdefault(name, Group())

    def rebalance(self, group: str) -> None:
        """Give the partitions out anew, one after the other in the order in which members joined."""
        g = self.group(group)
        g.generation += 1
        shares: dict[MemoryConsumer, set[Partition]] = {m: set() for m in g.members}
        for number, partition in enumerate(sorted(self.logs)):
            able = [m for m in g.members if partition[0] in m.topics]
            if able:
                shares[able[number % len(able)]].add(partition)
        g.given = {m: frozenset(share) for m, share in shares.items()}
        self.wake()

    def wake(self, partition: Partition | None = None) -> None:
        """Let waiting consumers look: those that read a partition, or all."""
        for consumer, waiting in self._waiting.items():
            if not waiting.done() and (partition is None or consumer.reads(partition)):
                waiting.set_result(None)

    async def change(self, consumer: "MemoryConsumer", timeout_seconds: float) -> None:
        """Wait until something happens that a consumer should see, or for some seconds."""
        waiting = self._waiting[consumer] = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait((waiting,), timeout=timeout_seconds)
        finally:
            del self._waiting[consumer]


class MemoryProducer:
    """See `shared.stream.port.Producer`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def stop(self) -> None:
        """Disconnect."""

    async def publish(self, partition: Partition, records: list[Outgoing]) -> None:
        """Append all records in order, or after `BrokerLost` a first part of them."""
        for record in records:
            await self._broker.fault("publish")
            if partition not in self._broker.logs:
                raise BrokerLost(f"there is no partition {partition}")
            self._broker.append(partition, record)
        await self._broker.fault("acknowledge")


class MemoryConsumer:
    """A member of a group; see `shared.stream.port.Consumer`."""

    def __init__(
        self, broker: MemoryBroker, group: str, topics: Iterable[str], *, records_max: int = 1000
    ) -> None:
        self.topics = frozenset(topics)
        self._broker = broker
        self._name = group
        self._group = broker.group(group)
        self._records_max = records_max
        self._assigned: frozenset[Partition] = frozenset()
        self._generation = 0
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._group.members.append(self)
        broker.rebalance(group)

    async def stop(self) -> None:
        """Leave the group."""
        if self in self._group.members:
            self._group.members.remove(self)
            self._broker.rebalance(self._name)

    async def poll(self, timeout_seconds: float) -> dict[Partition, list[Record]]:
        """The next records of each partition, waiting for some until the timeout."""
        await self._broker.fault("poll")
        if not self._moved():
            fetched = self._fetch()
            if fetched:
                return fetched
            await self._broker.change(self, timeout_seconds)
            if not self._moved():
                return self._fetch()
        self._generation = self._group.generation
        self._assigned = self._group.given.get(self, frozenset())
        self._positions = {p: self._group.committed.get(p, 0) for p in self._assigned}
        self._paused.clear()
        return {}

    def _moved(self) -> bool:
        return self._generation != self._group.generation

    def _fetch(self) -> dict[Partition, list[Record]]:
        out: dict[Partition, list[Record]] = {}
        room = self._records_max
        for partition in sorted(self._assigned - self._paused):
            log, position = self._broker.logs[partition], self._positions[partition]
            if position > log.end:
                position = (
                    log.first()
                )  # as a Kafka client does that is told to go on with the earliest
            offsets = [o for o in range(position, log.end) if o in log.records][:room]
            if offsets:
                out[partition] = [log.records[o] for o in offsets]
                room -= len(offsets)
                position = offsets[-1] + 1
            elif room:
                position = log.end  # nothing but holes is left
            self._positions[partition] = position
        return out

    def reads(self, partition: Partition) -> bool:
        """Whether `poll` returns records of a partition."""
        return partition in self._assigned and partition not in self._paused

    def assigned(self) -> frozenset[Partition]:
        """The partitions of this member."""
        return self._assigned

    def generation(self) -> int:
        """Grows with every rebalance that `poll` has seen."""
        return self._generation

    def pause(self, partition: Partition) -> None:
        """Return no records of a partition."""
        self._paused.add(partition)

    def resume(self, partition: Partition) -> None:
        """Return its records again."""
        self._paused.discard(partition)
        self._broker.wake()

    def seek(self, partition: Partition, offset: int) -> None:
        """Read on from an offset."""
        if partition in self._positions:
            self._positions[partition] = offset

    async def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offset after the last record."""
        await self._broker.fault("ends")
        return {p: self._broker.logs[p].end for p in partitions}

    async def positions(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offset from which `poll` reads on."""
        await self._broker.fault("positions")
        return {p: self._positions[p] for p in partitions if p in self._positions}

    async def commit(self, offsets: dict[Partition, int]) -> None:
        """Note how far the group is; a member of a former generation is not heard."""
        await self._broker.fault("commit")
        if not self._moved():
            self._group.committed |= offsets
