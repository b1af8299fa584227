"""One order of a channel as this service knows it: what was said of it, and what went on."""

from datetime import datetime
from hashlib import blake2b
from typing import assert_never

import msgspec
from msgspec.structs import replace

from services.integrations.domain import refusal
from services.integrations.domain.messages import OrderInbound, TakeCancellation, TakeOrder
from services.integrations.domain.refusal import Refusal
from shared.events import Context, Items, Refused, States
from shared.events.integrations import CancellationForwarded, OrderForwarded, OrderReopened
from shared.events.order import OrderRejected, PlaceOrder

Event = OrderForwarded | CancellationForwarded | OrderReopened


class ChannelOrder(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """``fingerprint`` is empty while no order has gone on; ``said_at`` is the newest of the channel's own times."""

    fingerprint: str = ""
    cancelled: bool = False
    said_at: datetime | None = None


def evolve(state: ChannelOrder, event: Event) -> ChannelOrder:
    """The state after an event."""
    match event:
        case OrderForwarded():
            said_at = newest(state.said_at, event.said_at)
            return replace(state, fingerprint=event.fingerprint, said_at=said_at)
        case CancellationForwarded():
            return replace(state, cancelled=True, said_at=newest(state.said_at, event.said_at))
        case OrderReopened():
            return replace(state, fingerprint="")
        case _:
            assert_never(event)


def streams(command: OrderInbound) -> tuple[str, str]:
    """The order's stream, and that of the refusal that the input would be, or was."""
    return command.subject, command.refusal


def take(states: States, command: TakeOrder, context: Context) -> Items:
    """Send a new order on; the same again is nothing new; another one under its number is refused."""
    state: ChannelOrder = states[command.subject]
    kept: Refusal = states[command.refusal]
    settled = refusal.settled(kept, command, context)
    if state.cancelled:
        return [*settled] if state.fingerprint else _refuse(command, kept, *_CANCELLED)
    if state.fingerprint == fingerprint(command.order):
        return settled
    if state.fingerprint:
        return _refuse(command, kept, *_TAKEN)
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


def fingerprint(order: PlaceOrder) -> str:
    """What makes two inputs under one number the same order."""
    said: tuple[object, ...] = (
        order.lines,
        order.charges,
        order.currency,
        order.customer,
        order.ship_to,
    )
    return blake2b(msgspec.json.encode(said), digest_size=12).hexdigest()


def newest(known: datetime | None, said: datetime | None) -> datetime | None:
    """The later of two times, either of which may be missing."""
    return max(filter(None, (known, said)), default=None)


_TAKEN = ("order_exists", "the channel has already placed another order under this number")
_CANCELLED = ("order_cancelled", "the channel took this order back before it came")


def _refuse(command: TakeOrder, kept: Refusal, code: str, detail: str) -> Items:
    """Answer that it is refused and, where nobody reads answers, keep it."""
    refused = Refused(code=code, detail=detail)
    if not command.kept:
        return [refused]
    return [*refusal.keep(kept, command, command.order.channel, code, detail), refused]
