"""One order of a channel as this service knows it: what was said of it, and what went on."""

from datetime import datetime
from hashlib import blake2b
from typing import assert_never

import msgspec
from msgspec.structs import replace

from services.integrations.domain.messages import OrderInbound
from shared.events import LineQuantity
from shared.events.integrations import (
    CancellationForwarded,
    DeliveryForwarded,
    OrderForwarded,
    OrderReopened,
    ParcelSeen,
    ReturnForwarded,
)
from shared.events.order import PlaceOrder

Event = (
    OrderForwarded
    | CancellationForwarded
    | OrderReopened
    | ParcelSeen
    | DeliveryForwarded
    | ReturnForwarded
)


class Parcel(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A parcel that left."""

    fulfillment_id: str
    tracking_number: str
    delivered: bool = False


class ChannelOrder(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """``fingerprint`` is empty while no order has gone on; ``said_at`` is the newest of the channel's own times;
    ``returnable`` are the units of each line that left and were not asked back."""

    fingerprint: str = ""
    cancelled: bool = False
    said_at: datetime | None = None
    parcels: dict[str, Parcel] = {}
    returnable: dict[str, int] = {}
    returns: tuple[str, ...] = ()


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
        case ParcelSeen():
            parcel = Parcel(event.fulfillment_id, event.tracking_number)
            return replace(
                state,
                parcels={**state.parcels, event.package_id: parcel},
                returnable=_moved(state.returnable, event.lines, +1),
            )
        case DeliveryForwarded():
            arrived = replace(state.parcels[event.package_id], delivered=True)
            return replace(state, parcels={**state.parcels, event.package_id: arrived})
        case ReturnForwarded():
            return replace(
                state,
                returns=(*state.returns, event.return_id),
                returnable=_moved(state.returnable, event.lines, -1),
            )
        case _:
            assert_never(event)


def streams(command: OrderInbound) -> tuple[str, str]:
    """The order's stream, and that of the refusal that the input would be, or was."""
    return command.subject, command.refusal


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


def _moved(units: dict[str, int], lines: tuple[LineQuantity, ...], sign: int) -> dict[str, int]:
    out = dict(units)
    for line in lines:
        out[line.line_id] = out.get(line.line_id, 0) + sign * line.quantity
    return out
