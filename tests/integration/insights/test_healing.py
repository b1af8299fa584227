"""What a topic has lost, and what a process says that was stopped for too long: totals stay those of all records."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from fastapi import FastAPI

from benchmarks.insights import PARTITIONS, publish, worker
from benchmarks.insights_load import Shop
from ops import stack as local_stack
from ops.insights.recount import Recount, count
from ops.insights.verify import compare
from ops.stack import Stack
from services.insights.domain.cells import precedes
from services.insights.topics import changelog
from services.insights.values import decode_value
from shared.ledger.store import Partition
from shared.stream.port import Outgoing

pytestmark = pytest.mark.slow

EVENTS = 4000
#: Of each partition this many records before its last are not on the topic.
LOST = (3, 40, 41, 42)

Records = dict[Partition, list[Outgoing]]


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own: the insights read the topics of the house, so nobody else may write to them."""
    data = tmp_path_factory.mktemp("insights")
    with local_stack.start(data, ports=local_stack.Ports.free()) as running:
        yield running


@asynccontextmanager
async def feed_of(records: Records) -> AsyncIterator[str]:
    """The producers' feed as their services serve it; yields its address."""
    app = FastAPI()

    @app.get("/feed")
    async def feed(topic: str, partition: int, after: int, upto: int, limit: int) -> dict[str, Any]:
        found = [r for r in records[topic, partition] if after < position(r) <= upto]
        return {
            "items": [
                {
                    "key": r.key.decode(),
                    "data": r.value.decode(),
                    "headers": [(name, value.decode()) for name, value in r.headers],
                }
                for r in found[:limit]
            ]
        }

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


def position(record: Outgoing) -> int:
    return int(dict(record.headers)["ce_sequence"])


def made() -> tuple[Records, Recount]:
    """A shop's records without repetitions, and their sums."""
    records: Records = {}
    counted = Recount.empty()
    for place, record in Shop(PARTITIONS).records(EVENTS):
        known = records.setdefault(place, [])
        if known and position(known[-1]) == position(record):
            continue
        known.append(record)
        counted.records[place] += 1
        count(counted, dict(record.headers)["ce_type"].decode(), record.value)
    return records, counted


async def said(kafka: str) -> list[tuple[int, bytes, bytes | None]]:
    """The changelog: partition, key and value, in order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        tps = [TopicPartition(changelog(1), p) for p in range(PARTITIONS)]
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends = await consumer.end_offsets(tps)
        out = []
        while [tp for tp in tps if await consumer.position(tp) < ends[tp]]:
            for tp, found in (await consumer.getmany(timeout_ms=200)).items():
                out += [(tp.partition, r.key, r.value) for r in found]
        return out
    finally:
        await consumer.stop()


async def say_late(kafka: str) -> None:
    """Write the first value of every cell behind its last, as a process does that wakes with it in its hands."""
    first: dict[tuple[int, bytes], bytes] = {}
    for partition, key, value in await said(kafka):
        if value is not None:
            first.setdefault((partition, key), value)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
    await producer.start()
    try:
        for (partition, key), value in first.items():
            await producer.send(changelog(1), value, key, partition)
        await producer.flush()
    finally:
        await producer.stop()


def overtaken(changelog: list[tuple[int, bytes, bytes | None]]) -> list[bytes]:
    """Keys whose last value is not the newest."""
    newest: dict[bytes, Any] = {}
    last: dict[bytes, Any] = {}
    for _, key, value in changelog:
        last[key] = decode_value(value) if value else None
        if key not in newest or not precedes(last[key], newest[key]):
            newest[key] = last[key]
    return [key for key, value in last.items() if precedes(value, newest[key])]


async def test_lost_records_are_healed_and_a_process_that_wakes_late_changes_nothing(
    broker: Stack, tmp_path: Path
) -> None:
    records, counted = made()
    on_topics = {
        place: [r for n, r in enumerate(found) if len(found) - n not in LOST]
        for place, found in records.items()
    }
    lost = sum(counted.records.values()) - sum(map(len, on_topics.values()))
    assert lost == len(LOST) * len(records)
    await publish(broker.kafka, on_topics)
    total = sum(counted.records.values())
    async with feed_of(records) as url:
        at = msgspec.json.encode({"order": url, "inventory": url}).decode()
        peers = {"OMS_PEERS": at, "OMS_PEER_KEY": "unasked"}
        async with worker(broker.kafka, tmp_path, "first", peers) as first:
            await first.until(total // 4, 120)
            first.process.send_signal(signal.SIGSTOP)
            try:
                async with worker(broker.kafka, tmp_path, "second", peers) as second:
                    await second.until(total, 120)
                    first.process.send_signal(signal.SIGCONT)
                    await first.until(total, 120)
                    for woken in (first, second):
                        compared, differences = await compare(woken.http, counted)
                        assert compared > 1000
                        assert differences == []
            finally:
                first.process.send_signal(signal.SIGCONT)
        await say_late(broker.kafka)
        assert overtaken(await said(broker.kafka))
        async with worker(broker.kafka, tmp_path, "third", peers) as third:
            await third.until(total, 120)
            assert (await compare(third.http, counted))[1] == []
            progress = (await third.get("/progress"))["partitions"]
            assert [p["gaps"] for p in progress] == [2] * len(records)
            assert overtaken(await said(broker.kafka)) == []
