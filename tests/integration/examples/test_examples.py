"""The example consumers, each as its reader would run it, against the real broker."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ops.stack import Stack, create_topics
from ops.stack.jvm import find_java, kafka_classpath
from shared.events import Envelope, encode
from shared.events.order import OrderCompleted
from shared.stream.kafka import KafkaProducer
from shared.stream.port import Outgoing
from tests import npm
from tests.ledgerkit import until
from tests.spec import NOON

EXAMPLES = Path(__file__).parents[3] / "examples"


def python(_: Path) -> list[str]:
    return [sys.executable, str(EXAMPLES / "python/follow.py")]


def java(_: Path) -> list[str]:
    program = str(find_java())
    modules = subprocess.run(
        [program, "--list-modules"], capture_output=True, text=True, check=True
    ).stdout
    if "jdk.compiler" not in modules:
        pytest.skip(f"{program} is a runtime without the compiler that runs a source file")
    return [
        program,
        "-cp",
        ":".join(map(str, kafka_classpath())),
        str(EXAMPLES / "java/Follow.java"),
    ]


def node(folder: Path) -> list[str]:
    program = npm.require_node()
    npm.install(EXAMPLES / "node", folder)
    return [program, str(folder / "follow.js")]


class Program:
    """An example at work: what it has said so far, and how it ends."""

    def __init__(self, process: asyncio.subprocess.Process, out: Path, err: Path) -> None:
        self.process = process
        self._out, self._err = out, err

    @property
    def events(self) -> list[dict[str, Any]]:
        whole = self._out.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    @property
    def said(self) -> str:
        return self._err.read_text()

    async def has(self, events: int, said: str = "") -> None:
        def done() -> bool:
            assert self.process.returncode is None, self.said
            return len(self.events) >= events and said in self.said

        try:
            await until(done, 60)
        except TimeoutError:
            raise AssertionError(f"{self.events} {self.said}") from None

    async def ended(self) -> int:
        return await asyncio.wait_for(self.process.wait(), 60)

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()


class Place:
    """A topic of two partitions, and an example that follows it."""

    def __init__(self, bootstrap: str, topic: str, producer: KafkaProducer, tmp_path: Path) -> None:
        self.bootstrap, self.topic = bootstrap, topic
        self._producer = producer
        self._folder = tmp_path
        self._programs: list[Program] = []

    async def publish(self, partition: int, *chain: tuple[int, int]) -> None:
        """Records with these (position, position before), as the order service's relay sends them."""
        records = []
        for sequence, previous in chain:
            event = OrderCompleted(order_id=f"o-{partition}-{sequence}")
            envelope = Envelope(
                id=f"{event.subject}/1",
                type=event.tag(),
                source="/oms/order",
                subject=event.subject,
                time=NOON,
                sequence=sequence,
                previous=previous,
            )
            records.append(Outgoing(event.key.encode(), encode(event), envelope.headers()))
        await self._producer.publish((self.topic, partition), records)

    async def start(self, argv: list[str]) -> Program:
        number = len(self._programs)
        out, err = self._folder / f"out-{number}", self._folder / f"err-{number}"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *argv,
                self.bootstrap,
                str(self._folder / "cursor"),
                self.topic,
                stdout=stdout,
                stderr=stderr,
            )
        self._programs.append(Program(process, out, err))
        return self._programs[-1]

    async def close(self) -> None:
        for program in self._programs:
            if program.process.returncode is None:
                program.process.kill()
                await program.process.wait()


@pytest.fixture
async def place(stack: Stack, tmp_path: Path) -> AsyncIterator[Place]:
    topic = f"oms.t_{uuid4().hex[:8]}.events"
    await create_topics(stack.kafka, {topic: 2})
    producer = KafkaProducer(stack.kafka)
    await producer.start()
    made = Place(stack.kafka, topic, producer, tmp_path)
    yield made
    await made.close()
    await producer.stop()


@pytest.mark.parametrize("language", [python, java, node], ids=lambda x: x.__name__)
async def test_an_example_follows_the_orders(place: Place, tmp_path: Path, language: Any) -> None:
    argv = await asyncio.to_thread(language, tmp_path)
    await place.publish(0, (1, 0), (3, 1), (1, 0), (4, 3))  # a relay that went back publishes again
    await place.publish(1, (2, 0), (5, 2))

    first = await place.start(argv)
    await first.has(5, said="duplicate: partition 0, position 1")
    assert await first.stop() == 0, first.said

    await place.publish(0, (6, 4))
    second = await place.start(argv)
    await second.has(1)
    await place.publish(1, (9, 8))  # 8 was lost
    assert await second.ended() == 2, second.said

    by_partition = {p: [e for e in first.events if e["partition"] == p] for p in (0, 1)}
    assert [e["sequence"] for e in by_partition[0]] == [1, 3, 4]
    assert [e["sequence"] for e in by_partition[1]] == [2, 5]
    assert by_partition[1][1] == {
        "partition": 1,
        "sequence": 5,
        "id": "order-o-1-5/1",
        "type": "oms.order.completed.v1",
        "subject": "order-o-1-5",
        "data": {"type": "oms.order.completed.v1", "order_id": "o-1-5"},
    }
    assert [e["sequence"] for e in second.events] == [6]
    assert "gap: partition 1: position 9 follows 8, but 5 was the last one here" in second.said
