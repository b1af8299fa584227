"""The views as a process on real Kafka and Postgres: fed live, rebuilt beside, switched, killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops import stack as local_stack
from ops.stack import Stack, create_topics
from ops.stack.ports import free_ports
from services.views.handlers import TABLE
from shared.service.security import KeyEntry, Role, generate_key, hash_key, write_keys_file
from shared.stream.kafka import KafkaProducer
from shared.stream.port import Outgoing
from tests.unit.views.journey import PARTITIONS, Journey, Topics
from tests.unit.views.site import database, stock

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own: the views read all topics of the house, so nobody else may write to them."""
    data = tmp_path_factory.mktemp("views")
    with local_stack.start(data, ports=local_stack.Ports.free()) as running:
        yield running


async def publish(stack: Stack, topics: Topics, sent: dict[Any, int]) -> None:
    """Send what has not been sent yet."""
    producer = KafkaProducer(stack.kafka)
    await producer.start()
    try:
        for partition, records in topics.records.items():
            new = records[sent.get(partition, 0) :]
            if new:
                await producer.publish(
                    partition, [Outgoing(r.key, r.value, r.headers) for r in new]
                )
            sent[partition] = len(records)
    finally:
        await producer.stop()


class Views:
    """The running process."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, key: str) -> None:
        self.process = process
        self.http = httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=10
        )

    async def get(self, path: str) -> Any:
        answer = await self.http.get(path)
        answer.raise_for_status()
        return answer.json()

    async def until(self, path: str, holds: Any, seconds: float = 40) -> Any:
        """Poll until the answer is as wanted."""
        body: Any = None
        async with asyncio.timeout(seconds):
            while True:
                try:
                    body = await self.get(path)
                    if holds(body):
                        return body
                except httpx.HTTPError as error:
                    body = error
                assert self.process.returncode is None, "the views ended"
                await asyncio.sleep(0.1)


@asynccontextmanager
async def running(stack: Stack, dsn: str, folder: Path) -> AsyncIterator[Views]:
    key = generate_key(Role.OPS)
    write_keys_file(folder / "keys.json", [KeyEntry("ops", hash_key(key), Role.OPS)])
    [port] = free_ports(1)
    environment = {
        "OMS_KAFKA": stack.kafka,
        "OMS_DATABASE": dsn,
        "OMS_PORT": str(port),
        "OMS_KEYS_FILE": str(folder / "keys.json"),
    }
    log = (folder / "views.log").open("ab")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.views", env=os.environ | environment, stderr=log, stdout=log
    )
    views = Views(process, f"http://127.0.0.1:{port}", key)
    try:
        await views.until("/readyz", lambda _: True)
        yield views
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()
        await views.http.aclose()
        log.close()


def read_all(body: Any) -> bool:
    """Whether every version has read everything, and one is live."""
    return all(p["lag"] == 0 for p in body["items"] if p["state"] != "retired")


async def test_live_rebuilt_killed_and_live_again(broker: Stack, tmp_path: Path) -> None:
    await create_topics(broker.kafka, dict.fromkeys(TABLE.topics, PARTITIONS))
    topics, sent = Topics(), dict[Any, int]()
    topics.publish(stock())
    for k in range(50):
        topics.publish(Journey(f"a{k}").whole().said)
    await publish(broker, topics, sent)
    with database(broker) as dsn:
        async with running(broker, dsn, tmp_path) as views:
            await views.until("/orders?limit=500", lambda b: len(b["items"]) == 50)
            await views.until("/projections", read_all)
            before = await views.get("/orders?limit=500")
            stocked = await views.get("/availability")
            assert {o["status"]["order"] for o in before["items"]} == {"completed"}

            # A rebuild takes over without anybody noticing.
            answer = await views.http.put("/projections/2")
            assert answer.status_code == 202
            assert (await views.http.put("/projections/2")).status_code == 200
            assert (await views.http.put("/projections/9")).status_code == 409
            await views.until(
                "/projections",
                lambda b: [p["state"] for p in b["items"]] == ["retired", "live"],
            )
            await asyncio.sleep(1.1)  # which version is live is looked up once a second
            await views.until("/projections", read_all)
            assert await views.get("/orders?limit=500") == before
            assert await views.get("/availability") == stocked

            # Killed while there is work, it goes on where it was.
            topics.publish(Journey("b").whole().said)
            await publish(broker, topics, sent)
            views.process.kill()
        async with running(broker, dsn, tmp_path) as views:
            found = await views.until("/orders?q=b", lambda b: len(b["items"]) == 1)
            id = found["items"][0]["id"]
            await views.until(
                f"/orders/{id}", lambda b: b["version"] == len(Journey().whole().said)
            )
            metrics = await views.http.get("/metrics")
            assert "oms_consumer_handled" in metrics.text
        assert views.process.returncode == 0
