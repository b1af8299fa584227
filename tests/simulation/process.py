"""A service and its processes: started, killed, paused, doubled; what they share is only their database."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine, Iterable
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from shared.events import catalogue
from shared.ledger.memory import MemoryStore, RowLocks
from shared.ledger.memory_tables import Tables
from shared.ledger.store import Conflict, Head, Partition, Record, Unavailable
from shared.service.engine import Engine
from shared.stream.healer import CannotHeal
from shared.stream.memory import MemoryConsumer, MemoryProducer
from shared.stream.port import BrokerLost, Outgoing
from shared.stream.relay import envelope
from tests.simulation.loop import RUNNING

if TYPE_CHECKING:
    from tests.simulation.world import World

PARTITIONS = 2
#: How long the broker waits for a member that is silent.
SESSION_SECONDS = 3.0
ROUND_TRIP_SECONDS = 0.004
HEAL_PAGE = 20


class Process:
    """What every process has: tasks, a clock of its own, and a way to die."""

    def __init__(self, service: Service, number: int) -> None:
        self.service = service
        self.world = service.world
        self.name = f"{service.name}#{number}"
        self.tasks: list[asyncio.Task[Any]] = []
        self.dead = False
        self.skew = timedelta()
        self.cut_until = 0.0
        self.consumers: list[SimConsumer] = []
        self._running = asyncio.Event()
        self._running.set()
        self._random = Random(f"{self.world.seed}:{self.name}")

    def start(self) -> None:
        """Begin; a part that fails takes the process down."""
        context = contextvars.copy_context()
        context.run(RUNNING.set, self)
        for part in self.parts():
            self.world.loop.create_task(self._keep(part), context=context)

    def parts(self) -> list[Coroutine[Any, Any, None]]:
        """The endless work that a process is made of."""
        raise NotImplementedError

    async def _keep(self, part: Coroutine[Any, Any, None]) -> None:
        failure = "the end of a part that should never end"
        try:
            await part
        except asyncio.CancelledError:
            failure = "a cancellation from nowhere"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            failure = f"{type(error).__name__}: {error}"
        if not self.dead and not self.world.over:
            self.world.violation(f"{self.name} failed with {failure} in {part.__qualname__}")
            self.kill()

    def kill(self) -> None:
        """Die as by SIGKILL: nothing that is still to be done is done."""
        if self.dead:
            return
        self.dead = True
        self._running.set()
        for consumer in self.consumers:
            self.world.loop.call_later(SESSION_SECONDS, consumer.leave)
        for task in self.tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self.service.gone(self)

    def reach(self, label: str) -> None:
        """A labelled point of the code: here the process may die."""
        if not self.dead and self.world.chaos.strikes("crash_point", 0.002):
            self.world.note(f"{self.name} dies at {label}")
            self.kill()
        if self.dead:
            raise asyncio.CancelledError

    def clock(self) -> datetime:
        """The time as this process has it."""
        return self.world.now + self.skew

    def chance(self) -> float:
        """A number from 0 to 1."""
        return self._random.random()

    def pause(self) -> None:
        """Stand still: everything that would be seen from outside waits."""
        self._running.clear()

    def resume(self) -> None:
        """Go on, as if nothing had been; the broker has perhaps given its partitions away."""
        self._running.set()
        for consumer in self.consumers:
            consumer.join()

    @property
    def paused(self) -> bool:
        return not self._running.is_set()

    async def _alive(self) -> None:
        if not self.dead:
            await self._running.wait()
        if self.dead and RUNNING.get() is self:
            raise asyncio.CancelledError
        if self.dead:
            raise Unavailable("the process that was asked has died")

    async def at_store(self, label: str) -> None:
        """Awaited at each labelled point of the store."""
        strikes = self.world.chaos.strikes
        if label == "after_commit":
            self.service.committed()
            await self._alive()
            if strikes("commit_unknown", 0.01):
                raise Unavailable("the answer to the commit was lost")
            return
        await self._alive()
        if self.service.away_until > self.world.loop.now:
            await asyncio.sleep(0.1)
            raise Unavailable("the database is away")
        if strikes("store_unavailable", 0.002):
            raise Unavailable(f"no answer to {label}")
        if label == "before_commit" and strikes("commit_conflict", 0.01):
            raise Conflict("another writer was first")
        if random := strikes("store_slow", 0.002):
            await asyncio.sleep(random.uniform(0.1, 3.0))
        elif label in ("read", "before_commit", "feed_of"):
            await asyncio.sleep(self._random.random() * ROUND_TRIP_SECONDS)
        else:
            await asyncio.sleep(0)
        await self._alive()

    async def at_broker(self, label: str) -> None:
        """Awaited at each labelled point of the broker."""
        await self._alive()
        strikes = self.world.chaos.strikes
        if self.cut_until > self.world.loop.now:
            await asyncio.sleep(0.2)
            raise BrokerLost("the broker is out of reach")
        match label:
            case "publish":
                if strikes("publish_cut", 0.002):
                    raise BrokerLost("the connection broke")
                return
            case "acknowledge":
                await asyncio.sleep(self._random.random() * ROUND_TRIP_SECONDS)
                if strikes("ack_lost", 0.01):
                    raise BrokerLost("no acknowledgement came")
            case _:
                if strikes("broker_refuses", 0.001):
                    raise BrokerLost(f"no answer to {label}")
        await self._alive()


class SimProducer(MemoryProducer):
    """A producer whose requests may arrive after it has given up on them."""

    def __init__(self, process: Process) -> None:
        super().__init__(process.world.broker)
        self._process = process

    async def publish(self, partition: Partition, records: list[Outgoing]) -> None:
        world = self._process.world
        if random := world.chaos.strikes("late_append", 0.01):

            def arrive() -> None:
                for record in records:
                    world.broker.append(partition, record)

            world.loop.call_later(random.uniform(0.1, 4.0), arrive)
            await asyncio.sleep(0.1)
            raise BrokerLost("the request timed out")
        await super().publish(partition, records)


class SimConsumer(MemoryConsumer):
    """A member of a group; one whose process died is missed only after a while."""

    def __init__(self, process: Process, group: str, topics: Any) -> None:
        self.process = process
        super().__init__(process.world.broker, group, topics)
        process.consumers.append(self)

    async def stop(self) -> None:
        self.process.consumers.remove(self)
        if not self.process.dead:
            self.leave()

    def leave(self) -> None:
        """The broker takes it for dead."""
        if self in self._group.members:
            self._group.members.remove(self)
            self._broker.rebalance(self._name)

    def join(self) -> None:
        """Be a member again."""
        if self not in self._group.members:
            self._group.members.append(self)
            self._broker.rebalance(self._name)

    def read_again(self) -> None:
        """Read everything again, as after a reset of the offsets."""
        self._positions = dict.fromkeys(self._positions, 0)


class PeerHealer:
    """Heals from the producers' processes, while one is up."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def fetch(self, partition: Partition, after: int, upto: int) -> list[Record]:
        peer = self._peer(partition[0])
        try:
            rows = await peer.store.feed_of(*partition, after, upto, HEAL_PAGE)
        except Unavailable as error:
            raise CannotHeal(str(error)) from error
        source = f"/oms/{peer.service.name}"
        return [
            Record(*partition, 0, r.key.encode(), r.data, envelope(r, source).headers())
            for r in rows
        ]

    async def heads(self, topics: set[str]) -> dict[Partition, Head]:
        out: dict[Partition, Head] = {}
        for topic in sorted(topics):
            peer = self._peer(topic)
            try:
                heads = await peer.store.heads()
            except Unavailable as error:
                raise CannotHeal(str(error)) from error
            out |= {p: head for p, head in heads.items() if p[0] == topic}
        return out

    def _peer(self, topic: str) -> ServiceProcess:
        producer = catalogue.sequenced_by(topic)
        peer = self._world.services[producer].front() if producer else None
        if peer is None:
            raise CannotHeal(f"{producer} is down")
        return peer


class ServiceProcess(Process):
    """One process of a service with streams, by the engine of the real one."""

    def __init__(self, service: Service, number: int) -> None:
        super().__init__(service, number)
        world = self.world
        table = world.tables[service.name]
        self.store = MemoryStore(service.tables, fault=self.at_store, locks=service.locks)
        self.engine = Engine(
            table,
            self.store,
            PeerHealer(world),
            self._producer,
            lambda: self._consumer(table.topics),
            world.performers.get(service.name, {}),
            partitions=PARTITIONS,
            clock=self.clock,
            chance=self.chance,
        )
        self.table, self.writer, self.consumer = table, self.engine.writer, self.engine.consumer

    async def _producer(self) -> SimProducer:
        return SimProducer(self)

    async def _consumer(self, topics: Iterable[str]) -> SimConsumer:
        return SimConsumer(self, f"oms-{self.service.name}", topics)

    def parts(self) -> list[Coroutine[Any, Any, None]]:
        return [part.run() for part in self.engine.parts.values()]


class Service:
    """A service: a database, and mostly one process, which is started again when it dies."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.tables = Tables()
        self.locks = RowLocks()
        self.away_until = 0.0
        self.processes: list[Any] = []
        #: Every process that there ever was.
        self.ever: list[Any] = []
        self._started = 0
        self._seen = 0

    def start(self) -> Any:
        """One more process."""
        self._started += 1
        process = self.world.process_type(self.name)(self, self._started)
        self.processes.append(process)
        self.ever.append(process)
        process.start()
        return process

    def gone(self, process: Process) -> None:
        """A process died: the supervisor starts another, unless one is left."""
        self.processes.remove(process)
        if not self.processes:
            self.world.loop.call_later(0.2 + process.chance(), self._again)

    def _again(self) -> None:
        if not self.processes:
            self.start()

    def front(self) -> Any | None:
        """A process that answers requests, where there is one."""
        awake = [p for p in self.processes if not p.paused]
        return self.world.random.choice(awake) if awake else None

    def committed(self) -> None:
        """A commit has just been applied: look at what it added."""
        first, self._seen = self._seen + 1, len(self.tables.messages)
        self.world.watch.committed(self, first)
