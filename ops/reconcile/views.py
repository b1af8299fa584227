"""Invariant 12: a view equals the fold of its events, up to where the view has read."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from ops.reconcile.log import Cuts, Dossier, Entry, ViewRow, ViewsLog
from ops.reconcile.report import Check, Place, Tally
from ops.reconcile.spool import DECIDED, SHOWN, Spool
from services.views.domain import document as documents
from services.views.domain.availability import movements
from services.views.domain.document import Document
from services.views.handlers import PROJECTED

DOCUMENTS = Check(12, "order documents equal the fold of their events, byte for byte")
TIMELINE = Check(12, "the timeline holds every event about an order as it was published")
AVAILABILITY = Check(12, "availability equals the sum of the movements")
CHECKS = (DOCUMENTS, TIMELINE, AVAILABILITY)

Units = dict[tuple[str, str], list[int]]


class Views:
    """Follows the logs in the order of their keys, beside the view's rows in the order of theirs."""

    def __init__(self, log: ViewsLog, cuts: Cuts, spool: Spool, tally: Tally) -> None:
        self._log = log
        self._cuts = cuts
        self._spool = spool
        self._tally = tally
        self._rows: Iterator[ViewRow] = log.orders()
        self._row: ViewRow | None = next(self._rows, None)
        self._units: Units = {}
        self._parked = {key for _, key in log.cut.parked}
        self._damaged: set[str] = set()

    def event(self, entry: Entry) -> None:
        """One more message of any log: what it adds to the timeline and to availability."""
        message = entry.message
        plan = PROJECTED.get(type(message))  # type: ignore[arg-type]
        if plan is None or message is None or not self._cuts.reached("views", entry):
            return
        if plan.listed:
            order_id: str = message.order_id  # type: ignore[attr-defined]
            self._told(entry, DECIDED, order_id, entry.row.data)
        for m in movements(message) if plan.moves else ():  # type: ignore[arg-type]
            sums = self._units.setdefault((m.sku, m.location), [0, 0, 0])
            sums[0] += m.on_hand
            sums[1] += m.reserved
            sums[2] += m.allocated

    def _told(self, entry: Entry, side: int, order_id: str, data: bytes) -> None:
        digest = blake2b(data, digest_size=16).digest()
        self._spool.add(
            "told",
            entry.service,
            entry.row.position,
            side,
            order_id,
            digest,
            entry.stream,
            entry.number,
            entry.id,
        )

    def order(self, dossier: Dossier) -> None:
        """One order: its document, rebuilt from the logs, against the stored one."""
        while self._row is not None and self._row.id < dossier.key:
            self._without_events(self._row)
            self._row = next(self._rows, None)
        row = None
        if self._row is not None and self._row.id == dossier.key:
            row, self._row = self._row, next(self._rows, None)
        self._compare(dossier, row)

    def _compare(self, dossier: Dossier, row: ViewRow | None) -> None:
        if dossier.key in self._parked:
            self._tally.in_flight("orders with parked messages in the views")
            return
        rebuilt = self._fold(dossier)
        if rebuilt is None or (row is None and rebuilt.version == 0):
            return
        self._tally.saw(DOCUMENTS)
        place = Place("views", f"order {dossier.key}", row.version if row else 0)
        if row is None:
            why = f"the view has no document, {rebuilt.version} events make one"
            self._tally.violation(DOCUMENTS, place, why)
        elif documents.encode(rebuilt) != row.document:
            why = (
                f"the document is not the fold of its events: {_difference(rebuilt, row.document)}"
            )
            self._tally.violation(DOCUMENTS, place, why)
        else:
            order = rebuilt.order
            said = (rebuilt.version, order.status, order.channel, order.number, order.placed_at)
            if said != (row.version, row.status, row.channel, row.number, row.placed_at):
                self._tally.violation(
                    DOCUMENTS, place, f"the row's columns are not its document's: {said}"
                )

    def _fold(self, dossier: Dossier) -> Document | None:
        """The document at the view's checkpoints; None where it cannot be known."""
        document = Document(order_id=dossier.key)
        for entry in sorted(dossier.entries(), key=lambda e: (e.service, e.row.position)):
            if type(entry.message) not in documents.FOLDS:
                continue
            if not self._cuts.reached("views", entry):
                continue
            try:
                document = documents.apply(document, entry.message, entry.row.at)  # type: ignore[arg-type]
            except Exception as error:  # noqa: BLE001 - whatever a tampered log makes of a fold is a finding
                why = f"cannot be folded into the view: {type(error).__name__}: {error}"
                self._tally.violation(DOCUMENTS, entry, why)
                return None
        return document

    def _without_events(self, row: ViewRow) -> None:
        if row.id not in self._parked:
            place = Place("views", f"order {row.id}", row.version)
            self._tally.saw(DOCUMENTS)
            self._tally.violation(DOCUMENTS, place, "the view has this order, the logs do not")

    def close(self) -> None:
        """All logs are read: what is left of the view, its timeline, and availability."""
        while self._row is not None:
            self._without_events(self._row)
            self._row = next(self._rows, None)
        if self._log.cut.parked:
            self._tally.not_checked("timeline and availability of the views: keys are parked there")
            return
        self._timeline()
        self._availability()

    def _timeline(self) -> None:
        for row in self._log.timeline():
            service = row.type.split(".")[1]
            digest = blake2b(row.data, digest_size=16).digest()
            values = (
                service,
                row.position,
                SHOWN,
                row.order_id,
                digest,
                f"timeline {row.order_id}",
            )
            self._spool.add("told", *values, 0, "")
        self._spool.index("create index told_at on told (service, position)")
        [(n,)] = self._spool.query("select count(*) from told where side = 1")
        self._tally.saw(TIMELINE, n)
        sql = """select service, position, count(*), count(distinct side), count(distinct digest),
                        count(distinct order_id), max(side), min(side), max(stream), max(version), max(id)
                 from told group by service, position
                 having count(*) <> 2 or count(distinct side) <> 2 or count(distinct digest) <> 1
                     or count(distinct order_id) <> 1"""
        for (
            service,
            position,
            n,
            sides,
            digests,
            orders,
            side,
            _,
            stream,
            version,
            id,
        ) in self._spool.query(sql):
            if sides == 1 and service not in self._cuts:
                continue
            if sides == 1 and side == DECIDED:
                why = "the view has read this event, and its timeline does not show it"
            elif sides == 1:
                why = f"the timeline shows position {position} of {service}, where the log has no such event"
            elif n > 2:
                why = f"position {position} of {service} stands {n - 1} times in the timeline"
            elif digests > 1:
                why = "the event is not what was published: the timeline holds other bytes"
            else:
                why = f"the timeline shows it under another order ({orders} in all)"
            self._tally.violation(TIMELINE, Place(service, stream, version, id), why)

    def _availability(self) -> None:
        if "inventory" not in self._cuts:
            return
        shown = {(sku, location): sums for sku, location, *sums in self._log.availability()}
        self._tally.saw(AVAILABILITY, len(shown))
        for key in sorted(shown.keys() | self._units.keys()):
            told, found = self._units.get(key, [0, 0, 0]), shown.get(key, [0, 0, 0])
            if told != found:
                why = f"shows {found} (on hand, reserved, allocated), the events add up to {told}"
                place = Place("views", f"availability {key[0]} at {key[1]}")
                self._tally.violation(AVAILABILITY, place, why)


def _difference(rebuilt: Document, stored: bytes) -> str:
    try:
        kept = documents.decode(stored)
    except msgspec.MsgspecError as error:
        return f"it cannot be read ({error})"
    for name in rebuilt.__struct_fields__:
        path, folded, found = _first(name, getattr(rebuilt, name), getattr(kept, name))
        if path:
            return f"{path} is {found!r:.120}, the events say {folded!r:.120}"
    return "the same values in other bytes"


def _first(path: str, folded: Any, found: Any) -> tuple[str, Any, Any]:
    """The path of the first value that differs; empty where none does."""
    if folded == found:
        return "", None, None
    if isinstance(folded, msgspec.Struct) and type(folded) is type(found):
        for name in folded.__struct_fields__:
            deeper = _first(f"{path}.{name}", getattr(folded, name), getattr(found, name))
            if deeper[0]:
                return deeper
    if isinstance(folded, tuple) and isinstance(found, tuple) and len(folded) == len(found):
        for n, (a, b) in enumerate(zip(folded, found, strict=True)):
            deeper = _first(f"{path}[{n}]", a, b)
            if deeper[0]:
                return deeper
    return path, folded, found
