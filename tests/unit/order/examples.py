"""One order's life in messages, for tests: two lines from two locations, with shipping and a discount."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.order.domain.messages import (
    AuthorisationAnswered,
    CaptureAnswered,
    RefundAnswered,
    VoidAnswered,
)
from services.order.domain.saga import Policy
from services.order.handlers import table
from shared.events import Allocation, Charge, Customer, LineQuantity, Money, OrderLine
from shared.events import fulfillment as f
from shared.events import inventory as i
from shared.events import order as o
from shared.events import returns as r
from tests.spec import NOON, Scenario, given

POLICY = Policy()
TABLE = table(POLICY)
LINES = (
    OrderLine(line_id="1", sku="TEA", quantity=3, unit_price=333, total=999),
    OrderLine(line_id="2", sku="CUP", quantity=1, unit_price=500, total=500),
)
CHARGES = (Charge(kind="shipping", amount=400), Charge(kind="discount", amount=100))
TOTAL = 1799
PLACE = o.PlaceOrder(
    channel="web",
    external_id="1001",
    currency="GBP",
    lines=LINES,
    charges=CHARGES,
    customer=Customer(name="Ada", email="ada@example.org"),
    payment_method="tok_ok",
)
ID = PLACE.order_id
RESERVATION = f"{ID}.1"
PAYMENT = f"{ID}.pay1"
TEA, CUP = (LineQuantity(line_id=x.line_id, sku=x.sku, quantity=x.quantity) for x in LINES)
ALLOCATIONS = (
    Allocation(line_id="1", sku="TEA", location="LON", quantity=3),
    Allocation(line_id="2", sku="CUP", location="MAN", quantity=1),
)
LON, MAN = f"{ID}.f1", f"{ID}.f2"


def about(cls: Any, **fields: Any) -> Any:
    """A reservation's event about this order."""
    return cls(**{"order_id": ID, "reservation_id": RESERVATION} | fields)


RESERVED = about(i.StockReserved, allocations=ALLOCATIONS, expires_at=NOON + timedelta(minutes=15))
BACKORDERED = about(i.StockBackordered, lines=(TEA, CUP), hold_seconds=900)
COMMITTED = about(i.ReservationCommitted, allocations=ALLOCATIONS)
EXPIRED = about(i.ReservationExpired, allocations=ALLOCATIONS)
RELEASED = about(
    i.ReservationReleased, reason="", allocations=ALLOCATIONS, committed=True, open_units=0
)
REJECTED = about(i.ReservationRejected, reason="out_of_stock", shortages=(TEA,))
AUTHORISED = AuthorisationAnswered(
    order_id=ID, payment_id=PAYMENT, amount=Money(TOTAL, "GBP"), provider_ref="auth-1"
)
DECLINED = AuthorisationAnswered(
    order_id=ID, payment_id=PAYMENT, amount=Money(TOTAL, "GBP"), declined="insufficient_funds"
)
VOIDED = VoidAnswered(order_id=ID, payment_id=PAYMENT)


def packed(fulfillment_id: str, *lines: LineQuantity, n: int = 1) -> f.PackagePacked:
    """The warehouse packed a package."""
    return f.PackagePacked(
        order_id=ID, fulfillment_id=fulfillment_id, package_id=f"{fulfillment_id}.p{n}", lines=lines
    )


def captured(
    package: f.PackagePacked, amount: int, refused: str = "", n: int = 1
) -> CaptureAnswered:
    """The provider took, or refused to take, a package's amount."""
    return CaptureAnswered(
        order_id=ID,
        payment_id=PAYMENT,
        capture_id=f"{package.package_id}.c{n}",
        package_id=package.package_id,
        amount=Money(amount, "GBP"),
        refused=refused,
    )


def shipped(package: f.PackagePacked, location: str = "LON") -> f.Shipped:
    """The package left."""
    return f.Shipped(
        order_id=ID,
        fulfillment_id=package.fulfillment_id,
        package_id=package.package_id,
        location=location,
        lines=package.lines,
        carrier="post",
        tracking_number="T1",
    )


def delivered(package: f.PackagePacked) -> f.Delivered:
    """The package arrived."""
    return f.Delivered(
        order_id=ID,
        fulfillment_id=package.fulfillment_id,
        package_id=package.package_id,
        lines=package.lines,
        delivered_at=NOON,
    )


def stopped(fulfillment_id: str) -> f.FulfillmentCancelled:
    """The warehouse agreed to stop."""
    return f.FulfillmentCancelled(order_id=ID, fulfillment_id=fulfillment_id, reason="cancelled")


def inspected(*lines: r.InspectedLine, n: int = 1) -> r.ReturnInspected:
    """A return was inspected."""
    return r.ReturnInspected(
        return_id=f"{ID}.r{n}", order_id=ID, location="LON", lines=lines, actor="w"
    )


def back(
    line: LineQuantity, quantity: int, disposition: r.Disposition = "restock"
) -> r.InspectedLine:
    """Inspected units of a line."""
    return r.InspectedLine(
        line_id=line.line_id, sku=line.sku, quantity=quantity, disposition=disposition
    )


def refunded(n: int, amount: int, refused: str = "") -> RefundAnswered:
    """The provider paid back, or refused to."""
    return RefundAnswered(
        order_id=ID,
        payment_id=PAYMENT,
        refund_id=f"{ID}.r{n}.refund",
        return_id=f"{ID}.r{n}",
        amount=Money(amount, "GBP"),
        refused=refused,
    )


def after(*messages: Any) -> Scenario:
    """The scenario after these messages were handled, one after the other."""
    scenario = given(TABLE)
    for message in messages:
        scenario.when(message)
    return scenario


CONFIRMED = (PLACE, RESERVED, AUTHORISED, COMMITTED)
TEA_PACKAGE, CUP_PACKAGE = packed(LON, TEA), packed(MAN, CUP)
SENT = (
    *CONFIRMED,
    TEA_PACKAGE,
    captured(TEA_PACKAGE, 1199),
    shipped(TEA_PACKAGE),
    CUP_PACKAGE,
    captured(CUP_PACKAGE, 600),
    shipped(CUP_PACKAGE, "MAN"),
)
COMPLETED = (*SENT, delivered(TEA_PACKAGE), delivered(CUP_PACKAGE))
