"""Orders and cancellations: what goes on to the order service, and what is kept for a person."""

from services.integrations.domain import refusal
from services.integrations.domain.channel_order import ChannelOrder, fingerprint
from services.integrations.domain.messages import RefuseNewOrder, TakeCancellation, TakeOrder
from services.integrations.domain.refusal import Refusal
from shared.events import Context, Items, Refused, States
from shared.events.integrations import CancellationForwarded, OrderForwarded, OrderReopened
from shared.events.order import OrderRejected

_EXISTS = ("order_exists", "the channel has already placed another order under this number")
_CHANGED = (
    "order_changed",
    "the channel changed the order after it went on: a placed order is changed by a person",
)
_CANCELLED = ("order_cancelled", "the channel took this order back before it came")


def take(states: States, command: TakeOrder, context: Context) -> Items:
    """Send a new order on; the same again, or older words of it, say nothing new; another one under its number is
    refused."""
    state: ChannelOrder = states[command.subject]
    kept: Refusal = states[command.refusal]
    settled = refusal.settled(kept, command, context)
    if state.cancelled:
        return settled if state.fingerprint else _refuse(command, kept, *_CANCELLED)
    if state.fingerprint == fingerprint(command.order) or _is_old(state, command):
        return settled
    if state.fingerprint:
        return _refuse(command, kept, *(_CHANGED if command.said_at else _EXISTS))
    forwarded = OrderForwarded(
        order_id=command.order_id,
        channel=command.order.channel,
        external_id=command.order.external_id,
        source=command.source,
        reference=command.reference,
        fingerprint=fingerprint(command.order),
        said_at=command.said_at,
    )
    return [forwarded, command.order, *settled]


def refuse(states: States, command: RefuseNewOrder, context: Context) -> Items:
    """Keep an order that must not be placed, unless it went on before it came to that."""
    state: ChannelOrder = states[command.subject]
    kept: Refusal = states[command.refusal]
    if state.fingerprint or state.cancelled:
        return refusal.settled(kept, command, context)
    return [
        *refusal.keep(kept, command, command.channel, command.reason, command.detail),
        Refused(code=command.reason, detail=command.detail),
    ]


def cancel(states: States, command: TakeCancellation, context: Context) -> Items:
    """Send a cancellation on, once; the order service says whether it came in time."""
    state: ChannelOrder = states[command.subject]
    settled = refusal.settled(states[command.refusal], command, context)
    if state.cancelled:
        return settled
    forwarded = CancellationForwarded(
        order_id=command.order_id,
        source=command.source,
        reference=command.reference,
        reason=command.request.reason,
        said_at=command.said_at,
    )
    # Also when no order has gone on from here: the channel may have placed it on another road.
    return [forwarded, command.request, *settled]


def rejected(state: ChannelOrder, event: OrderRejected, context: Context) -> Items:
    """An unusable order may be followed by a better one under its number, as at the order service."""
    if not state.fingerprint or event.reason != "invalid":
        return []
    return [OrderReopened(order_id=event.order_id, detail=event.detail)]


def _is_old(state: ChannelOrder, command: TakeOrder) -> bool:
    """Whether the channel has said something newer of the order: webhooks overtake each other."""
    return bool(command.said_at and state.said_at and command.said_at < state.said_at)


def _refuse(command: TakeOrder, kept: Refusal, code: str, detail: str) -> Items:
    """Answer that it is refused and, where nobody reads answers, keep it."""
    refused = Refused(code=code, detail=detail)
    if not command.kept:
        return [refused]
    return [*refusal.keep(kept, command, command.order.channel, code, detail), refused]
