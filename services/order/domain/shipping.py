"""What the warehouse and the carrier report, and what it costs."""

from services.order.domain.state import Order
from shared.events import Context, Items, LineQuantity, Money
from shared.events.fulfillment import Delivered, ItemsPicked, PackagePacked, Shipped
from shared.events.order import (
    CancellationRequested,
    LinesCancelled,
    OrderCompleted,
    OrderDelivered,
    OrderPacked,
    OrderShipped,
)
from shared.events.shares import units


class ShippedUnpaid(Exception):
    """A package left that was not paid for, or that the order does not know: stop, and let a person look."""


def picked(state: Order, event: ItemsPicked, context: Context) -> Items:
    """Units that were not there are not sent and not charged. An order of which nothing is left is cancelled."""
    if not event.short or state.status != "confirmed" or state.cancelling:
        return []
    cancelled = LinesCancelled(
        order_id=state.order_id,
        fulfillment_id=event.fulfillment_id,
        lines=event.short,
        reason=event.short_reason or "short_pick",
    )
    gone = {x.line_id: x.quantity for x in event.short}
    lines = state.lines.items()
    if all(x.cancelled + gone.get(id, 0) == x.quantity for id, x in lines):
        request = CancellationRequested(
            order_id=state.order_id, reason="nothing could be picked", actor="warehouse"
        )
        return [cancelled, request]
    missing = sum(gone.values())
    open_units = sum(x.quantity - x.delivered - x.cancelled for _, x in lines)
    if open_units == missing:
        return [cancelled, OrderCompleted(order_id=state.order_id)]
    return [cancelled]


def packed(state: Order, event: PackagePacked, context: Context) -> Items:
    """A package stands ready: its units' share of the total is to be captured. While cancelling it is left alone: the
    warehouse has been asked to stop, and will unpack it."""
    if event.package_id in state.packages or state.cancelling or state.status != "confirmed":
        return []
    return [
        OrderPacked(
            order_id=state.order_id,
            fulfillment_id=event.fulfillment_id,
            package_id=event.package_id,
            lines=event.lines,
            capture=Money(cost(state, event.lines), state.currency),
        )
    ]


def cost(state: Order, lines: tuple[LineQuantity, ...]) -> int:
    """What the next units of these lines cost, in minor units."""
    amount = 0
    taken: dict[str, int] = {}
    for x in lines:
        line = state.lines[x.line_id]
        before = line.packed + taken.get(x.line_id, 0)
        amount += units(line.payable, line.quantity, before, x.quantity)
        taken[x.line_id] = taken.get(x.line_id, 0) + x.quantity
    return amount


def shipped(state: Order, event: Shipped, context: Context) -> Items:
    """A package left. Raises `ShippedUnpaid` when it had no right to."""
    package = state.packages.get(event.package_id)
    if package is not None and package.status in ("shipped", "delivered"):
        return []
    free = package is not None and package.status == "packed" and package.amount == 0
    if package is None or not (package.status == "captured" or free):
        status = package.status if package else "unknown to the order"
        raise ShippedUnpaid(f"package {event.package_id} left, but it is {status}")
    return [
        OrderShipped(
            order_id=state.order_id,
            fulfillment_id=event.fulfillment_id,
            package_id=event.package_id,
            location=event.location,
            lines=event.lines,
            carrier=event.carrier,
            tracking_number=event.tracking_number,
        )
    ]


def delivered(state: Order, event: Delivered, context: Context) -> Items:
    """A package arrived; with the last one the order is complete."""
    package = state.packages.get(event.package_id)
    if package is None or package.status == "delivered":
        return []
    arrived = OrderDelivered(
        order_id=state.order_id,
        fulfillment_id=event.fulfillment_id,
        package_id=event.package_id,
        lines=event.lines,
    )
    units_here = sum(x.quantity for x in event.lines)
    open_units = sum(x.quantity - x.delivered - x.cancelled for x in state.lines.values())
    if open_units == units_here:
        return [arrived, OrderCompleted(order_id=state.order_id)]
    return [arrived]
