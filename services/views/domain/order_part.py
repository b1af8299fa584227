"""What the order service told: the order's own story, folded from ``oms.order.events``.

Every unit of a line is in exactly one quantity, at every event: open, reserved, backordered,
packed, shipped, delivered or cancelled. Units only move between them, so they always add up to what
was ordered."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec

from services.views.domain.units import Part, Units, change, find, per_line, units
from shared.events import Address, Charge, Customer, OrderLine
from shared.events import order as o

replace = msgspec.structs.replace

ODDITIES_MAX = 20


class Line(Part, frozen=True, array_like=True, kw_only=True):
    """One order line. ``total`` is minor units; ``paid`` counts units whose package was
    captured."""

    line_id: str
    sku: str
    ordered: int
    unit_price: int
    total: int
    open: int = 0
    reserved: int = 0
    backordered: int = 0
    packed: int = 0
    shipped: int = 0
    delivered: int = 0
    cancelled: int = 0
    paid: int = 0
    exact_unit_price: str | None = None
    description: str = ""


class Package(Part, frozen=True, array_like=True, kw_only=True):
    """One package as the order knows it. ``capture`` is what its units cost, ``captured`` what was
    taken (minor units)."""

    package_id: str
    fulfillment_id: str = ""
    lines: tuple[Units, ...] = ()
    capture: int = 0
    captured: int = 0
    location: str = ""
    carrier: str = ""
    tracking: str = ""
    packed_at: datetime | None = None
    paid_at: datetime | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    refusal: str = ""
    stopped: bool = False


class Payment(Part, frozen=True, array_like=True, kw_only=True):
    """One payment; amounts in minor units of the order's currency."""

    payment_id: str
    provider_ref: str = ""
    authorised: int = 0
    captured: int = 0
    refunded: int = 0
    voided: int = 0
    declined: str = ""
    at: datetime | None = None


class Refund(Part, frozen=True, array_like=True, kw_only=True):
    """Money owed back: granted, then paid or failed."""

    refund_id: str
    payment_id: str = ""
    return_id: str = ""
    amount: int = 0
    state: str = "granted"
    reason: str = ""
    at: datetime | None = None


class Hold(Part, frozen=True, array_like=True, kw_only=True):
    """Why the order waits for a person, and who let it go on."""

    hold_id: str
    kind: str = ""
    reason: str = ""
    placed_at: datetime | None = None
    released_at: datetime | None = None
    released_by: str = ""
    note: str = ""


class OrderPart(Part, frozen=True, array_like=True, kw_only=True):
    """See the module. ``status`` is empty until the order was seen placed."""

    status: str = ""
    reason: str = ""
    channel: str = ""
    number: str = ""
    currency: str = ""
    total: int = 0
    lines: tuple[Line, ...] = ()
    charges: tuple[Charge, ...] = ()
    customer: Customer = Customer()
    ship_to: Address = Address()
    payment_method: str = ""
    backorder: str = ""
    placed_at: datetime | None = None
    recorded_at: datetime | None = None
    confirmed_at: datetime | None = None
    ended_at: datetime | None = None
    cancelling: str = ""
    cancel_refused: str = ""
    packages: tuple[Package, ...] = ()
    payments: tuple[Payment, ...] = ()
    refunds: tuple[Refund, ...] = ()
    holds: tuple[Hold, ...] = ()
    fees_captured: int = 0
    oddities: tuple[str, ...] = ()


def _package(id: str) -> Package:
    return Package(package_id=id)


def _payment(id: str) -> Payment:
    return Payment(payment_id=id)


def _refund(id: str) -> Refund:
    return Refund(refund_id=id)


def _hold(id: str) -> Hold:
    return Hold(hold_id=id)


def _move(part: OrderPart, moved: Iterable[Any], target: str, *sources: str) -> OrderPart:
    """Move units of each named line into ``target``, from the first of ``sources`` that have them.

    A view must show what it was told, also when that does not add up: units that no source has stay
    where they are, and the difference is noted for people to see."""
    wanted = per_line(moved)
    lines: list[Line] = []
    odd: list[str] = []
    for line in part.lines:
        units_here = wanted.pop(line.line_id, 0)
        if not units_here:
            lines.append(line)
            continue
        changed, left = _take(line, units_here, target, sources)
        lines.append(changed)
        if left:
            odd.append(f"{left} more of {line.sku} {target} than were left of line {line.line_id}")
    odd += [
        f"{n} units {target} of line {id}, which the order does not have"
        for id, n in wanted.items()
    ]
    return replace(part, lines=tuple(lines), oddities=(*part.oddities, *odd)[:ODDITIES_MAX])


def _take(line: Line, left: int, target: str, sources: Iterable[str]) -> tuple[Line, int]:
    changes = {target: getattr(line, target)}
    for source in sources:
        there = getattr(line, source)
        taken = min(left, there)
        if taken:
            changes[source] = there - taken
            changes[target] += taken
            left -= taken
    return replace(line, **changes), left


def _move_all(part: OrderPart, target: str, *sources: str) -> OrderPart:
    """Move whatever the sources of every line hold."""
    lines = tuple(_take(line, line.ordered, target, sources)[0] for line in part.lines)
    return replace(part, lines=lines)


def _line(line: OrderLine) -> Line:
    return Line(
        line_id=line.line_id,
        sku=line.sku,
        ordered=line.quantity,
        unit_price=line.unit_price,
        total=line.total,
        open=line.quantity,
        exact_unit_price=line.exact_unit_price,
        description=line.description,
    )


def _placed(part: OrderPart, e: o.OrderPlaced, at: datetime) -> OrderPart:
    return replace(
        part,
        status="placed",
        channel=e.channel,
        number=e.external_id,
        currency=e.currency,
        total=e.total,
        lines=tuple(_line(line) for line in e.lines),
        charges=e.charges,
        customer=e.customer,
        ship_to=e.ship_to,
        payment_method=e.payment_method,
        backorder=e.backorder,
        placed_at=e.placed_at,
        recorded_at=at,
    )


def _rejected(part: OrderPart, e: o.OrderRejected, at: datetime) -> OrderPart:
    part = _move_all(part, "cancelled", "open", "reserved", "backordered", "packed")
    status = "expired" if e.reason == "expired" else "rejected"
    reason = f"{e.reason}: {e.detail}" if e.detail else e.reason
    return replace(part, status=status, reason=reason, ended_at=at)


def _reserved(part: OrderPart, e: o.OrderReserved, at: datetime) -> OrderPart:
    return _move(part, e.allocations, "reserved", "open", "backordered")


def _backordered(part: OrderPart, e: o.OrderBackordered, at: datetime) -> OrderPart:
    return _move_all(part, "backordered", "open")


def _reservation_lost(part: OrderPart, e: o.ReservationLost, at: datetime) -> OrderPart:
    return _move_all(part, "open", "reserved", "backordered")


def _authorised(part: OrderPart, e: o.PaymentAuthorised, at: datetime) -> OrderPart:
    known = find(part.payments, e.payment_id) or _payment(e.payment_id)
    payments = change(
        part.payments,
        e.payment_id,
        _payment,
        provider_ref=e.provider_ref,
        authorised=known.authorised + e.amount.amount,
        declined="",
        at=at,
    )
    return replace(part, payments=payments)


def _declined(part: OrderPart, e: o.PaymentDeclined, at: datetime) -> OrderPart:
    return replace(
        part, payments=change(part.payments, e.payment_id, _payment, declined=e.code, at=at)
    )


def _confirmed(part: OrderPart, e: o.OrderConfirmed, at: datetime) -> OrderPart:
    return replace(part, status="confirmed", confirmed_at=at)


def _packed(part: OrderPart, e: o.OrderPacked, at: datetime) -> OrderPart:
    part = _move(part, e.lines, "packed", "reserved", "open", "backordered")
    packages = change(
        part.packages,
        e.package_id,
        _package,
        fulfillment_id=e.fulfillment_id,
        lines=units(e.lines),
        capture=e.capture.amount,
        packed_at=at,
    )
    return replace(part, packages=packages)


def _captured(part: OrderPart, e: o.PaymentCaptured, at: datetime) -> OrderPart:
    payment = find(part.payments, e.payment_id) or _payment(e.payment_id)
    total = payment.captured + e.amount.amount
    payments = change(part.payments, e.payment_id, _payment, captured=total)
    if not e.package_id:
        fees = part.fees_captured + e.amount.amount
        return replace(part, payments=payments, fees_captured=fees)
    package = find(part.packages, e.package_id) or _package(e.package_id)
    packages = change(
        part.packages, e.package_id, _package, captured=e.amount.amount, paid_at=at, refusal=""
    )
    paid = per_line(package.lines)
    lines = tuple(
        replace(line, paid=min(line.ordered, line.paid + paid.get(line.line_id, 0)))
        for line in part.lines
    )
    return replace(part, payments=payments, packages=packages, lines=lines)


def _capture_refused(part: OrderPart, e: o.CaptureRefused, at: datetime) -> OrderPart:
    if not e.package_id:
        return part
    return replace(part, packages=change(part.packages, e.package_id, _package, refusal=e.reason))


def _shipped(part: OrderPart, e: o.OrderShipped, at: datetime) -> OrderPart:
    part = _move(part, e.lines, "shipped", "packed", "reserved", "open", "backordered")
    packages = change(
        part.packages,
        e.package_id,
        _package,
        fulfillment_id=e.fulfillment_id,
        lines=units(e.lines),
        location=e.location,
        carrier=e.carrier,
        tracking=e.tracking_number,
        shipped_at=at,
    )
    return replace(part, packages=packages)


def _delivered(part: OrderPart, e: o.OrderDelivered, at: datetime) -> OrderPart:
    part = _move(part, e.lines, "delivered", "shipped", "packed")
    return replace(part, packages=change(part.packages, e.package_id, _package, delivered_at=at))


def _lines_cancelled(part: OrderPart, e: o.LinesCancelled, at: datetime) -> OrderPart:
    return _move(part, e.lines, "cancelled", "reserved", "open", "backordered", "packed")


def _completed(part: OrderPart, e: o.OrderCompleted, at: datetime) -> OrderPart:
    return replace(part, status="completed", ended_at=at, cancelling="")


def _cancellation_requested(part: OrderPart, e: o.CancellationRequested, at: datetime) -> OrderPart:
    return replace(part, cancelling=e.reason or "requested")


def _cancellation_refused(part: OrderPart, e: o.CancellationRefused, at: datetime) -> OrderPart:
    return replace(part, cancelling="", cancel_refused=e.reason or "refused")


def _fulfillment_stopped(part: OrderPart, e: o.FulfillmentStopped, at: datetime) -> OrderPart:
    """Packages that had not left are unpacked: their units are merely reserved again."""
    for package in part.packages:
        if package.fulfillment_id == e.fulfillment_id and package.shipped_at is None:
            part = _move(part, package.lines, "reserved", "packed")
            packages = change(part.packages, package.package_id, _package, stopped=True)
            part = replace(part, packages=packages)
    return part


def _reservation_returned(part: OrderPart, e: o.ReservationReturned, at: datetime) -> OrderPart:
    return _move_all(part, "open", "reserved", "backordered")


def _voided(part: OrderPart, e: o.PaymentVoided, at: datetime) -> OrderPart:
    payment = find(part.payments, e.payment_id) or _payment(e.payment_id)
    given_up = payment.authorised - payment.captured
    return replace(part, payments=change(part.payments, e.payment_id, _payment, voided=given_up))


def _cancelled(part: OrderPart, e: o.OrderCancelled, at: datetime) -> OrderPart:
    part = _move_all(part, "cancelled", "open", "reserved", "backordered", "packed")
    return replace(part, status="cancelled", reason=e.reason, cancelling="", ended_at=at)


def _return_accepted(part: OrderPart, e: o.ReturnAccepted, at: datetime) -> OrderPart:
    refunds = change(
        part.refunds, e.refund_id, _refund, return_id=e.return_id, amount=e.refund.amount, at=at
    )
    return replace(part, refunds=refunds)


def _refund_issued(part: OrderPart, e: o.RefundIssued, at: datetime) -> OrderPart:
    payment = find(part.payments, e.payment_id) or _payment(e.payment_id)
    refunded = payment.refunded + e.amount.amount
    refunds = change(
        part.refunds,
        e.refund_id,
        _refund,
        payment_id=e.payment_id,
        return_id=e.return_id,
        amount=e.amount.amount,
        state="paid",
        at=at,
    )
    payments = change(part.payments, e.payment_id, _payment, refunded=refunded)
    return replace(part, refunds=refunds, payments=payments)


def _refund_failed(part: OrderPart, e: o.RefundFailed, at: datetime) -> OrderPart:
    refunds = change(
        part.refunds,
        e.refund_id,
        _refund,
        payment_id=e.payment_id,
        return_id=e.return_id,
        state="failed",
        reason=e.reason,
        at=at,
    )
    return replace(part, refunds=refunds)


def _hold_placed(part: OrderPart, e: o.HoldPlaced, at: datetime) -> OrderPart:
    holds = change(
        part.holds,
        e.hold_id,
        _hold,
        kind=e.kind,
        reason=e.reason,
        placed_at=at,
        released_at=None,
        released_by="",
        note="",
    )
    return replace(part, holds=holds)


def _hold_released(part: OrderPart, e: o.HoldReleased, at: datetime) -> OrderPart:
    holds = change(part.holds, e.hold_id, _hold, released_at=at, released_by=e.actor, note=e.note)
    return replace(part, holds=holds)


Fold = Callable[[Any, Any, datetime], Any]

#: How each event of the order service changes its part.
FOLDS: dict[type, Fold] = {
    o.OrderPlaced: _placed,
    o.OrderRejected: _rejected,
    o.OrderReserved: _reserved,
    o.OrderBackordered: _backordered,
    o.ReservationLost: _reservation_lost,
    o.PaymentAuthorised: _authorised,
    o.PaymentDeclined: _declined,
    o.OrderConfirmed: _confirmed,
    o.OrderPacked: _packed,
    o.PaymentCaptured: _captured,
    o.CaptureRefused: _capture_refused,
    o.OrderShipped: _shipped,
    o.OrderDelivered: _delivered,
    o.LinesCancelled: _lines_cancelled,
    o.OrderCompleted: _completed,
    o.CancellationRequested: _cancellation_requested,
    o.CancellationRefused: _cancellation_refused,
    o.FulfillmentStopped: _fulfillment_stopped,
    o.ReservationReturned: _reservation_returned,
    o.PaymentVoided: _voided,
    o.OrderCancelled: _cancelled,
    o.ReturnAccepted: _return_accepted,
    o.RefundIssued: _refund_issued,
    o.RefundFailed: _refund_failed,
    o.HoldPlaced: _hold_placed,
    o.HoldReleased: _hold_released,
}
