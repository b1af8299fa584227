"""Events of a shop, as its services would publish them: for the insights' proof and tests.

Of one order come eight or so events on two topics. Some orders arrive late, by minutes or days; some records are
published twice, as a relay does after a crash. The same seed gives the same records.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.events import (
    Address,
    Allocation,
    Customer,
    Envelope,
    Event,
    LineQuantity,
    Money,
    OrderLine,
    encode,
)
from shared.events import inventory as i
from shared.events import order as o
from shared.ledger.batch import partition_of
from shared.ledger.store import Partition
from shared.stream.port import Outgoing

CHANNELS = ("web", "shop", "marketplace")
CURRENCIES = ("GBP", "EUR")
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@dataclass
class Shop:
    """Publishes records to nowhere: `records` yields them with their partitions, in the topics' order."""

    partitions: int
    seed: int = 1
    skus: int = 200
    start: datetime = START
    step: timedelta = timedelta(seconds=5)
    _feeds: dict[str, int] = field(default_factory=dict)
    _last: dict[Partition, int] = field(default_factory=dict)

    def records(self, count: int) -> Iterator[tuple[Partition, Outgoing]]:
        """``count`` records, duplicates among them."""
        chance = random.Random(self.seed)
        now, made, number = self.start, 0, 0
        while made < count:
            number += 1
            now += self.step * chance.random() * 2
            for event in self._order(number, now, chance):
                record = self._record(event, now)
                for _ in range(2 if chance.random() < 0.01 else 1):
                    if made < count:
                        yield record
                        made += 1

    def _order(self, number: int, now: datetime, chance: random.Random) -> Iterator[Event]:
        order_id, reservation = f"order-{self.seed}-{number}", f"{number}/1"
        skus = chance.sample(range(self.skus), chance.choice((1, 2, 2, 3)))
        lines = [
            LineQuantity(line_id=str(k), sku=f"SKU-{sku:04}", quantity=chance.randint(1, 4))
            for k, sku in enumerate(skus)
        ]
        late = chance.random()
        placed = now - timedelta(days=chance.randint(1, 9)) if late < 0.01 else now
        placed -= timedelta(minutes=chance.randint(1, 90)) if late > 0.97 else timedelta()
        if number % 10 == 1:
            for sku in skus:
                yield i.StockReceived(
                    sku=f"SKU-{sku:04}", location="LON", quantity=60,
                    movement_id=f"{number}/{sku}", reference="",
                )  # fmt: skip
        prices = [chance.randint(99, 9999) for _ in lines]
        yield o.OrderPlaced(
            order_id=order_id,
            channel=chance.choices(CHANNELS, (6, 3, 1))[0],
            external_id=str(number),
            currency=CURRENCIES[number % 7 == 0],
            lines=tuple(
                OrderLine(line_id=x.line_id, sku=x.sku, quantity=x.quantity, unit_price=price,
                          total=price * x.quantity)
                for x, price in zip(lines, prices, strict=True)
            ),
            charges=(),
            total=sum(x.quantity * price for x, price in zip(lines, prices, strict=True)),
            customer=Customer(name="Ada"),
            ship_to=Address(country="GB"),
            payment_method="card",
            backorder="refuse",
            placed_at=placed,
        )  # fmt: skip
        held = tuple(
            Allocation(line_id=x.line_id, sku=x.sku, location="LON", quantity=x.quantity)
            for x in lines
        )
        of = {"reservation_id": reservation, "order_id": order_id}
        yield i.StockReserved(**of, allocations=held, expires_at=now + timedelta(minutes=15))
        if chance.random() < 0.05:
            yield i.ReservationReleased(
                **of, reason="cancelled", allocations=held, committed=False, open_units=0
            )
            yield o.OrderCancelled(order_id=order_id, reason="customer")
            return
        yield i.ReservationCommitted(**of, allocations=held)
        yield o.OrderConfirmed(
            order_id=order_id, channel="web", external_id=str(number), total=Money(1, "GBP")
        )
        yield i.ReservationConsumed(**of, package_id="1", allocations=held, open_units=0)
        yield o.OrderDelivered(
            order_id=order_id, fulfillment_id="1", package_id="1", lines=tuple(lines)
        )
        yield o.OrderCompleted(order_id=order_id)

    def _record(self, event: Event, now: datetime) -> tuple[Partition, Outgoing]:
        topic = event.route()
        assert topic is not None
        place = (topic, partition_of(event.key, self.partitions))
        sequence = self._feeds[topic] = self._feeds.get(topic, 0) + 1
        previous = self._last.get(place, 0)
        self._last[place] = sequence
        envelope = Envelope(
            id=f"{event.subject}/{sequence}", type=event.tag(), source=f"/oms/{event.service()}",
            subject=event.subject, time=now, sequence=sequence, previous=previous,
        )  # fmt: skip
        return place, Outgoing(event.key.encode(), encode(event), envelope.headers())
