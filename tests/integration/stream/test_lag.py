"""How far a group is behind, asked of a real broker."""

from __future__ import annotations

from uuid import uuid4

import pytest

from ops.stack import Stack, create_topics
from shared.stream.kafka import KafkaConsumer, KafkaProducer
from shared.stream.lag import GroupLag
from shared.stream.port import BrokerLost, Outgoing


async def test_what_was_published_and_is_not_committed(stack: Stack) -> None:
    topic, group = f"t-{uuid4().hex[:8]}", f"g-{uuid4().hex[:8]}"
    await create_topics(stack.kafka, {topic: 2})
    producer, consumer = KafkaProducer(stack.kafka), KafkaConsumer(stack.kafka, group, [topic])
    lag = GroupLag(stack.kafka, [group, f"{group}-nobody"])
    await producer.start()
    await consumer.start()
    await lag.start()
    try:
        for number in range(2):
            records = [Outgoing(b"k", b"v", [])] * 5
            await producer.publish((topic, number), records)
        while len(consumer.assigned()) < 2:
            await consumer.poll(0.1)
        assert await lag.read() == {group: 0, f"{group}-nobody": 0}  # nothing is known of them yet
        await consumer.commit({(topic, 0): 5, (topic, 1): 2})
        assert (await lag.read())[group] == 3
        await producer.publish((topic, 0), [Outgoing(b"k", b"v", [])])
        assert (await lag.read())[group] == 4
    finally:
        await consumer.stop()
        await producer.stop()
        await lag.stop()


async def test_a_broker_that_is_away_is_told() -> None:
    lag = GroupLag("127.0.0.1:1", ["g"])
    with pytest.raises(BrokerLost):
        await lag.start()
