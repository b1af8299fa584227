"""How far a group is behind, asked of a real broker."""

from __future__ import annotations

from uuid import uuid4

import pytest

from ops.stack import Stack, create_topics
from shared.stream.kafka import KafkaConsumer, KafkaProducer
from shared.stream.lag import GroupLag, Lag, Pace
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
        # Nothing is known of them yet.
        assert await lag.read() == {group: Lag(0, 0), f"{group}-nobody": Lag(0, 0)}
        await consumer.commit({(topic, 0): 5, (topic, 1): 2})
        assert (await lag.read())[group].records == 3
        await producer.publish((topic, 0), [Outgoing(b"k", b"v", [])])
        assert (await lag.read())[group].records == 4
    finally:
        await consumer.stop()
        await producer.stop()
        await lag.stop()


async def test_a_broker_that_is_away_is_told() -> None:
    lag = GroupLag("127.0.0.1:1", ["g"])
    with pytest.raises(BrokerLost):
        await lag.start()


def test_seconds_are_told_by_the_pace_of_the_last_seconds() -> None:
    pace = Pace()
    assert pace.lag(0.0, 0, 0) == Lag(0, 0)
    assert pace.lag(1.0, 0, 500) == Lag(500, 1)  # nothing was read yet, for a second at most
    assert pace.lag(2.0, 400, 500) == Lag(500, 2.5)
    for second in range(3, 20):
        last = pace.lag(float(second), 400 + 50 * (second - 2), 500)
    assert last == Lag(500, 10)
    still = [pace.lag(float(second), 1250, 500).seconds for second in range(20, 3600)]
    assert still == sorted(still)  # the longer it stands still
    assert still[10] > 60


def test_a_group_that_had_nothing_to_do_is_not_behind_for_that() -> None:
    pace = Pace()
    for second in range(100):
        assert pace.lag(float(second), 1000, 0) == Lag(0, 0)
    assert pace.lag(100.0, 1000, 5000) == Lag(5000, 1)
    assert pace.lag(101.0, 3500, 2500) == Lag(2500, 2)
    for second in range(102, 110):
        last = pace.lag(float(second), 3500, 2500)
    assert last == Lag(2500, 9)
    assert pace.lag(110.0, 0, 100).seconds == 0  # the topic was made anew
