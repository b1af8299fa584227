"""What the warehouse answers, to the fulfillment service.

Every answer is checked against what was agreed before anything follows from it. One that contradicts it raises
`Contradiction`, and is parked by its key for a person: goods and money hang on it.
"""

from datetime import datetime

from msgspec import UNSET, UnsetType

from services.integrations.domain.wms import Cancellation, Handshake, Package, WmsOrder, more
from shared.events import Context, Items, LineQuantity
from shared.events import fulfillment as f
from shared.events import wms as w
from shared.events.limits import PLAIN_ID, has_passed

PICKER = "wms"


class Contradiction(Exception):
    """The warehouse says what cannot be; the message names the fulfillment, what was said and what is known."""


def package_id(fulfillment_id: str, package: str) -> str:
    """Our id of a warehouse's package: an order tells its packages apart by their fulfillment."""
    return f"{fulfillment_id}.{package}"


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
        if more({}, before) != more({}, answer.lines):
            raise _contradiction(state, answer, f"pick {answer.pick_id} had other units")
        return []
    if state.handshake is Handshake.REJECTED or state.picking_over:
        raise _contradiction(state, answer, "nothing was left to pick")
    if not answer.lines and not answer.final:
        raise _contradiction(state, answer, "it found nothing, and is not final")
    _within(state, answer, answer.lines, state.picked, state.ordered, "ordered")
    taken = w.PickTaken(
        **_ids(answer),
        pick_id=answer.pick_id,
        lines=answer.lines,
        final=answer.final or _whole(more(state.picked, answer.lines), state.ordered),
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
        if more({}, known.lines) != more({}, answer.lines):
            raise _contradiction(state, answer, f"package {answer.package} has other units")
        return []
    name = package_id(answer.fulfillment_id, answer.package)
    if not answer.package or not PLAIN_ID.fullmatch(name):
        why = f"{name!r} is no package: give it a name of printable ASCII characters without spaces, of at most 100 in all"
        raise _contradiction(state, answer, why)
    if not answer.lines:
        raise _contradiction(state, answer, f"package {answer.package} is empty")
    _within(state, answer, answer.lines, state.packed, state.picked, "picked")
    taken = w.PackageTaken(**_ids(answer), package=answer.package, lines=answer.lines)
    if _stopped(state):
        return [taken]
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
    if more({}, package.lines) != more({}, answer.lines):
        raise _contradiction(state, answer, "other units left than were packed and paid for")
    _past(state, answer, answer.shipped_at, context)
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
    _past(state, answer, at, context)
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


def _past(
    state: WmsOrder, answer: w.WmsAnswer, at: datetime | UnsetType | None, context: Context
) -> None:
    """The fulfillment service takes no other time, and is not asked again: what was noted here once changes nothing."""
    if at is not None and at is not UNSET and not has_passed(at, context.now):
        raise _contradiction(state, answer, f"{at.isoformat()} is no time that has passed")


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
    for key, units in more(done, lines).items():
        if units > limit.get(key, 0):
            raise _contradiction(state, answer, f"{units} of {key}, {limit.get(key, 0)} {what}")


def _whole(picked: dict[str, int], ordered: dict[str, int]) -> bool:
    return all(picked.get(key, 0) == units for key, units in ordered.items())


def _contradiction(state: WmsOrder, answer: w.WmsAnswer, why: str) -> Contradiction:
    return Contradiction(
        f"{answer.tag()} about {answer.fulfillment_id} ({state.handshake}): {why}. "
        "Correct it at the warehouse and discard this, or redrive it once it is true."
    )
