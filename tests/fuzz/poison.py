"""One record in a hundred that nobody can read, under load: parked at once, and every other key goes on."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import psycopg

from shared.events import Envelope, encode
from shared.events.order import PlaceOrder
from shared.ledger.batch import partition_of
from shared.stream.kafka import KafkaProducer
from shared.stream.port import Outgoing
from tests.fuzz.ground import LINES, Ground, order
from tests.fuzz.values import BROKEN_JSON

TOPIC = "oms.channel.orders"
SHARE = 100
#: The aim; an unread record stands in nobody's way for longer.
SECONDS_MAX = 60.0


@dataclass
class Poisoned:
    """How long it took until every poison record was parked, and every order placed."""

    orders: int = 0
    poison: int = 0
    parked_seconds: float = 0.0
    placed_seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


async def poison(ground: Ground, orders: int) -> Poisoned:
    """Orders on the channel topic, among them one poison record for every hundred, each under a key of its own."""
    name = uuid4().hex[:8]
    bad = list(BROKEN_JSON.values())
    out = Poisoned(orders, max(orders // SHARE, 3))
    commands = [PlaceOrder(**order(f"{name}-{n}"), lines=LINES) for n in range(orders)]
    keys = [f"poison-{name}-{n}".encode() for n in range(out.poison)]
    sent = [_said(c.key.encode(), encode(c)) for c in commands]
    for n, key in enumerate(keys):
        sent.insert(n * (SHARE + 1), _said(key, bad[n % len(bad)]))
    await _publish(ground, sent)
    began = time.monotonic()
    dsn = ground.system.dsns["order"]
    parked, placed = (
        ("select count(*) from parked where key = any(%s::bytea[])", keys),
        ("select count(*) from streams where id = any(%s)", [c.subject for c in commands]),
    )
    out.parked_seconds = await _until(dsn, *parked, len(keys), began, "parked", out)
    out.placed_seconds = await _until(dsn, *placed, orders, began, "placed", out)
    return out


def _said(key: bytes, value: bytes) -> Outgoing:
    head = Envelope(id=str(uuid4()), type=PlaceOrder.tag(), source="/outside")
    return Outgoing(key, value, head.headers())


async def _publish(ground: Ground, records: list[Outgoing]) -> None:
    producer = KafkaProducer(ground.system.stack.kafka)
    partitions = ground.system.layout.partitions
    await producer.start()
    try:
        for number in range(partitions):
            mine = [r for r in records if partition_of(r.key.decode(), partitions) == number]
            for n in range(0, len(mine), 500):
                await producer.publish((TOPIC, number), mine[n : n + 500])
    finally:
        await producer.stop()


async def _until(
    dsn: str, sql: str, these: Any, count: int, began: float, what: str, out: Poisoned
) -> float:
    """Seconds until all are there; noted as wrong where that takes too long."""
    with psycopg.connect(dsn, autocommit=True) as c:
        while True:
            row = c.execute(sql, [these]).fetchone()
            seconds = time.monotonic() - began
            if row == (count,):
                return seconds
            if seconds > SECONDS_MAX:
                out.wrong.append(f"{row} of {count} {what} within {SECONDS_MAX:.0f} s")
                return seconds
            await asyncio.sleep(0.1)
