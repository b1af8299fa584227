"""Orders' events as the services publish them, with envelopes, for tests of the views."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.events import (
    Address,
    Allocation,
    Charge,
    Customer,
    Envelope,
    Event,
    LineQuantity,
    Money,
    OrderLine,
    encode,
    read_headers,
)
from shared.events import fulfillment as f
from shared.events import inventory as i
from shared.events import notifications as n
from shared.events import order as o
from shared.events import returns as r
from shared.events.codec import codec
from shared.ledger.batch import partition_of
from shared.ledger.store import Mark, Partition
from shared.ledger.work import Task
from shared.stream.port import Record

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
PARTITIONS = 4


@dataclass
class Said:
    """One event with what its envelope says."""

    event: Event
    id: str
    at: datetime
    causation: str
    actor: str = ""


@dataclass
class Journey:
    """What is said about one order, in the order in which it happens. Methods are steps; each
    returns itself."""

    number: str = "1001"
    channel: str = "web"
    quantities: Sequence[int] = (2, 1)
    skus: Sequence[str] = ("TEA-01", "CUP-07")
    at: datetime = START
    step: timedelta = timedelta(seconds=1)
    email: str = "ada@example.org"
    locations: Sequence[str] = ("LON",)
    said: list[Said] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order_id = o.order_id_for(self.channel, self.number)
        self.reservation_id = f"{self.order_id}.1"
        self.prices = [250 * (k + 1) for k in range(len(self.quantities))]
        self.shipping = 390
        goods = sum(q * p for q, p in zip(self.quantities, self.prices, strict=True))
        self.total = goods + self.shipping

    # What is said, and how.

    def say(self, event: Event, *, cause: str | None = None, actor: str = "") -> Journey:
        version = self.versions[event.subject] = self.versions.get(event.subject, 0) + 1
        if cause is None:
            cause = self.said[-1].id if self.said else "request-1"
        self.said.append(Said(event, f"{event.subject}/{version}", self.at, cause, actor))
        self.at += self.step
        return self

    @property
    def last(self) -> str:
        return self.said[-1].id

    def line(self, k: int, quantity: int) -> LineQuantity:
        return LineQuantity(line_id=str(k + 1), sku=self.skus[k], quantity=quantity)

    def all_lines(self) -> tuple[LineQuantity, ...]:
        return tuple(self.line(k, q) for k, q in enumerate(self.quantities))

    def allocations(self) -> tuple[Allocation, ...]:
        places = self.locations
        return tuple(
            Allocation(
                line_id=str(k + 1),
                sku=self.skus[k],
                location=places[k % len(places)],
                quantity=q,
            )
            for k, q in enumerate(self.quantities)
        )

    def money(self, amount: int) -> Money:
        return Money(amount, "GBP")

    # The steps.

    def placed(self, backorder: str = "refuse") -> Journey:
        lines = tuple(
            OrderLine(
                line_id=str(k + 1),
                sku=sku,
                quantity=q,
                unit_price=p,
                total=q * p,
                description=f"The article {sku}",
            )
            for k, (sku, q, p) in enumerate(
                zip(self.skus, self.quantities, self.prices, strict=True)
            )
        )
        return self.say(
            o.OrderPlaced(
                order_id=self.order_id,
                channel=self.channel,
                external_id=self.number,
                currency="GBP",
                lines=lines,
                charges=(Charge(kind="shipping", amount=self.shipping, description="Standard"),),
                total=self.total,
                customer=Customer(
                    customer_id="C-17", name="Ada Byron", email=self.email, phone="+44 20 7946 0018"
                ),
                ship_to=Address(
                    name="Ada Byron",
                    line1="12 St James's Square",
                    city="London",
                    postal_code="SW1Y 4JH",
                    country="GB",
                ),
                payment_method="card",
                backorder=backorder,  # type: ignore[arg-type]
                placed_at=self.at - timedelta(minutes=2),
            )
        )

    def reserved(self, locations: Sequence[str] = ("LON",), attempt: int = 1) -> Journey:
        self.reservation_id = f"{self.order_id}.{attempt}"
        self.locations = locations
        allocations = self.allocations()
        expires = self.at + timedelta(minutes=15)
        both: Any = {"order_id": self.order_id, "reservation_id": self.reservation_id}
        self.say(
            i.StockReserved(**both, allocations=allocations, expires_at=expires),
            cause=f"{self.last}:0",
        )
        return self.say(o.OrderReserved(**both, allocations=allocations, expires_at=expires))

    def backordered(self) -> Journey:
        both: Any = {"order_id": self.order_id, "reservation_id": self.reservation_id}
        self.say(
            i.StockBackordered(**both, lines=self.all_lines(), hold_seconds=900),
            cause=f"{self.last}:0",
        )
        return self.say(o.OrderBackordered(**both))

    def confirmed(self) -> Journey:
        self.say(
            o.PaymentAuthorised(
                order_id=self.order_id,
                payment_id=f"{self.order_id}.p1",
                provider_ref="pi_1",
                amount=self.money(self.total),
            ),
            cause=f"effect:authorise:{self.order_id}",
        )
        self.say(
            o.OrderConfirmed(
                order_id=self.order_id,
                channel=self.channel,
                external_id=self.number,
                total=self.money(self.total),
            ),
            cause=self.said[-1].causation,
        )
        confirmed = self.last
        self.say(
            i.ReservationCommitted(
                order_id=self.order_id,
                reservation_id=self.reservation_id,
                allocations=self.allocations(),
            ),
            cause=f"effect:authorise:{self.order_id}:0",
        )
        self.told("order_confirmed", confirmed)
        return self

    def told(self, template: str, cause: str) -> Journey:
        notice = f"{self.order_id}/{template}"
        self.say(
            n.NotificationRequested(
                order_id=self.order_id,
                notification_id=notice,
                template=template,  # type: ignore[arg-type]
                cause_id=cause,
            ),
            cause=cause,
        )
        return self.say(
            n.NotificationSent(order_id=self.order_id, notification_id=notice, message_id="<m-1>"),
            cause=f"effect:{notice}",
        )

    def fulfilment(
        self, k: int = 1, lines: Iterable[LineQuantity] | None = None, location: str = "LON"
    ) -> Journey:
        """Opened, picked and packed into one package, which is captured and released."""
        id = f"{self.order_id}.f{k}"
        package = f"{id}.p1"
        chosen = tuple(lines) if lines is not None else self.all_lines()
        both: Any = {"order_id": self.order_id, "fulfillment_id": id}
        self.say(
            f.FulfillmentOpened(
                **both, location=location, lines=chosen, ship_to=Address(country="GB")
            )
        )
        self.say(f.PickingStarted(**both, picker="sam"), cause="request-2", actor="warehouse:sam")
        self.say(f.ItemsPicked(**both, lines=chosen), cause="request-3", actor="warehouse:sam")
        self.say(f.PackagePacked(**both, package_id=package, lines=chosen), cause="request-4")
        amount = self.price_of(chosen) + (self.shipping if k == 1 else 0)
        self.say(
            o.OrderPacked(**both, package_id=package, lines=chosen, capture=self.money(amount))
        )
        self.say(
            o.PaymentCaptured(
                order_id=self.order_id,
                payment_id=f"{self.order_id}.p1",
                capture_id=f"{package}.c",
                package_id=package,
                amount=self.money(amount),
            ),
            cause=f"effect:capture:{package}",
        )
        return self.say(f.PackageReleased(**both, package_id=package))

    def price_of(self, lines: Iterable[LineQuantity]) -> int:
        return sum(self.prices[int(line.line_id) - 1] * line.quantity for line in lines)

    def shipped(
        self,
        k: int = 1,
        lines: Iterable[LineQuantity] | None = None,
        location: str = "LON",
        *,
        last: bool = True,
    ) -> Journey:
        id = f"{self.order_id}.f{k}"
        chosen = tuple(lines) if lines is not None else self.all_lines()
        what: Any = {
            "order_id": self.order_id,
            "fulfillment_id": id,
            "package_id": f"{id}.p1",
            "location": location,
            "lines": chosen,
            "carrier": "Royal Mail",
            "tracking_number": f"RM{k}{self.number}GB",
        }
        self.say(f.Shipped(**what), cause="request-5", actor="warehouse:sam")
        self.say(o.OrderShipped(**what))
        shipped = self.last
        self.say(
            i.ReservationConsumed(
                order_id=self.order_id,
                reservation_id=self.reservation_id,
                package_id=f"{id}.p1",
                allocations=tuple(
                    Allocation(line_id=x.line_id, sku=x.sku, location=location, quantity=x.quantity)
                    for x in chosen
                ),
                open_units=0 if last else 1,
            ),
            cause=f"{shipped}:0",
        )
        return self.told("order_shipped", shipped)

    def delivered(self, k: int = 1, lines: Iterable[LineQuantity] | None = None) -> Journey:
        id = f"{self.order_id}.f{k}"
        what: Any = {
            "order_id": self.order_id,
            "fulfillment_id": id,
            "package_id": f"{id}.p1",
            "lines": tuple(lines) if lines is not None else self.all_lines(),
        }
        self.say(f.Delivered(**what, delivered_at=self.at), cause="request-6")
        return self.say(o.OrderDelivered(**what))

    def completed(self) -> Journey:
        return self.say(o.OrderCompleted(order_id=self.order_id), cause=self.said[-1].causation)

    def returned(self, lines: Iterable[LineQuantity], disposition: str = "restock") -> Journey:
        chosen = tuple(lines)
        both: Any = {"order_id": self.order_id, "return_id": f"{self.order_id}.r1"}
        refund = {"refund_id": f"{self.order_id}.r1.refund", "return_id": f"{self.order_id}.r1"}
        amount = self.money(self.price_of(chosen))
        self.say(
            r.ReturnRequested(
                **both,
                lines=tuple(
                    r.ReturnLine(
                        line_id=x.line_id, sku=x.sku, quantity=x.quantity, reason="too small"
                    )
                    for x in chosen
                ),
                actor="agent:kim",
            ),
            cause="request-7",
            actor="agent:kim",
        )
        self.say(r.ReturnApproved(**both, actor="policy"), cause="request-7")
        self.say(
            r.ReturnReceived(
                **both, receipt_id="rc-1", location="LON", lines=chosen, outstanding=0
            ),
            cause="request-8",
        )
        self.say(
            r.ReturnInspected(
                **both,
                location="LON",
                lines=tuple(
                    r.InspectedLine(
                        line_id=x.line_id,
                        sku=x.sku,
                        quantity=x.quantity,
                        disposition=disposition,  # type: ignore[arg-type]
                    )
                    for x in chosen
                ),
                actor="warehouse:sam",
            ),
            cause="request-9",
        )
        self.say(
            o.ReturnAccepted(**both, refund_id=refund["refund_id"], lines=chosen, refund=amount)
        )
        self.say(
            o.RefundIssued(
                order_id=self.order_id,
                payment_id=f"{self.order_id}.p1",
                amount=amount,
                **refund,
            ),
            cause="effect:refund",
        )
        return self.say(r.ReturnSettled(**both, refund_id=refund["refund_id"], amount=amount))

    def cancelled(self) -> Journey:
        """Cancelled after it was confirmed and opened at one location, before anything was
        packed."""
        self.say(
            o.CancellationRequested(
                order_id=self.order_id, reason="changed my mind", actor="agent:kim"
            ),
            cause="request-10",
            actor="agent:kim",
        )
        asked = self.last
        fulfillment_id = f"{self.order_id}.f1"
        self.say(
            f.FulfillmentCancelled(
                order_id=self.order_id, fulfillment_id=fulfillment_id, reason="changed my mind"
            ),
            cause=f"{asked}:0",
        )
        self.say(o.FulfillmentStopped(order_id=self.order_id, fulfillment_id=fulfillment_id))
        self.say(
            i.ReservationReleased(
                order_id=self.order_id,
                reservation_id=self.reservation_id,
                reason="cancelled",
                allocations=self.allocations(),
                committed=True,
                open_units=0,
            ),
            cause=f"{asked}:1",
        )
        self.say(o.ReservationReturned(order_id=self.order_id, reservation_id=self.reservation_id))
        self.say(
            o.PaymentVoided(order_id=self.order_id, payment_id=f"{self.order_id}.p1"),
            cause="effect:void",
        )
        return self.say(o.OrderCancelled(order_id=self.order_id, reason="changed my mind"))

    def opened(self, location: str = "LON") -> Journey:
        return self.say(
            f.FulfillmentOpened(
                order_id=self.order_id,
                fulfillment_id=f"{self.order_id}.f1",
                location=location,
                lines=self.all_lines(),
                ship_to=Address(),
            )
        )

    def opened_second(self, lines: Iterable[LineQuantity], location: str) -> Journey:
        """A second location is about to pick its share."""
        both: Any = {"order_id": self.order_id, "fulfillment_id": f"{self.order_id}.f2"}
        chosen = tuple(lines)
        self.say(
            f.FulfillmentOpened(**both, location=location, lines=chosen, ship_to=Address()),
            cause=f"effect:authorise:{self.order_id}:2",
        )
        self.say(f.PickingStarted(**both, picker="lee"), cause="request-12")
        return self.say(f.ItemsPicked(**both, lines=chosen[:1]), cause="request-13")

    def rejected(self) -> Journey:
        self.say(
            i.ReservationRejected(
                order_id=self.order_id,
                reservation_id=self.reservation_id,
                reason="out_of_stock",
                shortages=(self.line(0, 1),),
            ),
            cause=f"{self.last}:0",
        )
        return self.say(
            o.OrderRejected(order_id=self.order_id, reason="out_of_stock", detail="TEA-01")
        )

    def held(self) -> Journey:
        return self.say(
            o.HoldPlaced(
                order_id=self.order_id,
                hold_id="h-1",
                kind="fulfillment",
                reason="not picked in time",
            ),
            cause="timer:order:deadline",
        )

    def whole(self) -> Journey:
        """From placing to completion, in one package."""
        self.placed().reserved().confirmed().fulfilment().shipped().delivered()
        return self.completed()


def received(sku: str, quantity: int, location: str = "LON", at: datetime = START) -> Said:
    """A receipt of stock."""
    event = i.StockReceived(
        sku=sku,
        location=location,
        quantity=quantity,
        movement_id=f"m-{sku}-{location}",
        reference="PO-1",
    )
    return Said(event, f"{event.subject}/1", at, "request-0")


class Topics:
    """The records of many journeys, in feed order, with positions and the chain."""

    def __init__(self, partitions: int = PARTITIONS) -> None:
        self.partitions = partitions
        self.records: dict[Partition, list[Record]] = {}
        self._positions: dict[str, int] = {}
        self._last: dict[Partition, int] = {}

    def publish(self, said: Iterable[Said]) -> None:
        for one in said:
            topic = one.event.route()
            assert topic is not None
            partition = (topic, partition_of(one.event.key, self.partitions))
            position = self._positions[topic] = self._positions.get(topic, 0) + 1
            envelope = Envelope(
                id=one.id,
                type=one.event.tag(),
                source=f"/oms/{one.event.service()}",
                subject=one.event.subject,
                time=one.at,
                correlation_id=one.event.key,
                causation_id=one.causation,
                actor=one.actor,
                sequence=position,
                previous=self._last.get(partition, 0),
            )
            self._last[partition] = position
            batch = self.records.setdefault(partition, [])
            batch.append(
                Record(
                    topic,
                    partition[1],
                    len(batch),
                    one.event.key.encode(),
                    encode(one.event),
                    envelope.headers(),
                )
            )

    def __iter__(self) -> Iterator[Record]:
        for partition in sorted(self.records):
            yield from self.records[partition]


def task(record: Record) -> Task:
    """The task that the consumer runtime makes of a record."""
    envelope = read_headers(record.headers)
    assert envelope.sequence is not None
    return Task(
        message=codec.decode(envelope.type, record.value),
        id=envelope.id,
        correlation_id=envelope.correlation_id,
        actor=envelope.actor,
        causation_id=envelope.causation_id,
        time=envelope.time,
        partition=(record.topic, record.partition),
        mark=Mark(record.offset + 1, envelope.sequence),
        record=record,
        chained=True,
    )
