"""Invariant 6, in external warehouses: asked once for what was opened, and what left is what it was cleared to send."""

from collections import Counter

from ops.reconcile.log import Cuts, Dossier, Entry, events
from ops.reconcile.report import Check, Tally
from ops.reconcile.shipping import tally_units
from shared.events import Event
from shared.events import fulfillment as f
from shared.events import wms as w

ASKED = Check(6, "an external warehouse is asked once for what was opened there, and answers once")
COUNTED = Check(6, "what an external warehouse answers was asked for, and counts once")
LEFT = Check(6, "what an external warehouse sends was cleared first, and is known here, once")
CHECKS = (ASKED, COUNTED, LEFT)

#: Any of these shows that the warehouse has taken notice of what was submitted.
ANSWERED = (w.FulfillmentAccepted, w.FulfillmentRejected, w.PickTaken, w.CancellationSettled)


def check_external(dossier: Dossier, cuts: Cuts, tally: Tally) -> None:
    """The handshakes of one order, beside what fulfillment says of the same goods."""
    if "integrations" not in cuts:
        return
    for stream, asked in dossier.streams_of("wmsorder"):
        fulfillment_id = stream.removeprefix("wmsorder-")
        told = dossier.streams.get(f"fulfillment-{fulfillment_id}", [])
        _asked(asked, told, "fulfillment" in cuts, tally)
        _counted(asked, tally)
        _sent(asked, tally)
        if "fulfillment" in cuts:
            _known(fulfillment_id, asked, told, cuts, tally)


def _asked(asked: list[Entry], told: list[Entry], both: bool, tally: Tally) -> None:
    opened = next((m for _, m in events(told, f.FulfillmentOpened)), None)
    said: set[type[Event]] = set()
    for entry, m in events(
        asked, w.FulfillmentSubmitted, w.FulfillmentAccepted, w.FulfillmentRejected
    ):
        tally.saw(ASKED)
        if isinstance(m, w.FulfillmentSubmitted):
            if both and opened is None:
                tally.violation(ASKED, entry, f"{m.fulfillment_id} was never opened")
            elif opened and (opened.location, tally_units(opened.lines)) != (
                m.location,
                tally_units(m.lines),
            ):
                why = f"{m.fulfillment_id} was opened with other units or elsewhere"
                tally.violation(ASKED, entry, why)
        # It may be rejected after it was accepted, as long as nothing was picked; never the other way round.
        if type(m) in said or w.FulfillmentRejected in said:
            why = f"{m.fulfillment_id} was submitted or answered before"
            tally.violation(ASKED, entry, why)
        said.add(type(m))


def _counted(asked: list[Entry], tally: Tally) -> None:
    """Every answer follows what it answers, and counts once; never more units than were asked for, or picked."""
    ordered: Counter[tuple[str, str]] = Counter()
    picked: Counter[tuple[str, str]] = Counter()
    packed: Counter[tuple[str, str]] = Counter()
    seen: set[tuple[type[Event], str | None]] = set()
    for entry, m in events(asked, w.WmsEvent):
        before = {t for t, _ in seen}
        about = (type(m), _name(m))
        again = about in seen
        seen.add(about)
        if isinstance(m, w.FulfillmentSubmitted):
            ordered = Counter(tally_units(m.lines))
        if not isinstance(m, w.PrivateWmsEvent):
            continue
        tally.saw(COUNTED)
        settles = isinstance(m, w.CancellationSettled)
        if (w.WmsCancellationRequested if settles else w.FulfillmentSubmitted) not in before:
            tally.violation(COUNTED, entry, f"{m.tag()} answers what was never asked")
        elif again:
            why = f"{m.tag()} about {about[1] or m.fulfillment_id} was counted before"
            tally.violation(COUNTED, entry, why)
        elif isinstance(m, w.PickTaken):
            picked.update(tally_units(m.lines))
            if not picked <= ordered:
                tally.violation(COUNTED, entry, "more was picked than was asked for")
        elif isinstance(m, w.PackageTaken):
            packed.update(tally_units(m.lines))
            if not packed <= picked:
                tally.violation(COUNTED, entry, "more was packed than was picked")
    types = {t for t, _ in seen}
    if w.FulfillmentSubmitted in types and types.isdisjoint(ANSWERED):
        tally.in_flight("fulfillments that an external warehouse has not answered")
    if w.WmsCancellationRequested in types and w.CancellationSettled not in types:
        tally.in_flight("cancellations that an external warehouse has not answered")


def _name(m: w.WmsEvent) -> str | None:
    """What of a fulfillment an answer is about; None when there is only one of its kind."""
    if isinstance(m, w.PickTaken):
        return m.pick_id
    if isinstance(m, w.PackageTaken | w.PackageCleared | w.PackageLeft | w.PackageArrived):
        return m.package
    return None


def _sent(asked: list[Entry], tally: Tally) -> None:
    """A package is packed, cleared, and leaves, each once and in this order."""
    packed: set[str] = set()
    cleared: set[str] = set()
    left: Counter[str] = Counter()
    for entry, m in events(asked, w.PackageTaken, w.PackageCleared, w.PackageLeft):
        tally.saw(LEFT)
        if isinstance(m, w.PackageTaken):
            packed.add(m.package)
        elif isinstance(m, w.PackageCleared):
            if m.package in cleared or m.package not in packed:
                why = f"package {m.package} was cleared before, or never packed"
                tally.violation(LEFT, entry, why)
            cleared.add(m.package)
        else:
            left[m.package] += 1
            if left[m.package] > 1:
                tally.violation(LEFT, entry, f"package {m.package} left before")
            if m.package not in cleared:
                tally.violation(LEFT, entry, f"package {m.package} left and was not cleared")


def _known(
    fulfillment_id: str, asked: list[Entry], told: list[Entry], cuts: Cuts, tally: Tally
) -> None:
    """What either side says of a package, the other knows, as soon as it has handled it."""
    left = {
        f"{fulfillment_id}.{m.package}": (m.carrier, m.tracking_number)
        for _, m in events(asked, w.PackageLeft)
    }
    cleared = {f"{fulfillment_id}.{m.package}" for _, m in events(asked, w.PackageCleared)}
    shipped = set()
    for entry, m in events(told, f.PackageReleased, f.Shipped):
        if isinstance(m, f.PackageReleased):
            if m.package_id not in cleared and cuts.reached("integrations", entry):
                why = f"package {m.package_id} was released, and its warehouse was not told"
                tally.violation(LEFT, entry, why)
            continue
        shipped.add(m.package_id)
        if left.get(m.package_id) != (m.carrier, m.tracking_number):
            why = f"package {m.package_id} left, and its warehouse does not say so (or otherwise)"
            tally.violation(LEFT, entry, why)
    for _ in left.keys() - shipped:
        # A command without a place in fulfillment's feed: whether it was handled shows only in what came of it.
        tally.in_flight("parcels that left an external warehouse, on their way to fulfillment")
