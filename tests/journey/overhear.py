"""Listening to every topic of a system that another process starts and ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ops.stack.ports import HOST
from shared.events import topics
from shared.stream.port import Record

RECORDING = Path(__file__).parent / "recording"
KAFKA = 92  # the broker's distance from the base port
NAMES = {topic.name for topic in topics()}

Reads = dict[str, dict[str, list[str]]]


class Overheard:
    """Records as they came, and afterwards what the services read of them."""

    def __init__(self, base: int, folder: Path) -> None:
        self.bootstrap = f"{HOST}:{base + KAFKA}"
        self.records: list[Record] = []
        self._folder = folder
        self._more = threading.Condition()

    @property
    def environment(self) -> dict[str, str]:
        """What the system's processes must be told, to note what they read."""
        return {"PYTHONPATH": str(RECORDING), "OMS_READS": str(self._folder)}

    @property
    def reads(self) -> Reads:
        """Consumer → type → fields, of the services that have ended."""
        return {p.stem: msgspec.json.decode(p.read_bytes()) for p in self._folder.glob("*.json")}

    def wait_for(self, found: Callable[[Record], bool], seconds: float = 180) -> Record:
        """The first record, of now or to come, that is looked for."""
        with self._more:
            done = self._more.wait_for(lambda: any(map(found, self.records)), seconds)
            assert done, f"not heard within {seconds} s, among {len(self.records)} records"
            return next(filter(found, self.records))

    async def listen(self, over: threading.Event) -> None:
        """Hear every topic from its first record, until it is over."""
        while not over.is_set():
            if not await self._up():
                await asyncio.sleep(0.2)
                continue
            consumer = AIOKafkaConsumer(
                *NAMES,
                bootstrap_servers=self.bootstrap,
                auto_offset_reset="earliest",
            )
            try:
                await consumer.start()
                while not over.is_set():
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        self._hear(
                            Record(r.topic, r.partition, r.offset, r.key, r.value, r.headers)
                            for r in records
                        )
            except (KafkaError, OSError):
                await asyncio.sleep(0.2)
            finally:
                with suppress(KafkaError, OSError, asyncio.CancelledError):  # as the broker goes
                    await consumer.stop()

    async def _up(self) -> bool:
        """Whether the broker is there, with its topics: a client would complain at every attempt."""
        try:
            _, writer = await asyncio.open_connection(*self.bootstrap.split(":"))
        except OSError:
            return False
        writer.close()
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            await admin.start()
            return set(await admin.list_topics()) >= NAMES
        except (KafkaError, OSError):
            return False
        finally:
            await admin.close()

    def _hear(self, records: Iterator[Record]) -> None:
        with self._more:
            self.records += records
            self._more.notify_all()


@contextmanager
def overhearing(base: int, folder: Path) -> Iterator[Overheard]:
    """Listens until the end of the block to the system whose ports begin at ``base``."""
    folder.mkdir()
    heard, over = Overheard(base, folder), threading.Event()
    listening = threading.Thread(target=lambda: asyncio.run(heard.listen(over)))
    listening.start()
    try:
        yield heard
    finally:
        over.set()
        listening.join()
