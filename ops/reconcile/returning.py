"""Invariant 7: what comes back had left, what is restocked came back, and every refund has one approved cause."""

from ops.reconcile.log import Dossier, Entry, events
from ops.reconcile.report import Check, Tally
from ops.reconcile.shipping import Units, tally_units
from ops.reconcile.spool import DECIDED, Spool
from shared.events import order as o
from shared.events import returns as r

RETURNED = Check(7, "returned ≤ shipped, inspected = received, for each line")
RESTOCKED = Check(7, "restocked = inspected as fit for it, for each return and SKU")
REFUNDED = Check(7, "every refund has one approved return, for the same amount")
CHECKS = (RETURNED, RESTOCKED, REFUNDED)

Inspections = dict[str, tuple[Entry, r.ReturnInspected]]


def check_returns(dossier: Dossier, sent: Units, spool: Spool, tally: Tally) -> Inspections:
    """All returns of one order against what was sent of it; returns the inspections by return id."""
    back: Units = {}
    found: Inspections = {}
    for _, stream in dossier.streams_of("return"):
        requested: Units = {}
        received: Units = {}
        approved = False
        for entry in stream:
            tally.saw(RETURNED)
            match entry.message:
                case r.ReturnRequested() as m:
                    requested = _add({}, m.lines)
                case r.ReturnApproved():
                    approved = True
                case r.ReturnReceived() as m:
                    if not approved:
                        _wrong(tally, entry, "units came back for a return that was not approved")
                    _add(received, m.lines)
                    _add(back, m.lines)
                    _within(received, requested, "received of this return", entry, tally)
                    _within(back, sent, "back in all", entry, tally)
                case r.ReturnInspected() as m:
                    if m.return_id in found:
                        _wrong(tally, entry, "it was inspected before")
                    found[m.return_id] = (entry, m)
                    _inspected(entry, m, received, spool, tally)
                case _:
                    pass
    return found


def _add(units: Units, lines: object) -> Units:
    for line in lines:  # type: ignore[attr-defined]
        key = (line.line_id, line.sku)
        units[key] = units.get(key, 0) + line.quantity
    return units


def _within(units: Units, limit: Units, what: str, entry: Entry, tally: Tally) -> None:
    for key, n in units.items():
        if n > limit.get(key, 0):
            against = "shipped" if "all" in what else "asked for"
            why = f"line {key[0]} ({key[1]}): {n} units {what}, {limit.get(key, 0)} {against}"
            _wrong(tally, entry, why)


def _wrong(tally: Tally, entry: Entry, why: str) -> None:
    tally.violation(RETURNED, entry, why)


def _inspected(
    entry: Entry, m: r.ReturnInspected, received: Units, spool: Spool, tally: Tally
) -> None:
    judged = _add({}, (x for x in m.lines if x.disposition != "missing"))
    if judged != {key: n for key, n in received.items() if n}:
        total, came = sum(judged.values()), sum(received.values())
        _wrong(tally, entry, f"{total} units were inspected, {came} were received (or others)")
    for line in m.lines:
        if line.disposition == "restock":
            spool.fact("restock", m.return_id, line.sku, DECIDED, line.quantity, entry)


def check_refunds(dossier: Dossier, inspections: Inspections, whole: bool, tally: Tally) -> None:
    """Each refund against the return that it is for; ``whole`` says that the returns' own log is at hand."""
    accepted: dict[str, tuple[Entry, o.ReturnAccepted]] = {}
    paid: dict[str, str] = {}
    for entry, m in events(dossier.order, o.ReturnAccepted, o.RefundIssued):
        tally.saw(REFUNDED)
        if isinstance(m, o.ReturnAccepted):
            if m.refund_id in accepted:
                tally.violation(REFUNDED, entry, f"refund {m.refund_id} was granted before")
            accepted[m.refund_id] = (entry, m)
            if whole:
                _agrees(entry, m, inspections, tally)
            continue
        if m.refund_id in paid:
            why = f"refund {m.refund_id} was paid before, by {paid[m.refund_id]}"
            tally.violation(REFUNDED, entry, why)
        paid[m.refund_id] = entry.id
        cause = accepted.get(m.refund_id)
        if cause is None:
            tally.violation(
                REFUNDED, entry, f"refund {m.refund_id} was paid, and nobody granted it"
            )
        elif (cause[1].refund, cause[1].return_id) != (m.amount, m.return_id):
            granted = cause[1].refund.amount
            why = (
                f"refund {m.refund_id}: {m.amount.amount} paid, {granted} granted by {cause[0].id}"
            )
            tally.violation(REFUNDED, entry, why)


def _agrees(entry: Entry, m: o.ReturnAccepted, inspections: Inspections, tally: Tally) -> None:
    found = inspections.get(m.return_id)
    if found is None:
        why = f"return {m.return_id} was accepted, and nobody inspected it"
        tally.violation(REFUNDED, entry, why)
        return
    came_back = _add({}, (x for x in found[1].lines if x.disposition != "missing"))
    if tally_units(m.lines) != came_back:
        why = f"return {m.return_id}: the units accepted are not those inspected by {found[0].id}"
        tally.violation(REFUNDED, entry, why)


def compare(spool: Spool, pending: set[str], tally: Tally) -> None:
    """Units restocked against units fit for it, once all logs are read; ``pending`` returns' restock is under way."""
    tally.saw(RESTOCKED, spool.count("restock"))
    for id, sku, decided, shown, place in spool.differing("restock"):
        if shown == 0 and id in pending:
            tally.in_flight("restocks on their way to inventory")
            continue
        why = f"return {id}: {shown} units of {sku} were restocked, {decided} were fit for it"
        tally.violation(RESTOCKED, place, why)
