"""Databases, topics and killable processes for the tests of the ledger on the real stack."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from ops.stack import Stack, create_database, create_topics
from ops.stack.ports import free_ports
from shared.ledger.migrate import migrate
from shared.ledger.postgres import PostgresStore
from shared.service import Role
from shared.service.security import KeyEntry, hash_key, write_keys_file
from shared.stream.healer import HttpHealer
from shared.stream.kafka import KafkaConsumer, KafkaProducer
from shared.stream.port import Record
from tests.ledgerkit import PARTITIONS, language, until

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("tallyprocess.py")
KEY = "oms_service_0123456789abcdef"


class Place:
    """A tally service's database and topics, and a mirror's database."""

    def __init__(self, stack: Stack, tmp_path: Path) -> None:
        self.stack = stack
        self.service = f"t_{uuid4().hex[:8]}"
        self.words: SimpleNamespace = language(self.service)
        self.kafka = stack.kafka
        self._tmp_path = tmp_path
        self._stores: list[PostgresStore] = []
        self._processes: list[asyncio.subprocess.Process] = []
        self._healers: list[HttpHealer] = []
        self.peers: dict[str, str] = {}

    async def database(self, name: str = "") -> str:
        """A migrated database."""
        full = f"{self.service}{name}"
        dsn = await asyncio.to_thread(create_database, self.stack.postgres, full, self.stack.data)
        await asyncio.to_thread(migrate, dsn, None)
        return dsn

    async def topics(self) -> None:
        """The service's topics."""
        both = (self.words.events, self.words.commands)
        await create_topics(self.kafka, dict.fromkeys(both, PARTITIONS))

    async def store(self, dsn: str) -> PostgresStore:
        """A store, closed after the test."""
        store = PostgresStore(dsn, connections_max=4)
        await store.open()
        self._stores.append(store)
        return store

    async def producer(self) -> KafkaProducer:
        """A connected producer."""
        producer = KafkaProducer(self.kafka)
        await producer.start()
        return producer

    async def consumer(self, group: str, topics: Any) -> KafkaConsumer:
        """A member of a group, with a short session."""
        consumer = KafkaConsumer(self.kafka, group, topics, session_ms=6_000)
        await consumer.start()
        return consumer

    async def process(self, role: str, dsn: str, **env: str) -> asyncio.subprocess.Process:
        """A part of the service as a process."""
        variables = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "OMS_DATABASE": dsn,
            "OMS_KAFKA": self.kafka,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SCRIPT),
            role,
            self.service,
            env=variables | env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self._processes.append(process)
        assert process.stdout is not None
        if role != "service":
            assert await process.stdout.readline() == b"running\n"
        return process

    async def serve(self, dsn: str) -> asyncio.subprocess.Process:
        """The whole service; its feed is what `healer` heals from."""
        keys = self._tmp_path / "keys.json"
        write_keys_file(keys, [KeyEntry("peer", hash_key(KEY), Role.SERVICE)])
        port = free_ports(1)[0]
        url = f"http://127.0.0.1:{port}"
        process = await self.process(
            "service", dsn, OMS_PORT=str(port), OMS_KEYS_FILE=str(keys), OMS_SERVICE=self.service
        )
        async with httpx.AsyncClient(trust_env=False) as http:

            async def ready() -> bool:
                try:
                    return (await http.get(f"{url}/readyz")).status_code == 200
                except httpx.HTTPError:
                    return False

            await until(ready, 30)
        self.peers[self.service] = url
        return process

    def healer(self) -> HttpHealer:
        """Heals over HTTP from what `serve` started."""
        healer = HttpHealer(self.peers, KEY)
        self._healers.append(healer)
        return healer

    async def read(self, partitions: int = PARTITIONS) -> list[list[Record]]:
        """All records of the events topic, by partition."""
        consumer = await self.consumer(uuid4().hex, [self.words.events])
        try:
            await until(lambda: _polled(consumer, partitions), 30)
            for partition in consumer.assigned():
                consumer.seek(partition, 0)
            ends = await consumer.ends(consumer.assigned())
            out: list[list[Record]] = [[] for _ in range(partitions)]
            while sum(map(len, out)) < sum(ends.values()):
                for (_, number), records in (await consumer.poll(1)).items():
                    out[number] += records
            return out
        finally:
            await consumer.stop()

    async def close(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
        for healer in self._healers:
            await healer.close()
        for store in self._stores:
            await store.close()


async def _polled(consumer: KafkaConsumer, partitions: int) -> bool:
    await consumer.poll(0.1)
    return len(consumer.assigned()) == partitions


@asynccontextmanager
async def place(stack: Stack, tmp_path: Path) -> AsyncIterator[Place]:
    """A place for one test; its processes are ended and its connections closed."""
    made = Place(stack, tmp_path)
    try:
        yield made
    finally:
        await made.close()


def rows(dsn: str, sql: str) -> list[Any]:
    """Ask a database directly."""
    with psycopg.connect(dsn) as c:
        return c.execute(sql).fetchall()
