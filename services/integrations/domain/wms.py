"""One fulfillment in an external warehouse: the handshake, and what the warehouse's answers ask of fulfillment.

Every answer is checked against what was agreed before anything follows from it. One that contradicts it raises
`Contradiction`, and is parked by its key for a person: goods and money hang on it.
"""

from enum import StrEnum
from typing import assert_never

import msgspec
from msgspec.structs import replace

from shared.events import Context, Items, LineQuantity
from shared.events import fulfillment as f
from shared.events import wms as w

PICKER = "wms"


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


class Contradiction(Exception):
    """The warehouse says what cannot be; the message names the fulfillment, what was said and what is known."""


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
                ordered=_more({}, event.lines),
            )
        case w.FulfillmentAccepted():
            return replace(state, handshake=Handshake.ACCEPTED, reference=event.reference)
        case w.FulfillmentRejected():
            return replace(state, handshake=Handshake.REJECTED, reason=event.reason)
        case w.PickTaken():
            return replace(
                state,
                handshake=Handshake.ACCEPTED,
                picked=_more(state.picked, event.lines),
                picks={**state.picks, event.pick_id: event.lines},
                picking_over=state.picking_over or event.final,
            )
        case w.PackageTaken():
            packed = _more(state.packed, event.lines)
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


def _more(counted: dict[str, int], lines: tuple[LineQuantity, ...]) -> dict[str, int]:
    out = dict(counted)
    for x in lines:
        key = f"{x.line_id}/{x.sku}"
        out[key] = out.get(key, 0) + x.quantity
    return out


def package_id(fulfillment_id: str, package: str) -> str:
    """Our id of a warehouse's package: an order tells its packages apart by their fulfillment."""
    return f"{fulfillment_id}.{package}"


# What the fulfillment service tells, to the warehouse.


class Submitting(msgspec.Struct, frozen=True):
    """Submits what is to leave from the ``locations`` that an external warehouse handles."""

    locations: frozenset[str] = frozenset()

    def opened(self, state: WmsOrder, event: f.FulfillmentOpened, _: Context) -> Items:
        """Ask the warehouse to pick."""
        if event.location not in self.locations or state.handshake is not Handshake.UNSUBMITTED:
            return []
        return [
            w.FulfillmentSubmitted(
                fulfillment_id=event.fulfillment_id,
                order_id=event.order_id,
                location=event.location,
                lines=event.lines,
                ship_to=event.ship_to,
            )
        ]


def released(state: WmsOrder, event: f.PackageReleased, context: Context) -> Items:
    """The package is paid for: the warehouse may hand it over."""
    name = event.package_id.removeprefix(f"{event.fulfillment_id}.")
    package = state.packages.get(name)
    if package is None or package.cleared:
        return []
    return [
        w.PackageCleared(
            fulfillment_id=event.fulfillment_id,
            order_id=event.order_id,
            location=state.location,
            package=name,
        )
    ]


def cancelled(state: WmsOrder, event: f.FulfillmentCancelled, context: Context) -> Items:
    """The fulfillment was stopped before anything was paid for: the warehouse is to stop too."""
    stands = state.handshake in (Handshake.SUBMITTED, Handshake.ACCEPTED)
    if not stands or state.cancellation is not Cancellation.NONE:
        return []
    return [
        w.WmsCancellationRequested(
            fulfillment_id=event.fulfillment_id,
            order_id=event.order_id,
            location=state.location,
            reason=event.reason,
        )
    ]


# What the warehouse answers, to the fulfillment service.


def accepted(state: WmsOrder, answer: w.ReportAccepted, context: Context) -> Items:
    """It will be picked."""
    _known(state, answer)
    if state.handshake is Handshake.REJECTED:
        raise _contradiction(state, answer, "it was rejected before")
    if state.handshake is Handshake.ACCEPTED:
        return []
    return [w.FulfillmentAccepted(**_ids(answer), reference=answer.reference)]


def rejected(state: WmsOrder, answer: w.ReportRejected, context: Context) -> Items:
    """Nothing will come from there: reported as a pick that found nothing, so that the order goes on without it."""
    _known(state, answer)
    if state.handshake is Handshake.REJECTED:
        return []
    if state.picks:
        raise _contradiction(state, answer, "it was picked before")
    reason = f"rejected by the warehouse: {answer.reason}"
    short = f.RecordPick(
        fulfillment_id=answer.fulfillment_id,
        order_id=answer.order_id,
        lines=(),
        short_reason=reason,
        pick_id="wms.rejected",
    )
    start = f.StartPicking(**_ids(answer), picker=PICKER)
    items: Items = [w.FulfillmentRejected(**_ids(answer), reason=answer.reason)]
    return items if _stopped(state) else [*items, start, short]


def picked(state: WmsOrder, answer: w.ReportPicked, context: Context) -> Items:
    """Units were found. A pick that comes before the acceptance is one."""
    _known(state, answer)
    if (before := state.picks.get(answer.pick_id)) is not None:
        if before != answer.lines:
            raise _contradiction(state, answer, f"pick {answer.pick_id} had other units")
        return []
    if state.handshake is Handshake.REJECTED or state.picking_over:
        raise _contradiction(state, answer, "nothing was left to pick")
    _within(state, answer, answer.lines, state.picked, state.ordered, "ordered")
    taken = w.PickTaken(
        **_ids(answer),
        pick_id=answer.pick_id,
        lines=answer.lines,
        final=answer.final or _whole(_more(state.picked, answer.lines), state.ordered),
        short_reason=answer.short_reason,
    )
    if _stopped(state):
        return [taken]
    start = [] if state.picks else [f.StartPicking(**_ids(answer), picker=PICKER)]
    record = f.RecordPick(
        **_ids(answer),
        lines=answer.lines,
        final=answer.final,
        short_reason=answer.short_reason,
        pick_id=f"wms.{answer.pick_id}",
    )
    return [taken, *start, record]


def packed(state: WmsOrder, answer: w.ReportPacked, context: Context) -> Items:
    """A package stands ready; it waits until it is paid for."""
    _known(state, answer)
    if (known := state.packages.get(answer.package)) is not None:
        if _more({}, known.lines) != _more({}, answer.lines):
            raise _contradiction(state, answer, f"package {answer.package} has other units")
        return []
    _within(state, answer, answer.lines, state.packed, state.picked, "picked")
    taken = w.PackageTaken(**_ids(answer), package=answer.package, lines=answer.lines)
    if _stopped(state):
        return [taken]
    name = package_id(answer.fulfillment_id, answer.package)
    return [taken, f.PackItems(**_ids(answer), package_id=name, lines=answer.lines)]


def shipped(state: WmsOrder, answer: w.ReportShipped, context: Context) -> Items:
    """A package left, with exactly what was packed and paid for."""
    package = _package(state, answer)
    sent = (answer.carrier, answer.tracking_number)
    if package.sent == sent:
        return []
    if package.sent is not None:
        raise _contradiction(state, answer, f"it left with {' '.join(package.sent)}")
    if not package.cleared:
        raise _contradiction(state, answer, f"package {answer.package} was not cleared")
    if _more({}, package.lines) != _more({}, answer.lines):
        raise _contradiction(state, answer, "other units left than were packed and paid for")
    left = w.PackageLeft(
        **_ids(answer),
        package=answer.package,
        carrier=answer.carrier,
        tracking_number=answer.tracking_number,
    )
    ship = f.ShipPackage(
        fulfillment_id=answer.fulfillment_id,
        order_id=answer.order_id,
        package_id=package_id(answer.fulfillment_id, answer.package),
        carrier=answer.carrier,
        tracking_number=answer.tracking_number,
        shipped_at=answer.shipped_at,
    )
    return [left, ship]


def delivered(state: WmsOrder, answer: w.ReportDelivered, context: Context) -> Items:
    """A package arrived."""
    package = _package(state, answer)
    if package.sent is None:
        raise _contradiction(state, answer, f"package {answer.package} has not left")
    if package.arrived:
        return []
    at = answer.delivered_at
    return [
        w.PackageArrived(**_ids(answer), package=answer.package, delivered_at=at),
        f.ConfirmDelivery(
            **_ids(answer),
            package_id=package_id(answer.fulfillment_id, answer.package),
            delivered_at=at,
        ),
    ]


def cancellation_accepted(
    state: WmsOrder, answer: w.ReportCancellationAccepted, context: Context
) -> Items:
    """The warehouse has stopped."""
    return _settled(state, answer, Cancellation.ACCEPTED, "")


def cancellation_rejected(
    state: WmsOrder, answer: w.ReportCancellationRejected, context: Context
) -> Items:
    """The warehouse could not stop. Nothing was cleared, so nothing should have left: a person must look."""
    return _settled(state, answer, Cancellation.REJECTED, answer.reason or "no reason given")


def _settled(state: WmsOrder, answer: w.WmsAnswer, as_what: Cancellation, reason: str) -> Items:
    _known(state, answer)
    if state.cancellation is as_what:
        return []
    if state.cancellation is not Cancellation.REQUESTED:
        raise _contradiction(state, answer, f"its cancellation is {state.cancellation}")
    return [w.CancellationSettled(**_ids(answer), reason=reason)]


def _ids(answer: w.WmsAnswer) -> dict[str, str]:
    return {"fulfillment_id": answer.fulfillment_id, "order_id": answer.order_id}


def _stopped(state: WmsOrder) -> bool:
    """Whether fulfillment has ended, so that nothing of what the warehouse still says concerns it."""
    return state.cancellation is not Cancellation.NONE


def _known(state: WmsOrder, answer: w.WmsAnswer) -> None:
    if state.handshake is Handshake.UNSUBMITTED:
        raise _contradiction(state, answer, "it was never submitted")
    if state.order_id != answer.order_id:
        raise _contradiction(state, answer, f"it belongs to order {state.order_id}")


def _package(state: WmsOrder, answer: w.ReportShipped | w.ReportDelivered) -> Package:
    _known(state, answer)
    package = state.packages.get(answer.package)
    if package is None:
        raise _contradiction(state, answer, f"there is no package {answer.package}")
    return package


def _within(
    state: WmsOrder,
    answer: w.WmsAnswer,
    lines: tuple[LineQuantity, ...],
    done: dict[str, int],
    limit: dict[str, int],
    what: str,
) -> None:
    if any(x.quantity < 1 for x in lines):
        raise _contradiction(state, answer, "a quantity is below 1")
    for key, units in _more(done, lines).items():
        if units > limit.get(key, 0):
            raise _contradiction(state, answer, f"{units} of {key}, {limit.get(key, 0)} {what}")


def _whole(picked: dict[str, int], ordered: dict[str, int]) -> bool:
    return all(picked.get(key, 0) == units for key, units in ordered.items())


def _contradiction(state: WmsOrder, answer: w.WmsAnswer, why: str) -> Contradiction:
    return Contradiction(
        f"{answer.tag()} about {answer.fulfillment_id} ({state.handshake}): {why}. "
        "Correct it at the warehouse and discard this, or redrive it once it is true."
    )
