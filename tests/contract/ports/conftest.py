"""The ports, each over memory and over the real thing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from ops.stack import Stack, create_database, create_topics
from shared.ledger.memory import MemoryStore
from shared.ledger.migrate import migrate
from shared.ledger.postgres import PostgresStore
from shared.stream.kafka import KafkaConsumer, KafkaProducer
from shared.stream.memory import MemoryBroker, MemoryConsumer, MemoryProducer
from shared.stream.port import Consumer, Producer
from tests.ledgerkit import empty


@pytest.fixture(scope="module")
def dsn(stack: Stack) -> str:
    """A service's database."""
    name = f"t_{uuid4().hex[:8]}"
    address = create_database(stack.postgres, name, stack.data)
    migrate(address, None)
    return address


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A store without anything in it."""
    if request.param == "memory":
        yield MemoryStore()
        return
    address = request.getfixturevalue("dsn")
    empty(address)
    postgres = PostgresStore(address)
    await postgres.open()
    yield postgres
    await postgres.close()


class Memory:
    """Clients of a broker in memory."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()

    async def topic(self, partitions: int) -> str:
        name = f"oms.t_{uuid4().hex[:8]}.events"
        self.broker.create(name, partitions)
        return name

    async def producer(self) -> Producer:
        return MemoryProducer(self.broker)

    async def consumer(self, topic: str, group: str) -> Any:
        return MemoryConsumer(self.broker, group, [topic])


class Kafka:
    """Clients of a real broker."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    async def topic(self, partitions: int) -> str:
        name = f"oms.t_{uuid4().hex[:8]}.events"
        await create_topics(self._bootstrap, {name: partitions})
        return name

    async def producer(self) -> Producer:
        producer = KafkaProducer(self._bootstrap)
        await producer.start()
        return producer

    async def consumer(self, topic: str, group: str) -> Any:
        consumer = KafkaConsumer(self._bootstrap, group, [topic])
        await consumer.start()
        return consumer


class Clients:
    """Makes clients, and stops them after the test."""

    def __init__(self, kind: Memory | Kafka) -> None:
        self._kind = kind
        self.topic = kind.topic
        self._made: list[Any] = []

    async def producer(self) -> Producer:
        self._made.append(await self._kind.producer())
        return self._made[-1]

    async def consumer(self, topic: str, group: str = "") -> Consumer:
        self._made.append(await self._kind.consumer(topic, group or uuid4().hex))
        return self._made[-1]

    async def stop(self, client: Any) -> None:
        self._made.remove(client)
        await client.stop()

    async def stop_all(self) -> None:
        for client in self._made:
            await client.stop()


@pytest.fixture(params=["memory", "kafka"])
async def clients(request: pytest.FixtureRequest) -> AsyncIterator[Clients]:
    """A broker's clients."""
    kind = Memory() if request.param == "memory" else Kafka(request.getfixturevalue("stack").kafka)
    made = Clients(kind)
    yield made
    await made.stop_all()
