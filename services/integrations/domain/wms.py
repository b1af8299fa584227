"""One fulfillment in an external warehouse: how far warehouse and we are agreed, and what was picked, packed and sent.

`wms_requests` asks the warehouse, `wms_answers` takes its answers.
"""

from enum import StrEnum
from typing import assert_never

import msgspec
from msgspec.structs import replace

from shared.events import LineQuantity
from shared.events import wms as w


class Handshake(StrEnum):
    """How far warehouse and we are agreed."""

    UNSUBMITTED = "UNSUBMITTED"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"


class Cancellation(StrEnum):
    """Whether the warehouse was asked to stop, and what it said."""

    NONE = "NONE"
    REQUESTED = "REQUESTED"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"


class Package(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A package of the warehouse's; ``sent`` is carrier and tracking number once it left."""

    lines: tuple[LineQuantity, ...]
    cleared: bool = False
    sent: tuple[str, str] | None = None
    arrived: bool = False


class WmsOrder(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One fulfillment: units ordered, picked and packed by ``<line>/<sku>``, picks counted, packages by name."""

    order_id: str = ""
    location: str = ""
    handshake: Handshake = Handshake.UNSUBMITTED
    cancellation: Cancellation = Cancellation.NONE
    reference: str = ""
    reason: str = ""
    ordered: dict[str, int] = {}
    picked: dict[str, int] = {}
    packed: dict[str, int] = {}
    picks: dict[str, tuple[LineQuantity, ...]] = {}
    picking_over: bool = False
    packages: dict[str, Package] = {}


Event = (
    w.FulfillmentSubmitted
    | w.PackageCleared
    | w.WmsCancellationRequested
    | w.FulfillmentAccepted
    | w.FulfillmentRejected
    | w.PickTaken
    | w.PackageTaken
    | w.PackageLeft
    | w.PackageArrived
    | w.CancellationSettled
)


def evolve(state: WmsOrder, event: Event) -> WmsOrder:
    """The state after an event."""
    match event:
        case w.FulfillmentSubmitted():
            return WmsOrder(
                order_id=event.order_id,
                location=event.location,
                handshake=Handshake.SUBMITTED,
                ordered=more({}, event.lines),
            )
        case w.FulfillmentAccepted():
            return replace(state, handshake=Handshake.ACCEPTED, reference=event.reference)
        case w.FulfillmentRejected():
            return replace(state, handshake=Handshake.REJECTED, reason=event.reason)
        case w.PickTaken():
            return replace(
                state,
                handshake=Handshake.ACCEPTED,
                picked=more(state.picked, event.lines),
                picks={**state.picks, event.pick_id: event.lines},
                picking_over=state.picking_over or event.final,
            )
        case w.PackageTaken():
            packed = more(state.packed, event.lines)
            return replace(_with(state, event.package, Package(event.lines)), packed=packed)
        case w.PackageCleared():
            package = replace(state.packages[event.package], cleared=True)
            return _with(state, event.package, package)
        case w.PackageLeft():
            sent = (event.carrier, event.tracking_number)
            return _with(state, event.package, replace(state.packages[event.package], sent=sent))
        case w.PackageArrived():
            return _with(state, event.package, replace(state.packages[event.package], arrived=True))
        case w.WmsCancellationRequested():
            return replace(state, cancellation=Cancellation.REQUESTED)
        case w.CancellationSettled():
            settled = Cancellation.REJECTED if event.reason else Cancellation.ACCEPTED
            return replace(state, cancellation=settled, reason=event.reason or state.reason)
    assert_never(event)


def _with(state: WmsOrder, name: str, package: Package) -> WmsOrder:
    return replace(state, packages={**state.packages, name: package})


def more(counted: dict[str, int], lines: tuple[LineQuantity, ...]) -> dict[str, int]:
    """Units by ``<line>/<sku>``, with those of the lines added."""
    out = dict(counted)
    for x in lines:
        key = f"{x.line_id}/{x.sku}"
        out[key] = out.get(key, 0) + x.quantity
    return out
