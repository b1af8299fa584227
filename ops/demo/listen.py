"""Listening to what the services publish: every event from now on, decoded."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord

from shared.events import Event, decode, read_headers

EVENT_TOPICS = (
    *(
        f"oms.{name}.events"
        for name in ("order", "inventory", "fulfillment", "returns", "notifications")
    ),
    "oms.wms.requests",
)


class Heard(NamedTuple):
    """An event and when its service recorded it (UTC)."""

    event: Event
    at: datetime


class Listener:
    """Reads topics from their present end; no consumer group, so it disturbs nobody."""

    def __init__(self, client: AIOKafkaConsumer) -> None:
        self._client = client

    async def poll(self, timeout_s: float = 0.2) -> list[Heard]:
        """The next events in their topics' order; empty when none came in time."""
        fetched = await self._client.getmany(timeout_ms=int(timeout_s * 1000), max_records=2000)
        return [
            heard
            for records in fetched.values()
            for r in records
            if (heard := _heard(r)) is not None
        ]


def _heard(record: ConsumerRecord) -> Heard | None:
    envelope = read_headers(record.headers)
    if envelope.time is None or record.value is None:
        return None
    message = decode(envelope.type, record.value)
    return Heard(message, envelope.time) if isinstance(message, Event) else None


@asynccontextmanager
async def listening(
    bootstrap: str, topics: Sequence[str] = EVENT_TOPICS
) -> AsyncIterator[Listener]:
    """A listener that hears everything published after it was entered."""
    client = AIOKafkaConsumer(
        *topics, bootstrap_servers=bootstrap, enable_auto_commit=False, fetch_max_wait_ms=50
    )
    await client.start()
    try:
        partitions = client.assignment()  # without a group: every partition of the topics
        await client.seek_to_end(*partitions)
        for (
            partition
        ) in partitions:  # a seek is lazy: without this the first events would be missed
            await client.position(partition)
        yield Listener(client)
    finally:
        await client.stop()
