"""One process of the transport floor: ``python -m benchmarks.floor_process TRAFFIC SERVICE``.

It reads records and, for each, appends the rows and publishes the records that the real service did on average, with the
same sizes, in transactions like the real ones: log rows and checkpoint; then records. It looks at one byte of a record,
decodes nothing, decides nothing and keeps no state. A poll that brings fewer records than the real service's transactions
had on average waits for more for as long as the real one pauses.

OMS_KAFKA and OMS_DATABASE say where. Prints ``ready``, and ends when its standard input does: with its parent.
"""

import asyncio
import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.traffic import Part, Template, Traffic
from shared.ledger.store import Partition
from shared.stream.gather import BUSY_SECONDS
from shared.stream.kafka import KafkaProducer
from shared.stream.port import Outgoing
from shared.stream.relay import CURSOR_EVERY

PREFIX = "floor."
PARTITIONS = 4
RECORDS_MAX = 1000
POLL_MS = 500

TABLES = """
create table messages (position bigint primary key, stream text not null, version integer,
    type text not null, topic text, partition smallint, key text not null, at timestamptz not null default now(),
    meta bytea not null, data bytea not null);
create unique index on messages (stream, version) where version is not null;
create table head (position bigint not null);
insert into head values (0);
create table relay (published bigint not null);
insert into relay values (0);
create table checkpoints (topic text, partition smallint, next_offset bigint not null, primary key (topic, partition));
create table entries (key text not null, at timestamptz not null default now(), type text not null, meta bytea not null,
    data bytea not null);
create index on entries (key);
"""

_APPEND = """
with taken as (
    update head set position = position + cardinality(%(stream)b::text[])
    returning position - cardinality(%(stream)b::text[]) as before
)
insert into messages (position, stream, version, type, topic, partition, key, meta, data)
select before + n, stream, version, type, nullif(topic, ''), partition, key, meta, data
from taken, unnest(%(stream)b::text[], %(version)b::int4[], %(type)b::text[], %(topic)b::text[], %(partition)b::int2[],
                   %(key)b::text[], %(meta)b::bytea[], %(data)b::bytea[])
    with ordinality as m (stream, version, type, topic, partition, key, meta, data, n)
returning position"""

_CHECKPOINTS = """
insert into checkpoints select * from unnest(%b::text[], %b::int2[], %b::int8[])
on conflict (topic, partition) do update set next_offset = excluded.next_offset"""

_ENTRIES = "copy entries (key, type, meta, data) from stdin (format binary)"

Rows = deque[tuple[int, str, int]]
Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class Shares:
    """Whole rows out of average ones: what is left over is carried to the next record."""

    def __init__(self) -> None:
        self._left: dict[tuple[int, int, int], float] = {}

    def take(self, key: tuple[int, int, int], share: float) -> int:
        """How many whole rows there are now for this share."""
        left = self._left.get(key, 0.0) + share
        rows = int(left + 1e-6)
        self._left[key] = left - rows
        return rows


class Process:
    """Reads, writes and publishes as its part says."""

    def __init__(self, traffic: Traffic, part: Part, dsn: str, kafka: str) -> None:
        self._templates = traffic.templates
        self._part = part
        self._dsn = dsn
        self._kafka = kafka
        self._wake = asyncio.Event()
        self._written: Rows = deque()
        self._shares = Shares()
        self._later: dict[int, Rows] = {}
        self._version = 0

    async def run(self) -> None:
        """Work until cancelled."""
        partitions = [
            TopicPartition(PREFIX + t, p) for t in self._part.topics for p in range(PARTITIONS)
        ]
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=2 << 20,
            max_poll_records=RECORDS_MAX,
        )
        await consumer.start()
        consumer.assign(partitions)
        producer = KafkaProducer(self._kafka)
        await producer.start()
        relay = asyncio.create_task(self._relay(producer))
        try:
            for partition in partitions:
                await consumer.position(partition)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as c:
                await asyncio.gather(self._consume(consumer, c), relay)
        finally:
            relay.cancel()
            await producer.stop()
            await consumer.stop()

    async def _consume(self, consumer: AIOKafkaConsumer, c: Connection) -> None:
        while True:
            records = await self._next(consumer)
            if self._part.entries_per_record:
                await self._keep(c, records)
                continue
            for start in range(0, len(records), RECORDS_MAX):
                await self._write(c, records[start : start + RECORDS_MAX])
            if not records and self._later:
                await self._write(c, [])

    async def _next(self, consumer: AIOKafkaConsumer) -> list[Any]:
        """What there is to read; when it is less than the run's average, a little more time for more to come."""
        fetched = await consumer.getmany(timeout_ms=0 if self._later else POLL_MS)
        records = [r for batch in fetched.values() for r in batch]
        if records and not self._later:
            deadline = time.monotonic() + BUSY_SECONDS
            enough = min(self._part.records_per_transaction, RECORDS_MAX)
            while len(records) < enough and (left := deadline - time.monotonic()) > 0:
                fetched = await consumer.getmany(timeout_ms=int(left * 1000))
                records += [r for batch in fetched.values() for r in batch]
        return records

    async def _write(self, c: Connection, records: list[Any]) -> None:
        """One transaction: the records, and what an earlier one left to it."""
        rows: Rows = self._later.pop(0, deque())
        self._later = {phase - 1: later for phase, later in self._later.items()}
        for r in records:
            self._react(r, rows)
        async with c.pipeline():
            await c.execute("begin")
            if rows:
                await c.execute(_APPEND, self._columns(rows))
            if records:
                await c.execute(_CHECKPOINTS, _marks(records))
            await c.execute("commit")
        self._written.extend(rows)
        self._wake.set()

    def _react(self, record: Any, rows: Rows) -> None:
        cause = record.value[0]
        key = record.key.decode()
        for number, phase, share in self._part.reactions.get(cause, ()):
            count = self._shares.take((cause, number, phase), share)
            # What a later phase writes waits for the transaction after the one that is filled now.
            target = rows if phase == 0 else self._later.setdefault(phase - 1, deque())
            target.extend([(number, key, record.partition)] * count)

    def _columns(self, rows: Iterable[tuple[int, str, int]]) -> dict[str, list[Any]]:
        names = ("stream", "version", "type", "topic", "partition", "key", "meta", "data")
        columns: dict[str, list[Any]] = {name: [] for name in names}
        for number, key, partition in rows:
            t = self._templates[number]
            self._version += 1
            values = (
                f"order-{key}",
                self._version,
                t.type,
                t.topic,
                partition,
                key,
                t.meta,
                t.data,
            )
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        return columns

    async def _keep(self, c: Connection, records: list[Any]) -> None:
        """A read model's transaction: entries and checkpoints, without waiting for the disk, as the real one."""
        if not records:
            return
        async with c.pipeline():
            await c.execute("begin")
            await c.execute("set local synchronous_commit to off")
            await c.execute(_CHECKPOINTS, _marks(records))
        async with c.cursor().copy(_ENTRIES) as copy:
            copy.set_types(["text", "text", "bytea", "bytea"])
            for row in self._entries(records):
                await copy.write_row(row)
        await c.execute("commit")

    def _entries(self, records: list[Any]) -> Iterator[tuple[str, str, bytes, bytes]]:
        for r in records:
            t = self._templates[r.value[0]]
            for _ in range(self._shares.take((0, 0, 0), self._part.entries_per_record)):
                yield r.key.decode(), t.type, t.meta, r.value

    async def _relay(self, producer: KafkaProducer) -> None:
        async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as c:
            batches = published = 0
            while True:
                await self._wake.wait()
                self._wake.clear()
                rows, self._written = self._written, deque()
                await _publish(producer, rows, self._templates)
                published += len(rows)
                batches += 1
                if rows and batches % CURSOR_EVERY == 0:
                    await _mark(c, published)


async def _publish(producer: KafkaProducer, rows: Rows, templates: list[Template]) -> None:
    by_partition: dict[Partition, list[Outgoing]] = {}
    for number, key, partition in rows:
        t = templates[number]
        if t.topic:
            record = Outgoing(key.encode(), t.data, t.headers)
            by_partition.setdefault((PREFIX + t.topic, partition), []).append(record)
    async with asyncio.TaskGroup() as group:
        for to, records in by_partition.items():
            group.create_task(producer.publish(to, records))


async def _mark(c: Connection, published: int) -> None:
    async with c.pipeline():
        await c.execute("begin")
        await c.execute("set local synchronous_commit = off")
        await c.execute("update relay set published = %b", [published])
        await c.execute("commit")


def _marks(records: list[Any]) -> list[list[Any]]:
    marks = {(r.topic, r.partition): r.offset + 1 for r in records}
    return [[t for t, _ in marks], [p for _, p in marks], list(marks.values())]


async def _until_parent_ends() -> None:
    await asyncio.to_thread(sys.stdin.read)


async def main(traffic: Traffic, service: str) -> None:
    """Run one part until standard input ends."""
    [part] = [p for p in traffic.parts if p.service == service]
    process = Process(traffic, part, os.environ["OMS_DATABASE"], os.environ["OMS_KAFKA"])
    work = asyncio.create_task(process.run())
    parent = asyncio.create_task(_until_parent_ends())
    await asyncio.wait((work, parent), return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        os._exit(_report(work))  # the thread that waits for standard input would keep the process
    work.cancel()
    await asyncio.wait((work,))


def _report(work: "asyncio.Task[None]") -> int:
    error = work.exception()
    sys.stderr.write(f"floor process failed: {error!r}\n")
    sys.stderr.flush()
    return 1


if __name__ == "__main__":
    spec = msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes(), type=Traffic)
    uvloop.run(main(spec, sys.argv[2]))
