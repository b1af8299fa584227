"""Statements as they are published, by whichever worker: from the topic to everybody who listens over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import contextmanager
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from services.insights.announcer import TOPIC
from services.insights.broker import Broker
from shared.events import BadEnvelope, BadPayload, UnknownType, decode, read_headers
from shared.service.tasks import Handle

log = structlog.get_logger()

WAITING_MAX = 1000
KEEP_ALIVE_SECONDS = 15.0
POLL_MS = 500


class Statement(NamedTuple):
    """A published statement: its id, type and JSON payload."""

    id: str
    type: str
    payload: bytes


class Listener:
    """One consumer for all who listen; outside of any group, from now on."""

    def __init__(self, kafka: Broker) -> None:
        self._kafka = kafka
        self._queues: set[asyncio.Queue[Statement]] = set()

    async def run(self, handle: Handle) -> None:
        """Listen until told to stop; the broker's absence only delays."""
        handle.ready()
        while not handle.stopping.is_set():
            try:
                await self._connected(handle)
            except (KafkaError, OSError) as error:
                log.info("listener_restarts", error=repr(error))
                await handle.sleep(1.0)

    async def _connected(self, handle: Handle) -> None:
        consumer = AIOKafkaConsumer(TOPIC, **self._kafka.options(), auto_offset_reset="latest")
        try:
            await consumer.start()
            await self._listen(consumer, handle)
        finally:
            await consumer.stop()

    async def _listen(self, consumer: AIOKafkaConsumer, handle: Handle) -> None:
        while not handle.stopping.is_set():
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                for r in records:
                    try:
                        envelope = read_headers((name, value or b"") for name, value in r.headers)
                        decode(envelope.type, r.value or b"")
                    except (BadEnvelope, BadPayload, UnknownType) as error:
                        log.warning("statement_skipped", at=r.offset, error=str(error))
                        continue
                    statement = Statement(envelope.id, envelope.type, r.value)
                    for queue in self._queues:
                        # Who does not keep up loses the oldest, not the newest.
                        if queue.full():
                            queue.get_nowait()
                        queue.put_nowait(statement)

    async def statements(self) -> AsyncIterator[Statement | None]:
        """Statements as they come; None now and then, so that a closed connection is noticed."""
        with self._queue() as queue:
            while True:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        yield await queue.get()
                except TimeoutError:
                    yield None

    @contextmanager
    def _queue(self):  # type: ignore[no-untyped-def]
        queue: asyncio.Queue[Statement] = asyncio.Queue(WAITING_MAX)
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)
