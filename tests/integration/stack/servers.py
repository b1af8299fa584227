"""What the tests of the stack share: writing to and reading from both servers."""

from __future__ import annotations

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition


async def produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    """Write the values, acknowledged."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)


async def consume(bootstrap: str, topic: str) -> list[bytes]:
    """Every value of partition 0."""
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        values: list[bytes] = []
        while len(values) < end:
            values.append((await consumer.getone()).value)
        return values


def remember(dsn: str, note: str) -> None:
    """Commit a note."""
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (note text)")
        connection.execute("INSERT INTO notes VALUES (%s)", [note])


def remembered(dsn: str) -> list[str]:
    """All notes in order."""
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute("SELECT note FROM notes ORDER BY ctid")]
