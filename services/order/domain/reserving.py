"""What inventory's answers mean for an order."""

from services.order.domain.state import Order
from shared.events import Context, Items, LineQuantity, Money
from shared.events.inventory import (
    CommitRefused,
    ReleaseReservation,
    ReservationCommitted,
    ReservationExpired,
    ReservationRejected,
    ReservationReleased,
    StockBackordered,
    StockReserved,
)
from shared.events.order import (
    OrderBackordered,
    OrderCancelled,
    OrderConfirmed,
    OrderRejected,
    OrderReserved,
    ReservationLost,
    ReservationReturned,
)

#: Reservations that an order asks for, one after the other, before it gives up.
ATTEMPTS_MAX = 3


def reserved(state: Order, event: StockReserved, context: Context) -> Items:
    """Stock is granted. An order that meanwhile ended gives it back."""
    if event.reservation_id != state.reservation_id or state.reservation not in (
        "requested",
        "backordered",
    ):
        return []
    if state.cancelling:
        return []  # the release is on its way to inventory, behind the reservation
    if state.ended:
        return [give_back(state, f"order {state.status}")]
    return [
        OrderReserved(
            order_id=state.order_id,
            reservation_id=event.reservation_id,
            allocations=event.allocations,
            expires_at=event.expires_at,
        )
    ]


def backordered(state: Order, event: StockBackordered, context: Context) -> Items:
    """The order stands in line."""
    if event.reservation_id != state.reservation_id or state.reservation != "requested":
        return []
    if state.cancelling or state.ended:
        return []
    return [OrderBackordered(order_id=state.order_id, reservation_id=event.reservation_id)]


def refused(state: Order, event: ReservationRejected, context: Context) -> Items:
    """There is no stock, and the order would not wait."""
    if event.reservation_id != state.reservation_id or state.status != "placed" or state.cancelling:
        return []
    missing = ", ".join(f"{s.quantity} x {s.sku}" for s in event.shortages[:20])
    return [
        ReservationReturned(order_id=state.order_id, reservation_id=event.reservation_id),
        OrderRejected(order_id=state.order_id, reason=event.reason, detail=missing),
    ]


def lost(state: Order, event: ReservationExpired | CommitRefused, context: Context) -> Items:
    """The promise ended before it was made firm: ask anew, a few times."""
    if event.reservation_id != state.reservation_id or state.reservation != "held":
        return []
    if state.cancelling or state.ended:
        return []  # the release is answered all the same
    if state.reservation_attempts < ATTEMPTS_MAX:
        return [
            ReservationLost(
                order_id=state.order_id, reservation_id=event.reservation_id, reason="expired"
            )
        ]
    return [
        ReservationReturned(order_id=state.order_id, reservation_id=event.reservation_id),
        OrderRejected(
            order_id=state.order_id,
            reason="expired",
            detail=f"not paid within the time of {ATTEMPTS_MAX} reservations",
        ),
    ]


def committed(state: Order, event: ReservationCommitted, context: Context) -> Items:
    """Stock and money are both firm: the order is confirmed."""
    if event.reservation_id != state.reservation_id or state.reservation != "held":
        return []
    if state.cancelling or state.ended:
        return []
    return [confirmation(state)]


def confirmation(state: Order) -> OrderConfirmed:
    """The promise to the shopper."""
    return OrderConfirmed(
        order_id=state.order_id,
        channel=state.channel,
        external_id=state.external_id,
        total=Money(state.total, state.currency),
    )


def released(state: Order, event: ReservationReleased, context: Context) -> Items:
    """The units are back in stock: one step of a cancellation, or the last trace of a rejected order."""
    if event.reservation_id != state.reservation_id or state.reservation == "ended":
        return []
    if event.open_units or not (state.cancelling or state.ended):
        return []  # a part of the reservation, after a short pick
    returned = ReservationReturned(order_id=state.order_id, reservation_id=event.reservation_id)
    if state.cancelling and not money_open(state):
        return [returned, OrderCancelled(order_id=state.order_id, reason=state.cancelling)]
    return [returned]


def money_open(state: Order) -> bool:
    """Whether a payment is under way, or authorised and not given up."""
    held = state.payment is not None and not state.payment.voided
    return state.authorising or held


def stock_open(state: Order) -> bool:
    """Whether inventory holds, or may yet hold, something for this order."""
    return state.reservation not in ("none", "ended")


def give_back(
    state: Order,
    reason: str,
    lines: tuple[LineQuantity, ...] = (),
    location: str = "",
    release_id: str = "",
) -> ReleaseReservation:
    """The command that returns units to stock; the whole reservation when no lines are given.
    ``release_id`` makes giving back a part count once."""
    return ReleaseReservation(
        reservation_id=state.reservation_id,
        order_id=state.order_id,
        lines=lines or state.quantities(),
        reason=reason,
        location=location,
        release_id=release_id,
    )
