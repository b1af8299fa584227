"""Cancelling: possible until money is being taken for a package; undone step by step, never half."""

from services.order.domain.reserving import money_open, stock_open
from services.order.domain.state import FEES, Order
from shared.events import Context, Items, Refused
from shared.events.fulfillment import FulfillmentCancellationRefused, FulfillmentCancelled
from shared.events.order import (
    CancellationRefused,
    CancellationRequested,
    CancelOrder,
    FulfillmentStopped,
    OrderCancelled,
    RequestCancellation,
)


def cancel(state: Order, command: CancelOrder | RequestCancellation, context: Context) -> Items:
    """Begin to cancel, or say why not. Asking twice changes nothing."""
    if state.cancelling or state.status == "cancelled":
        return []
    if state.status == "new":
        return [Refused(code="order_unknown", detail=f"no order {command.order_id} was placed")]
    actor = context.actor or (
        command.actor if isinstance(command, CancelOrder) else command.channel
    )
    if reason := _too_late(state):
        return [
            CancellationRefused(order_id=state.order_id, reason=reason, actor=actor),
            Refused(code="too_late", detail=reason),
        ]
    return [CancellationRequested(order_id=state.order_id, reason=command.reason, actor=actor)]


def _too_late(state: Order) -> str:
    if state.status in ("completed", "rejected"):
        return f"the order is {state.status}"
    for id, package in state.packages.items():
        if package.status != "refused":
            if id == FEES:
                return "the order's fees are being charged"
            done = "being charged" if package.status == "packed" else package.status
            return f"package {id} is {done}: a return is the way back"
    return ""


def stopped(state: Order, event: FulfillmentCancelled, context: Context) -> Items:
    """One warehouse agreed to stop."""
    if state.fulfillments.get(event.fulfillment_id) != "open" or not state.cancelling:
        return []
    stop = FulfillmentStopped(order_id=state.order_id, fulfillment_id=event.fulfillment_id)
    others = (s for id, s in state.fulfillments.items() if id != event.fulfillment_id)
    if "open" in others or stock_open(state) or money_open(state):
        return [stop]
    return [stop, OrderCancelled(order_id=state.order_id, reason=state.cancelling)]


def not_stopped(state: Order, event: FulfillmentCancellationRefused, context: Context) -> Items:
    """A warehouse could not stop: the order goes on."""
    if not state.cancelling:
        return []
    return [CancellationRefused(order_id=state.order_id, reason=event.reason, actor="warehouse")]
