"""A broker, a database and service processes that a test may kill, stop and freeze: nobody else uses them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx
import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition

from ops import stack as local_stack
from ops.stack import Stack, create_database
from ops.stack.ports import free_ports
from ops.stack.process import Child, spawn
from ops.system import Layout
from ops.system.keys import Keys, ensure_keys
from shared.events import codec, topics
from shared.ledger.batch import partition_of
from shared.ledger.migrate import migrate
from shared.stream.kafka import KafkaProducer
from shared.stream.port import Outgoing, Record
from tests.ledgerkit import until
from tests.portrange import free_base

ROOT = Path(__file__).parents[3]
PARTITIONS = 4
TOPICS = {topic.name: PARTITIONS for topic in topics()}


class World:
    """The stack of this folder's tests, and the services that run on it."""

    def __init__(self, stack: Stack, layout: Layout, keys: Keys) -> None:
        self.stack = stack
        self.keys = keys
        self._layout = layout
        self.has_topics = False
        self.dsns: dict[str, str] = {}
        self._running: dict[str, Child] = {}
        self._beside: dict[str, str] = {}
        for name in layout.services:
            self.dsns[name] = create_database(stack.postgres, name, stack.data)
            migrate(self.dsns[name], ROOT / "services" / name)

    def url(self, service: str = "order") -> str:
        return self._beside.get(service) or self._layout.url(service)

    def port(self, service: str = "order") -> int:
        return self._layout.port(service)

    def child(self, service: str = "order") -> Child:
        return self._running[service]

    def running(self, service: str = "order") -> bool:
        child = self._running.get(service)
        return child is not None and child.exit_status() is None

    async def start(self, service: str = "order", *, script: Path | None = None) -> None:
        """Start a service, or a script in its place, and return when it answers requests."""
        assert not self.running(service)
        programs = self._layout.programs(self.stack.kafka, self.dsns, self.keys)
        [program] = [p for p in programs if p.name == service]
        argv = program.argv if script is None else (sys.executable, str(script))
        log = self.stack.data / "logs" / f"{service}.log"
        environment = {**os.environ, **program.env, "PYTHONPATH": str(ROOT)}
        self._running[service] = await asyncio.to_thread(
            spawn, service, argv, log=log, env=environment, cwd=ROOT
        )
        await self.until_status("/livez", 200, service)

    @asynccontextmanager
    async def beside(
        self, service: str, script: Path | None = None, **settings: str
    ) -> AsyncIterator[Child]:
        """A second process of a service, on a port of its own, killed on leaving; ready when this yields."""
        programs = self._layout.programs(self.stack.kafka, self.dsns, self.keys)
        [program] = [p for p in programs if p.name == service]
        argv = program.argv if script is None else (sys.executable, str(script), service)
        port = free_ports(1)[0]
        environment = {**program.env, "PYTHONPATH": str(ROOT), "OMS_PORT": str(port), **settings}
        log = self.stack.data / "logs" / f"{service}-beside.log"
        name = f"{service}-beside"
        child = await asyncio.to_thread(
            spawn, name, argv, log=log, env={**os.environ, **environment}, cwd=ROOT
        )
        self._beside[name] = f"http://127.0.0.1:{port}"
        self._running[name] = child
        try:
            await self.until_status("/readyz", 200, name)
            yield child
        finally:
            child.stop(signal.SIGKILL)

    async def ready(self, service: str = "order") -> None:
        """Have the service running with all of its tasks at work."""
        if not self.running(service):
            await self.start(service)
        await self.until_status("/readyz", 200, service)

    async def until_status(
        self, path: str, status: int, service: str = "order", seconds: float = 30
    ) -> httpx.Response:
        answers: list[httpx.Response] = []

        async def answered() -> bool:
            self._running[service].require_running()
            try:
                answer = await http.get(self.url(service) + path)
            except httpx.TransportError:
                return False
            answers.append(answer)
            return answer.status_code == status

        async with httpx.AsyncClient(trust_env=False) as http:
            await until(answered, seconds)
        return answers[-1]

    def kill(self, service: str = "order") -> None:
        """SIGKILL, and gone."""
        self._running[service].stop(signal.SIGKILL)

    async def stop(self, service: str = "order") -> int | None:
        """SIGTERM; the exit status, None when it did not end within ten seconds."""
        child = self._running[service]
        ended = await asyncio.to_thread(child.stop, signal.SIGTERM, 10.0)
        return child.exit_status() if ended else None

    def close(self) -> None:
        for child in self._running.values():
            child.stop(signal.SIGKILL)

    def rows(self, sql: str, *args: Any, service: str = "order") -> list[Any]:
        """Ask a service's database directly."""
        with psycopg.connect(self.dsns[service]) as c:
            return c.execute(sql, args or None).fetchall()

    def count(self, sql: str, *args: Any, service: str = "order") -> int:
        return int(self.rows(sql, *args, service=service)[0][0])

    def all_published(self, service: str = "order") -> bool:
        """Whether a service has nothing left to tell."""
        sql = "select r.published >= h.position from relay r, head h"
        return bool(self.rows(sql, service=service)[0][0])

    def knows(self, *skus: str) -> None:
        """Let the order service know SKUs as if inventory had told."""
        with psycopg.connect(self.dsns["order"]) as c:
            for sku in skus:
                c.execute("insert into items values (%s) on conflict do nothing", (sku,))

    @asynccontextmanager
    async def shoppers(self, count: int) -> AsyncIterator[list[Shopper]]:
        """Connections to place orders by."""
        made = [Shopper(self) for _ in range(count)]
        try:
            yield made
        finally:
            for one in made:
                one.close()

    def client(self) -> Client:
        """Requests to the order service."""
        return Client(self)

    async def publish(self, topic: str, *records: Outgoing) -> None:
        """Put records on a topic, each on the partition of its key."""
        producer = KafkaProducer(self.stack.kafka)
        await producer.start()
        try:
            for record in records:
                number = partition_of(record.key.decode("latin-1"), PARTITIONS)
                await producer.publish((topic, number), [record])
        finally:
            await producer.stop()

    async def read(self, topic: str) -> dict[int, list[Record]]:
        """Everything on a topic, by partition."""
        partitions = [TopicPartition(topic, n) for n in range(PARTITIONS)]
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.stack.kafka,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            for tp in partitions:
                consumer.seek(tp, 0)
            out: dict[int, list[Record]] = {n: [] for n in range(PARTITIONS)}
            async with asyncio.timeout(20):
                while sum([await consumer.position(tp) for tp in partitions]) < sum(ends.values()):
                    for tp, some in (await consumer.getmany(timeout_ms=1000)).items():
                        out[tp.partition] += [
                            Record(tp.topic, tp.partition, r.offset, r.key, r.value, r.headers)
                            for r in some
                        ]
            return out
        finally:
            await consumer.stop()

    async def events(self, order_id: str) -> list[Any]:
        """What the topic tells of an order, in order."""
        on_topic = await self.read("oms.order.events")
        found = [r for records in on_topic.values() for r in records if r.key == order_id.encode()]
        return [codec.decode(header(r, "ce_type").decode(), r.value) for r in found]

    def types(self, order_id: str) -> list[str]:
        """The names of an order's events in the log, such as ``placed``."""
        rows = self.rows(
            "select type from messages where stream = %s and version > 0 order by version",
            f"order-{order_id}",
        )
        return [type.split(".")[2] for (type,) in rows]


class Client:
    """An HTTP client of the order service, as a channel and as staff."""

    def __init__(self, world: World) -> None:
        self._world = world
        limits = httpx.Limits(max_connections=50, max_keepalive_connections=50)
        self.http = httpx.AsyncClient(
            base_url=world.url(), limits=limits, timeout=40, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    def headers(self, role: str = "channel:web", key: str | None = None) -> dict[str, str]:
        return {
            **self._world.keys.bearer("order", role),
            "content-type": "application/json",
            "idempotency-key": key or str(uuid4()),
        }

    async def place(
        self, body: Any, *, key: str | None = None, role: str = "channel:web"
    ) -> httpx.Response:
        """POST /orders with a dict, or with bytes as they are."""
        headers = self.headers(role, key)
        if isinstance(body, bytes):
            return await self.http.post("/orders", content=body, headers=headers)
        return await self.http.post("/orders", json=body, headers=headers)

    async def show(self, order_id: str) -> httpx.Response:
        return await self.http.get(f"/orders/{order_id}", headers=self.headers("agent"))

    async def parked(self) -> list[dict[str, Any]]:
        answer = await self.http.get("/parked?limit=1000", headers=self.headers("ops"))
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def redrive(self, topic: str, key: str) -> dict[str, Any]:
        answer = await self.http.post(
            "/parked/redrive", json={"topic": topic, "key": key}, headers=self.headers("ops")
        )
        assert answer.status_code == 200, answer.text
        done: dict[str, Any] = answer.json()
        return done


class Shopper:
    """One kept-alive connection that places orders: httpx costs the two cores more than the service does."""

    def __init__(self, world: World) -> None:
        self._port = world.port()
        self._key = world.keys.key("order", "channel:web")
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def place(self, body: bytes, key: str) -> tuple[int, bytes]:
        """Status and body of the answer. Raises OSError or EOFError when the service went away before it."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(
            b"POST /orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"authorization: Bearer %s\r\nidempotency-key: %s\r\ncontent-length: %d\r\n\r\n%s"
            % (self._key.encode(), key.encode(), len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        assert length is not None
        content = await reader.readexactly(int(length[1]))
        if b"connection: close" in head.lower():
            self.close()
        return int(head.split(b" ", 2)[1]), content

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def order(external_id: str, **changes: Any) -> dict[str, Any]:
    """A small valid order for the channel ``web``."""
    line = {"line_id": "1", "sku": "A", "quantity": 1, "unit_price": 500}
    body = {"channel": "web", "external_id": external_id, "currency": "GBP", "lines": [line]}
    return {**body, "payment_method": "tok_ok", **changes}


@contextmanager
def world_of(
    data: Path, services: tuple[str, ...], extra: Mapping[str, Mapping[str, str]]
) -> Iterator[World]:
    """A stack of its own for these services, with more of their settings; none of them runs yet, and all end with it."""
    layout = Layout(
        data,
        port_base=free_base(),
        services=services,
        payments=False,
        mail=False,
        extra=extra,
    )
    with local_stack.start(data, ports=local_stack.Ports.free()) as running:
        world = World(running, layout, ensure_keys(data, services))
        try:
            yield world
        finally:
            world.close()


def header(record: Record, name: str) -> bytes:
    """A record's header; empty when it has none."""
    return dict(record.headers).get(name, b"")


def check_chain(on_topic: dict[int, list[Record]], *, duplicates: bool) -> None:
    """Positions only rise in a partition, and each record names the one before it. Records of strangers have none."""
    for records in on_topic.values():
        last = 0
        for record in records:
            if not header(record, "ce_sequence"):
                continue
            position = int(header(record, "ce_sequence"))
            if duplicates and position <= last:
                continue
            assert position > last, "published twice"
            assert int(header(record, "ce_previous")) == last, "something is missing"
            last = position


async def holds(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for a condition that asks a database."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)
