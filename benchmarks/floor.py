"""The transport floor of a journey: the same bytes, without domain code.

After a journey its traffic is surveyed (`benchmarks.survey`): which rows of which size each service wrote for each type of
record it read, in how many transactions. Then, on the same broker and database server, as many processes as there were
services read the same records and write rows and records of the same number and size, in logs and topics, in
transactions of the average size of the journey (`benchmarks.floor_process`). What the floor leaves out is what the domain
needs: decoding, deciding, stream states and their locks, timers, effects, parking, the watermark and the chain. So the ratio
of journey to floor says what share of the transport's speed is left when orders are really decided.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec
import psycopg

from benchmarks.children import child
from benchmarks.floor_process import PREFIX, TABLES
from benchmarks.load import Records, publish
from benchmarks.testbed import PARTITIONS, Bed, cpu_seconds, until
from benchmarks.traffic import (
    Traffic,
    consumed_records,
    expected,
    fractions,
    numbered,
    whole,
)
from ops import stack
from shared.events.order import PlaceOrder
from shared.ledger.batch import partition_of
from shared.stream.kafka import KafkaProducer
from shared.stream.port import Outgoing

LOOK_SECONDS = 0.05

_ROWS = "select position from head"
_ENTRIES = "select count(*) from entries"


class Floor(NamedTuple):
    """What the floor reached: orders a second until the order process had written everything, and until the read model
    had, if any; transactions of logs, and CPU seconds, by process."""

    orders_per_s: float
    with_entries_per_s: float | None
    transactions: dict[str, int]
    cpu_s: dict[str, float]


async def measure(
    bed: Bed, traffic: Traffic, orders: Sequence[PlaceOrder], warm_up: Sequence[PlaceOrder]
) -> Floor:
    """Run the floor with as many orders as the journey had, after as many to warm up as the journey had."""
    topics = sorted(
        {t.topic for t in traffic.templates if t.topic}
        | {t for p in traffic.parts for t in p.topics}
    )
    await stack.create_topics(bed.stack.kafka, {PREFIX + t: PARTITIONS for t in topics})
    spec = bed.stack.data / "traffic.msgpack"
    await asyncio.to_thread(spec.write_bytes, msgspec.msgpack.encode(traffic))
    for part in traffic.parts:
        dsn = await bed.add_database(f"floor_{part.service}")
        await asyncio.to_thread(_tables, dsn)
    async with AsyncExitStack() as running:
        producer = KafkaProducer(bed.stack.kafka)
        await producer.start()
        running.push_async_callback(producer.stop)
        pids = await _start(bed, traffic, spec, running) | bed.server_pids()
        await _run(bed, traffic, producer, warm_up, 0)
        before = await _transactions(bed, traffic)
        spent = cpu_seconds(pids)
        orders_s, entries_s = await _run(bed, traffic, producer, orders, len(warm_up))
        cpu_s = {name: s - spent[name] for name, s in cpu_seconds(pids).items()}
    after = await _transactions(bed, traffic)
    logs = {n: after[n] - before[n] for n in after}
    with_entries_per_s = len(orders) / entries_s if entries_s else None
    return Floor(len(orders) / orders_s, with_entries_per_s, logs, cpu_s)


async def _start(bed: Bed, traffic: Traffic, spec: Path, running: AsyncExitStack) -> dict[str, int]:
    """Start a process a part; returns their pids once all read."""
    started = []
    for part in traffic.parts:
        env = {
            "OMS_DATABASE": bed.dsns[f"floor_{part.service}"],
            "OMS_KAFKA": bed.stack.kafka,
        }
        arguments = [str(spec), part.service]
        started.append(
            await running.enter_async_context(child("benchmarks.floor_process", arguments, env))
        )
    for one in started:
        await one.ready()
    return {p.service: one.process.pid for p, one in zip(traffic.parts, started, strict=True)}


def _tables(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(TABLES)


def records(traffic: Traffic, orders: Sequence[PlaceOrder], bodies: Sequence[bytes]) -> Records:
    """The channel's records for the floor: the same bodies, under the order's id, which the real order service finds out."""
    entry = traffic.templates[0]
    out: Records = {}
    for order, body in zip(orders, bodies, strict=True):
        record = Outgoing(order.order_id.encode(), numbered(body, 0), entry.headers)
        partition = partition_of(order.order_id, PARTITIONS)
        out.setdefault((PREFIX + entry.topic, partition), []).append(record)
    return out


async def _run(
    bed: Bed,
    traffic: Traffic,
    producer: KafkaProducer,
    orders: Sequence[PlaceOrder],
    before: int,
) -> tuple[float, float | None]:
    """Seconds until the order process, and the read model, have written all rows; ``before`` orders went before."""
    by_partition = records(traffic, orders, [msgspec.json.encode(o) for o in orders])
    total = before + len(orders)
    rows = {s: sum(counts.values()) for s, counts in expected(traffic, total).items()}
    # Shares of a row, carried from record to record, may end one row short each.
    logs = {p.service: rows[p.service] - fractions(p) for p in traffic.parts if p.reactions}
    keepers = {
        p.service: whole(consumed_records(traffic, p, total) * p.entries_per_record) - 1
        for p in traffic.parts
        if p.entries_per_record
    }
    timeout_s = 60 + len(orders) / 50

    async def written(service: str, sql: str, count: int) -> bool:
        return await bed.number(f"floor_{service}", sql) >= count

    started = time.perf_counter()
    await publish(producer, by_partition)
    await until(
        lambda: written("order", _ROWS, logs["order"]),
        "the transport floor's order process has written everything",
        timeout_s=timeout_s,
        every_s=LOOK_SECONDS,
    )
    orders_s = time.perf_counter() - started
    for service, count in keepers.items():
        await until(
            lambda s=service, n=count: written(s, _ENTRIES, n),  # type: ignore[misc]
            "the transport floor's read model has written everything",
            timeout_s=timeout_s,
            every_s=LOOK_SECONDS * 4,
        )
    entries_s = time.perf_counter() - started if keepers else None
    for service, count in logs.items():
        await until(
            lambda s=service, n=count: written(s, _ROWS, n),  # type: ignore[misc]
            f"the transport floor's {service} process has written {count} rows",
            timeout_s=timeout_s,
        )
    return orders_s, entries_s


async def _transactions(bed: Bed, traffic: Traffic) -> dict[str, int]:
    """Transactions that wrote to each log so far."""
    sql = "select count(distinct xmin::text) from messages"
    return {p.service: await bed.number(f"floor_{p.service}", sql) for p in traffic.parts}
