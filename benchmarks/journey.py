"""The full journey: orders through the channel topic until they are completed, by all services."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.load import Records, publish
from benchmarks.testbed import (
    Bed,
    BenchmarkFailed,
    Services,
    cpu_seconds,
    resident_mb,
    until,
)
from shared.events.order import OrderCompleted
from shared.stream.kafka import KafkaProducer

LOOK_SECONDS = 0.05
#: Below this rate the journey is given up.
ORDERS_PER_SECOND_MIN = 50

# Only the rows since the last look are read, so watching costs little; whether the count is right is verified at the end.
_COMPLETED = """
select count(*) filter (where type = %(type)s), coalesce(max(position), %(after)s)
from messages where position > %(after)s"""

_HEADS = "select topic, partition, position from chain"
_READ = "select topic, partition, sequence from checkpoints"
_READ_BY_VIEWS = """
select c.topic, c.partition, c.sequence from {schema}.checkpoints c"""


class Journey(NamedTuple):
    """What was seen: seconds from the first publish to the last order completed, until every service had read
    everything, and until the views had applied everything (where they ran); memory and CPU by process."""

    orders: int
    completed_s: float
    settled_s: float
    viewed_s: float | None
    resident_mb: dict[str, float]
    cpu_s: dict[str, float]


async def measure(
    bed: Bed, services: Services, producer: KafkaProducer, by_partition: Records
) -> Journey:
    """Publish encoded orders at once and watch them to the end. Raises `BenchmarkFailed` when they don't all get there,
    anything is parked or owed, or a service ends."""
    orders = sum(map(len, by_partition.values()))
    names = tuple(services.pids())
    write_side = tuple(n for n in names if n != "views")
    completed_before = await completed(bed)
    after = await bed.number("order", "select position from head")
    cpu_before = _cpu(bed, services)
    timeout_s = 60 + orders / ORDERS_PER_SECOND_MIN
    started = time.perf_counter()
    await publish(producer, by_partition)
    await _until_completed(bed, services, orders, after, timeout_s)
    completed_s = time.perf_counter() - started
    viewed_s = None
    if "views" in names:
        await until(
            lambda: views_are_current(bed, write_side),
            "the views have applied everything",
            timeout_s=timeout_s,
            services=services,
        )
        viewed_s = time.perf_counter() - started
    await until(
        lambda: settled(bed, write_side),
        "every service has read what the others published",
        timeout_s=timeout_s,
        services=services,
    )
    settled_s = time.perf_counter() - started
    cpu_after = _cpu(bed, services)
    await verify(bed, names, orders, completed_before)
    services.check()
    spent = {n: cpu_after[n] - cpu_before[n] for n in cpu_after}
    memory = resident_mb(services.pids())
    return Journey(orders, completed_s, settled_s, viewed_s, memory, spent)


def _cpu(bed: Bed, services: Services) -> dict[str, float]:
    return cpu_seconds(services.pids() | bed.server_pids())


async def _until_completed(
    bed: Bed, services: Services, orders: int, after: int, timeout_s: float
) -> None:
    seen = 0

    async def all_completed() -> bool:
        nonlocal seen, after
        args: dict[str, object] = {"type": OrderCompleted.tag(), "after": after}
        [(more, last)] = await bed.query("order", _COMPLETED, args)
        seen, after = seen + int(str(more)), int(str(last))
        return seen >= orders

    try:
        await until(
            all_completed,
            "all orders completed",
            timeout_s=timeout_s,
            every_s=LOOK_SECONDS,
            services=services,
        )
    except BenchmarkFailed as failed:
        raise BenchmarkFailed(f"{failed} ({seen} of {orders} are)") from failed


async def completed(bed: Bed) -> int:
    """How many orders have reached their end."""
    sql = "select count(*) from messages where type = %(type)s"
    return await bed.number("order", sql, {"type": OrderCompleted.tag()})


async def heads(bed: Bed, services: Sequence[str]) -> dict[tuple[str, int], int]:
    """The last position given on each topic and partition by these services."""
    rows = [row for service in services for row in await bed.query(service, _HEADS)]
    return {(str(t), int(str(p))): int(str(position)) for t, p, position in rows}


async def settled(bed: Bed, services: Sequence[str]) -> bool:
    """Whether every service has handled all that was published on its topics."""
    latest = await heads(bed, services)
    for service in services:
        for topic, partition, sequence in await bed.query(service, _READ):
            if int(str(sequence)) < latest.get((str(topic), int(str(partition))), 0):
                return False
    return True


async def views_are_current(bed: Bed, services: Sequence[str], version: int = 1) -> bool:
    """Whether a version of the views has applied everything that was given a position."""
    latest = await heads(bed, services)
    tables = await bed.query(
        "views", "select to_regclass(%(t)s)", {"t": f"v{version:d}.checkpoints"}
    )
    if tables == [(None,)]:
        return False
    rows = await bed.query("views", _READ_BY_VIEWS.format(schema=f"v{version:d}"))
    read = {(str(t), int(str(p))): int(str(s)) for t, p, s in rows}
    topics = {t for t, _ in read}
    return bool(read) and all(
        read.get(partition, 0) >= position
        for partition, position in latest.items()
        if partition[0] in topics
    )


async def verify(bed: Bed, names: Sequence[str], orders: int, before: int) -> None:
    """Exactly these orders are completed, once each, and nothing is parked or owed anywhere."""
    ended = await completed(bed) - before
    sql = "select count(distinct stream) from messages where type = %(type)s"
    streams = await bed.number("order", sql, {"type": OrderCompleted.tag()})
    if ended != orders or streams != orders + before:
        raise BenchmarkFailed(
            f"{orders} orders were sent, {ended} were completed in {streams} streams"
        )
    for name in names:
        tables = ["v1.parked"] if name == "views" else ["parked", "effects"]
        for table in tables:
            [(count, error)] = await bed.query(name, f"select count(*), min(error) from {table}")  # noqa: S608
            if count:
                raise BenchmarkFailed(f"{name}: {count} rows are in {table}, the first: {error}")
