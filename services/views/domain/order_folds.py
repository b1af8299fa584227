"""How an order's part follows from what the order service told; its money is in `order_money`."""

from datetime import datetime

from msgspec.structs import replace

from services.views.domain import order_money
from services.views.domain.order_part import Hold, Line, OrderPart, new_package
from services.views.domain.order_units import move, move_all
from services.views.domain.units import Fold, change, units
from shared.events import OrderLine
from shared.events import order as o


def _hold(id: str) -> Hold:
    return Hold(hold_id=id)


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
    part = move_all(part, "cancelled", "open", "reserved", "backordered", "packed")
    status = "expired" if e.reason == "expired" else "rejected"
    reason = f"{e.reason}: {e.detail}" if e.detail else e.reason
    return replace(part, status=status, reason=reason, ended_at=at)


def _reserved(part: OrderPart, e: o.OrderReserved, at: datetime) -> OrderPart:
    return move(part, e.allocations, "reserved", "open", "backordered")


def _backordered(part: OrderPart, e: o.OrderBackordered, at: datetime) -> OrderPart:
    return move_all(part, "backordered", "open")


def _reservation_lost(part: OrderPart, e: o.ReservationLost, at: datetime) -> OrderPart:
    return move_all(part, "open", "reserved", "backordered")


def _confirmed(part: OrderPart, e: o.OrderConfirmed, at: datetime) -> OrderPart:
    return replace(part, status="confirmed", confirmed_at=at)


def _packed(part: OrderPart, e: o.OrderPacked, at: datetime) -> OrderPart:
    part = move(part, e.lines, "packed", "reserved", "open", "backordered")
    packages = change(
        part.packages,
        e.package_id,
        new_package,
        fulfillment_id=e.fulfillment_id,
        lines=units(e.lines),
        capture=e.capture.amount,
        packed_at=at,
    )
    return replace(part, packages=packages)


def _shipped(part: OrderPart, e: o.OrderShipped, at: datetime) -> OrderPart:
    part = move(part, e.lines, "shipped", "packed", "reserved", "open", "backordered")
    packages = change(
        part.packages,
        e.package_id,
        new_package,
        fulfillment_id=e.fulfillment_id,
        lines=units(e.lines),
        location=e.location,
        carrier=e.carrier,
        tracking=e.tracking_number,
        shipped_at=at,
    )
    return replace(part, packages=packages)


def _delivered(part: OrderPart, e: o.OrderDelivered, at: datetime) -> OrderPart:
    part = move(part, e.lines, "delivered", "shipped", "packed")
    return replace(part, packages=change(part.packages, e.package_id, new_package, delivered_at=at))


def _lines_cancelled(part: OrderPart, e: o.LinesCancelled, at: datetime) -> OrderPart:
    return move(part, e.lines, "cancelled", "reserved", "open", "backordered", "packed")


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
            part = move(part, package.lines, "reserved", "packed")
            packages = change(part.packages, package.package_id, new_package, stopped=True)
            part = replace(part, packages=packages)
    return part


def _reservation_returned(part: OrderPart, e: o.ReservationReturned, at: datetime) -> OrderPart:
    return move_all(part, "open", "reserved", "backordered")


def _cancelled(part: OrderPart, e: o.OrderCancelled, at: datetime) -> OrderPart:
    part = move_all(part, "cancelled", "open", "reserved", "backordered", "packed")
    return replace(part, status="cancelled", reason=e.reason, cancelling="", ended_at=at)


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


#: How each event of the order service changes its part.
FOLDS: dict[type, Fold] = {
    **order_money.FOLDS,
    o.OrderPlaced: _placed,
    o.OrderRejected: _rejected,
    o.OrderReserved: _reserved,
    o.OrderBackordered: _backordered,
    o.ReservationLost: _reservation_lost,
    o.OrderConfirmed: _confirmed,
    o.OrderPacked: _packed,
    o.OrderShipped: _shipped,
    o.OrderDelivered: _delivered,
    o.LinesCancelled: _lines_cancelled,
    o.OrderCompleted: _completed,
    o.CancellationRequested: _cancellation_requested,
    o.CancellationRefused: _cancellation_refused,
    o.FulfillmentStopped: _fulfillment_stopped,
    o.ReservationReturned: _reservation_returned,
    o.OrderCancelled: _cancelled,
    o.HoldPlaced: _hold_placed,
    o.HoldReleased: _hold_released,
}
