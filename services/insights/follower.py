"""Follows the changelog of the partitions that other workers have, so that every worker can answer for all.

Outside of any group: it commits nothing, and whoever writes is not disturbed."""

import asyncio
from collections.abc import Iterable

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from services.insights.broker import Broker
from services.insights.state import State
from services.insights.topics import changelog
from services.insights.values import decode_value

log = structlog.get_logger()

POLL_MS = 500
RETRY_SECONDS = 1.0


class Follower:
    """Keeps ``state.foreign`` as the changelog has it."""

    def __init__(self, kafka: Broker, version: int, state: State) -> None:
        self._kafka = kafka
        self._topic = changelog(version)
        self._state = state

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._connected()
            except (KafkaError, OSError, IllegalStateError) as error:
                log.info("follower_restarts", error=repr(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _connected(self) -> None:
        consumer = AIOKafkaConsumer(
            **self._kafka.options(), enable_auto_commit=False, auto_offset_reset="earliest"
        )
        try:
            await consumer.start()
            await self._follow(consumer)
        finally:
            await consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        followed: frozenset[int] = frozenset()
        while True:
            wanted = frozenset(range(self._state.partitions)) - self._state.owned
            if wanted != followed:
                await self._turn_to(consumer, wanted, wanted - followed)
                followed = wanted
            if not followed:
                await asyncio.sleep(POLL_MS / 1000)
                continue
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                for r in records:
                    # It may have become this worker's own since it was asked for.
                    if r.partition in followed - self._state.owned:
                        value = decode_value(r.value) if r.value else None
                        self._state.follow(r.key.decode(), value)

    async def _turn_to(
        self, consumer: AIOKafkaConsumer, wanted: Iterable[int], new: Iterable[int]
    ) -> None:
        kept = {tp: await consumer.position(tp) for tp in consumer.assignment()}
        consumer.assign([TopicPartition(self._topic, p) for p in wanted])
        for p in wanted:
            tp = TopicPartition(self._topic, p)
            consumer.seek(tp, 0 if p in new else kept[tp])
