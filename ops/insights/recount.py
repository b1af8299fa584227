"""A recount of the source topics, from the bytes: no windows kept, no batches, no watermarks, only sums.

It shares nothing with the service but the names of topics and fields, so that the two can only agree by both being
right."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

TOPICS = ("oms.order.events", "oms.inventory.events")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
#: Signs of available stock, by event.
_ONE_SKU = {"oms.inventory.received.v1", "oms.inventory.adjusted.v1", "oms.inventory.restocked.v1"}
_ALLOCATIONS = {
    "oms.inventory.reserved.v1": -1,
    "oms.inventory.reservation_released.v1": 1,
    "oms.inventory.reservation_expired.v1": 1,
}
#: Size of window, its start in seconds, SKU, channel, currency.
SaleKey = tuple[str, int, str, str, str]


class Recount(NamedTuple):
    """Sums over the topics: units and revenue by window, available units by SKU, records and the last position by topic
    and partition."""

    units: Counter[SaleKey]
    revenue: Counter[SaleKey]
    available: Counter[str]
    records: Counter[tuple[str, int]]
    last: dict[tuple[str, int], int]


async def recount(kafka: str, progress: Callable[[int], None] = lambda _: None) -> Recount:
    """Read both topics from their beginning to where they end now. A record published twice counts once."""
    found = Recount(Counter(), Counter(), Counter(), Counter(), {})
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, auto_offset_reset="earliest", enable_auto_commit=False
    )
    try:
        await consumer.start()
        await consumer._client.force_metadata_update()  # noqa: SLF001 - topics are unknown before
        tps = [TopicPartition(t, p) for t in TOPICS for p in await _partitions(consumer, t)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        await consumer.seek_to_beginning(*tps)
        while [tp for tp in tps if await consumer.position(tp) < ends[tp]]:
            for tp, records in (await consumer.getmany(timeout_ms=200, max_records=5000)).items():
                for r in records:
                    headers = dict(r.headers)
                    sequence = int(headers.get("ce_sequence", b"0"))
                    if r.offset < ends[tp] and sequence > found.last.get(
                        (tp.topic, tp.partition), 0
                    ):
                        found.last[tp.topic, tp.partition] = sequence
                        found.records[tp.topic, tp.partition] += 1
                        count(found, headers["ce_type"].decode(), r.value)
            progress(sum(found.records.values()))
            await asyncio.sleep(0)
    finally:
        await consumer.stop()
    return found


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[int]:
    metadata = await consumer._client.fetch_all_metadata()  # noqa: SLF001 - no public way without a group
    return sorted(metadata.partitions_for_topic(topic) or ())


def count(found: Recount, tag: str, value: bytes) -> None:
    """Add one record to the sums."""
    if tag == "oms.order.placed.v1":
        _sale(found, msgspec.json.decode(value))
    elif tag in _ONE_SKU:
        moved = msgspec.json.decode(value)
        found.available[moved["sku"]] += moved["quantity"]
    elif sign := _ALLOCATIONS.get(tag):
        for a in msgspec.json.decode(value)["allocations"]:
            found.available[a["sku"]] += sign * a["quantity"]


def _sale(found: Recount, order: dict[str, Any]) -> None:
    at = datetime.fromisoformat(order["placed_at"]).astimezone(UTC)
    second = int(at.replace(microsecond=0).timestamp())
    for line in order["lines"]:
        for size, seconds in _SECONDS.items():
            start = second - second % seconds
            key = (size, start, line["sku"], order["channel"], order["currency"])
            found.units[key] += line["quantity"]
            found.revenue[key] += line["total"]
