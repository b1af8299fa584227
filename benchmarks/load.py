"""The load: stock to sell, and orders of two lines, as a channel would send them."""

import asyncio
import random
import uuid
from collections.abc import Iterable

from benchmarks.testbed import PARTITIONS, Bed, Services, until
from shared.events import (
    Address,
    Customer,
    Envelope,
    Message,
    OrderLine,
    StockLine,
    encode,
)
from shared.events.inventory import ReceiveStock
from shared.events.order import PlaceOrder
from shared.ledger.batch import partition_of
from shared.ledger.store import Partition
from shared.stream.kafka import KafkaProducer
from shared.stream.port import Outgoing

SKUS = 1000
LOCATION = "A"
CHANNEL = "web"
UNITS = 1_000_000
SEED = 20_101_201

Records = dict[Partition, list[Outgoing]]


def orders(count: int, prefix: str) -> list[PlaceOrder]:
    """Orders of two different SKUs each; the same count and prefix give the same orders."""
    chance = random.Random(f"{SEED}{prefix}")
    return [_order(f"{prefix}{number:07d}", chance) for number in range(count)]


def _order(number: str, chance: random.Random) -> PlaceOrder:
    first, second = (f"SKU-{n:04d}" for n in chance.sample(range(SKUS), 2))
    return PlaceOrder(
        channel=CHANNEL,
        external_id=number,
        currency="EUR",
        customer=Customer(
            customer_id=f"c-{number}", name="João Silva", email=f"c-{number}@example.com"
        ),
        ship_to=Address(
            name="João Silva",
            line1="Rua do Ouro 100",
            city="Lisboa",
            postal_code="1100-063",
            country="PT",
        ),
        lines=(
            OrderLine(line_id="1", sku=first, quantity=1, unit_price=1999, total=1999),
            OrderLine(line_id="2", sku=second, quantity=2, unit_price=2999, total=5998),
        ),
        payment_method="tok_ok",
    )


def record(message: Message) -> tuple[Partition, Outgoing]:
    """A message from outside as a record, and the partition of its key."""
    topic = message.route()
    assert topic is not None, f"{message.tag()} does not travel"
    envelope = Envelope(id=str(uuid.uuid4()), type=message.tag(), source="/bench")
    outgoing = Outgoing(message.key.encode(), encode(message), envelope.headers())
    return (topic, partition_of(message.key, PARTITIONS)), outgoing


def records(messages: Iterable[Message]) -> Records:
    """Encoded records by partition, in order."""
    out: Records = {}
    for message in messages:
        partition, outgoing = record(message)
        out.setdefault(partition, []).append(outgoing)
    return out


async def publish(producer: KafkaProducer, by_partition: Records) -> None:
    """Publish everything at once: partitions side by side, each in order."""
    async with asyncio.TaskGroup() as group:
        for partition, batch in by_partition.items():
            group.create_task(producer.publish(partition, batch))


async def stock_up(bed: Bed, producer: KafkaProducer, services: Services) -> None:
    """Receive plenty of every SKU, and wait until the order service knows them all."""
    await publish(
        producer,
        records(
            ReceiveStock(
                movement_id=f"bench-{n}",
                lines=(StockLine(sku=f"SKU-{n:04d}", location=LOCATION, quantity=UNITS),),
            )
            for n in range(SKUS)
        ),
    )

    async def known() -> bool:
        return await bed.query("order", "select count(*) from items") == [(SKUS,)]

    await until(known, "the order service knows all SKUs", timeout_s=60, services=services)
