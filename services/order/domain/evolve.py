"""Folds an order's events into its state."""

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from services.order.domain.state import (
    FEES,
    Line,
    Order,
    Package,
    PackageStatus,
    Payment,
    fingerprint,
    fulfillments_of,
)
from shared.events import LineQuantity
from shared.events import order as e
from shared.events.shares import shares


def evolve(state: Order, event: e.OrderEvent) -> Order:
    """The state after an event."""
    match event:
        case e.OrderPlaced():
            return _placed(state, event)
        case e.OrderRejected():
            return replace(
                state, status="rejected", order_id=event.order_id, rejection=event.reason
            )
        case e.OrderReserved():
            asks = state.payment is None and state.total > 0
            return replace(
                state,
                reservation="held",
                allocations=event.allocations,
                authorising=state.authorising or asks,
            )
        case e.OrderBackordered():
            return replace(state, reservation="backordered")
        case e.ReservationLost():
            return replace(
                state,
                reservation="requested",
                reservation_attempts=state.reservation_attempts + 1,
                allocations=(),
            )
        case e.ReservationReturned():
            return replace(state, reservation="ended")
        case e.OrderConfirmed():
            opened = fulfillments_of(state.order_id, state.allocations)
            reservation = "committed" if state.lines else "none"
            return replace(
                state,
                status="confirmed",
                reservation=reservation,
                fulfillments=dict.fromkeys(opened, "open"),
                packages=_fees(state),
            )
        case e.OrderCompleted():
            return replace(state, status="completed")
        case e.CancellationRequested():
            return replace(state, cancelling=event.reason)
        case e.CancellationRefused():
            return replace(state, cancelling="")
        case e.OrderCancelled():
            return replace(state, status="cancelled", cancelling="")
        case e.FulfillmentStopped():
            return replace(
                state, fulfillments={**state.fulfillments, event.fulfillment_id: "stopped"}
            )
        case e.HoldPlaced():
            return replace(
                state,
                holds={**state.holds, event.hold_id: event.kind},
                holds_placed=state.holds_placed + 1,
            )
        case e.HoldReleased():
            return _hold_released(state, event)
        case _:
            return _evolve_goods_and_money(state, event)


def _evolve_goods_and_money(state: Order, event: e.OrderEvent) -> Order:
    match event:
        case e.PaymentAuthorised():
            payment = Payment(event.payment_id, event.provider_ref, event.amount.amount)
            return replace(state, payment=payment, authorising=False)
        case e.PaymentDeclined():
            return replace(state, authorising=False)
        case e.PaymentCaptured():
            state = _package(state, event.package_id, "captured")
            return _pay(state, captured=event.amount.amount)
        case e.CaptureRefused():
            return _package(state, event.package_id, "refused")
        case e.PaymentVoided():
            assert state.payment is not None
            return replace(state, payment=replace(state.payment, voided=True))
        case e.OrderPacked():
            package = Package(event.fulfillment_id, event.lines, event.capture.amount)
            packages = {**state.packages, event.package_id: package}
            return replace(
                state,
                packages=packages,
                lines=_lines(state, event.lines, lambda x, n: replace(x, packed=x.packed + n)),
            )
        case e.OrderShipped():
            return _package(state, event.package_id, "shipped")
        case e.OrderDelivered():
            return replace(
                _package(state, event.package_id, "delivered"),
                lines=_lines(
                    state, event.lines, lambda x, n: replace(x, delivered=x.delivered + n)
                ),
            )
        case e.LinesCancelled():
            return replace(
                state,
                lines=_lines(
                    state, event.lines, lambda x, n: replace(x, cancelled=x.cancelled + n)
                ),
            )
        case e.ReturnAccepted():
            return replace(
                state,
                returns={**state.returns, event.return_id: event.refund.amount},
                refunds_open=state.refunds_open + (event.refund_id,) * (event.refund.amount > 0),
                lines=_lines(state, event.lines, lambda x, n: replace(x, returned=x.returned + n)),
            )
        case e.RefundIssued():
            state = _pay(state, refunded=event.amount.amount)
            return _refund_ended(state, event.refund_id)
        case e.RefundFailed():
            return _refund_ended(state, event.refund_id)
        case _:
            raise TypeError(f"no rule folds {type(event).__name__} into an order")


def _refund_ended(state: Order, refund_id: str) -> Order:
    return replace(state, refunds_open=tuple(id for id in state.refunds_open if id != refund_id))


def _placed(state: Order, event: e.OrderPlaced) -> Order:
    payable, refundable = shares(event.lines, event.charges)
    lines = {
        line.line_id: Line(line.sku, line.quantity, pays, gives_back)
        for line, pays, gives_back in zip(event.lines, payable, refundable, strict=True)
    }
    return Order(
        status="placed",
        order_id=event.order_id,
        channel=event.channel,
        external_id=event.external_id,
        currency=event.currency,
        total=event.total,
        fingerprint=fingerprint(event),
        lines=lines,
        ship_to=event.ship_to,
        payment_method=event.payment_method,
        backorder=event.backorder,
        reservation="requested" if lines else "none",
        reservation_attempts=1 if lines else 0,
        authorising=not lines and event.total > 0,
    )


def _fees(state: Order) -> dict[str, Package]:
    """What an order without goods is charged: once, as a package with nothing in it."""
    if state.lines or state.total == 0:
        return {}
    return {FEES: Package(fulfillment_id="", lines=(), amount=state.total)}


def _lines(
    state: Order, changed: Iterable[LineQuantity], change: Callable[[Line, int], Line]
) -> dict[str, Line]:
    lines = dict(state.lines)
    for quantity in changed:
        lines[quantity.line_id] = change(lines[quantity.line_id], quantity.quantity)
    return lines


def _package(state: Order, package_id: str, status: PackageStatus) -> Order:
    package = replace(state.packages[package_id], status=status)
    return replace(state, packages={**state.packages, package_id: package})


def _pay(state: Order, *, captured: int = 0, refunded: int = 0) -> Order:
    assert state.payment is not None
    payment = state.payment
    payment = replace(
        payment, captured=payment.captured + captured, refunded=payment.refunded + refunded
    )
    return replace(state, payment=payment)


def _hold_released(state: Order, event: e.HoldReleased) -> Order:
    """The package whose capture was refused is tried once more, under a new idempotency key; not where the order ends."""
    holds = {id: kind for id, kind in state.holds.items() if id != event.hold_id}
    if state.cancelling or state.status != "confirmed":
        return replace(state, holds=holds)
    packages = {
        id: replace(p, status="packed", attempts=p.attempts + 1) if p.status == "refused" else p
        for id, p in state.packages.items()
    }
    return replace(state, holds=holds, packages=packages)
