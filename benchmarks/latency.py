"""Placed to confirmed at a steady rate: an open loop, so a slow moment meets as many orders as a fast one.

Two latencies: by a clock on the wall, from just before the order is handed to the client library until a consumer of
``oms.order.events`` holds its OrderConfirmed, which is the stricter one and the figure; and by the recorded times of the
events OrderPlaced and OrderConfirmed, which is what reports show.
"""

import asyncio
import time
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.load import orders, record
from benchmarks.statistics import summary
from benchmarks.testbed import PARTITIONS, Bed, BenchmarkFailed, Services, until
from shared.events.order import OrderConfirmed, OrderPlaced

TOPIC = "oms.order.events"
PATIENCE_SECONDS = 60

_RECORDED = """
select extract(epoch from c.at - p.at)::float8 * 1000
from messages p join messages c using (stream)
where p.type = %(placed)s and c.type = %(confirmed)s and p.position > %(after)s"""


class Measured(NamedTuple):
    """Milliseconds: on the wall, and as recorded."""

    orders: int
    wall_ms: dict[str, float]
    recorded_ms: dict[str, float]
    sent_per_s: float


async def measure(
    bed: Bed,
    services: Services,
    *,
    per_s: float,
    seconds: float,
    warm_up_s: float,
) -> Measured:
    """Send orders at a rate for ``seconds`` after a warm-up, and wait until all are confirmed."""
    # As a sales channel would: the plain client, every order acknowledged by the broker.
    channel = AIOKafkaProducer(bootstrap_servers=bed.stack.kafka, acks="all", linger_ms=0)
    await channel.start()
    try:
        await _send(bed, services, channel, per_s, warm_up_s, "lw")
        after = await bed.number("order", "select position from head")
        wall_ms, took_s = await _send(bed, services, channel, per_s, seconds, "l")
    finally:
        await channel.stop()
    args: dict[str, object] = {
        "placed": OrderPlaced.tag(),
        "confirmed": OrderConfirmed.tag(),
        "after": after,
    }
    recorded = [float(str(ms)) for (ms,) in await bed.query("order", _RECORDED, args)]
    if len(recorded) != len(wall_ms):
        raise BenchmarkFailed(
            f"{len(wall_ms)} orders were seen confirmed, {len(recorded)} are recorded"
        )
    count = len(wall_ms)
    return Measured(count, summary(wall_ms), summary(recorded), round(count / took_s, 1))


async def _send(
    bed: Bed,
    services: Services,
    channel: AIOKafkaProducer,
    per_s: float,
    seconds: float,
    prefix: str,
) -> tuple[list[float], float]:
    """Latencies on the wall, and the seconds that sending took."""
    batch = [(o.order_id, *record(o)) for o in orders(round(per_s * seconds), prefix)]
    sent: dict[str, float] = {}
    confirmed: dict[str, float] = {}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bed.stack.kafka, enable_auto_commit=False, fetch_max_wait_ms=50
    )
    await consumer.start()
    watching = None
    try:
        partitions = [TopicPartition(TOPIC, n) for n in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        for one in partitions:  # a seek is lazy
            await consumer.position(one)
        watching = asyncio.create_task(_watch(consumer, confirmed))
        started = time.perf_counter()
        sends = []
        for number, (order_id, partition, outgoing) in enumerate(batch):
            await asyncio.sleep(max(0.0, started + number / per_s - time.perf_counter()))
            # The time at which it was due: when this process is late, the order has waited, too.
            sent[order_id] = started + number / per_s
            topic, partition_number = partition
            sends.append(
                await channel.send(
                    topic,
                    outgoing.value,
                    key=outgoing.key,
                    partition=partition_number,
                    headers=outgoing.headers,
                )
            )
        await asyncio.gather(*sends)
        took_s = time.perf_counter() - started

        async def all_confirmed() -> bool:
            return sent.keys() <= confirmed.keys()

        await until(
            all_confirmed,
            f"all {len(batch)} orders are confirmed",
            timeout_s=PATIENCE_SECONDS,
            every_s=0.02,
            services=services,
        )
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.wait((watching,))
        await consumer.stop()
    return [(confirmed[id] - at) * 1000 for id, at in sent.items()], took_s


async def _watch(consumer: AIOKafkaConsumer, confirmed: dict[str, float]) -> None:
    tag = ("ce_type", OrderConfirmed.tag().encode())
    while True:
        fetched = await consumer.getmany(timeout_ms=1000)
        now = time.perf_counter()
        for batch in fetched.values():
            for r in batch:
                if tag in r.headers:
                    confirmed.setdefault(r.key.decode(), now)
