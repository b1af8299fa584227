"""Invariant 2: a reservation ends exactly once, and never has fewer than no open units."""

from dataclasses import dataclass, field

from ops.reconcile.log import Cuts, Dossier, Entry, events
from ops.reconcile.report import Check, Tally
from ops.reconcile.stock import units
from shared.events import Allocation
from shared.events import inventory as i
from shared.events import order as o

ENDS = Check(2, "reservations end exactly once, with open units never negative")
SENT = Check(2, "a completed order has nothing reserved any more")
CHECKS = (ENDS, SENT)

Units = dict[tuple[str, str, str], int]


@dataclass(slots=True)
class Reservation:
    """One reservation as its own events leave it. ``ended`` names the event that ended it."""

    tally: Tally
    status: str = "new"
    open: Units = field(default_factory=dict)
    ended: str = ""
    answered: bool = False
    packages: set[str] = field(default_factory=set)

    @property
    def holds(self) -> bool:
        """Whether something is held or waited for."""
        return self.status == "backordered" or any(self.open.values())

    def event(self, entry: Entry) -> None:
        """Fold one event, and say what it should not have done."""
        self.tally.saw(ENDS)
        m = entry.message
        if self.ended and not isinstance(m, i.CommitRefused | i.ReservationReleased):
            named = type(m).__name__
            self.tally.violation(
                ENDS, entry, f"{named} after the reservation ended by {self.ended}"
            )
        match m:
            case i.StockReserved():
                self._from(entry, "new", "backordered")
                self.status, self.open = "held", units(m.allocations)
                if any(n < 1 for n in self.open.values()):
                    self.tally.violation(ENDS, entry, "an allocation of no units")
            case i.StockBackordered():
                self._from(entry, "new")
                self.status = "backordered"
            case i.ReservationRejected():
                self._from(entry, "new")
                self._end(entry, "rejected")
            case i.ReservationCommitted():
                self._from(entry, "held")
                self._whole(entry, m.allocations)
                self.status = "committed"
            case i.ReservationExpired():
                self._from(entry, "held")
                self._whole(entry, m.allocations)
                self._end(entry, "expired")
            case i.ReservationConsumed():
                self._consumed(entry, m)
            case i.ReservationReleased():
                self._released(entry, m)
            case i.CommitRefused():
                self._refused(entry)
            case _:
                pass

    def _refused(self, entry: Entry) -> None:
        if self.status in ("held", "committed") and not self.ended:
            self.tally.violation(
                ENDS, entry, f"a commit was refused while the units were {self.status}"
            )
        if self.status == "new":
            self._end(entry, "rejected")

    def _from(self, entry: Entry, *statuses: str) -> None:
        if not self.ended and self.status not in statuses:
            self.tally.violation(
                ENDS,
                entry,
                f"{type(entry.message).__name__} of a reservation that is {self.status}",
            )

    def _end(self, entry: Entry, status: str) -> None:
        self.status, self.open = status, {}
        self.ended = self.ended or f"{type(entry.message).__name__} ({entry.id})"

    def _whole(self, entry: Entry, allocations: tuple[Allocation, ...]) -> None:
        named = units(allocations)
        held = {key: n for key, n in self.open.items() if n}
        if named != held:
            total, there = sum(named.values()), sum(held.values())
            why = f"names {total} units, and the reservation holds {there} (or others)"
            self.tally.violation(ENDS, entry, why)

    def _take(self, entry: Entry, allocations: tuple[Allocation, ...], open_units: int) -> None:
        for key, n in units(allocations).items():
            left = self.open.get(key, 0) - n
            if left < 0 or n < 1:
                line, sku, location = key
                why = f"takes {n} units of {sku} (line {line}) at {location}, of which {left + n} are open"
                self.tally.violation(ENDS, entry, why)
            self.open[key] = left
        left = sum(self.open.values())
        if left != open_units:
            self.tally.violation(ENDS, entry, f"says that {open_units} units are open, {left} are")

    def _consumed(self, entry: Entry, m: i.ReservationConsumed) -> None:
        self._from(entry, "committed")
        if m.package_id in self.packages:
            self.tally.violation(ENDS, entry, f"package {m.package_id} was consumed before")
        self.packages.add(m.package_id)
        self._take(entry, m.allocations, m.open_units)
        if not m.open_units:
            self._end(entry, "consumed")

    def _released(self, entry: Entry, m: i.ReservationReleased) -> None:
        if m.allocations:
            if self.ended:
                why = f"units are released after the reservation ended by {self.ended}"
                self.tally.violation(ENDS, entry, why)
            self._from(entry, "held", "committed")
            if m.committed != (self.status == "committed") and not self.ended:
                self.tally.violation(
                    ENDS, entry, f"committed={m.committed}, but it is {self.status}"
                )
            self._take(entry, m.allocations, m.open_units)
        elif m.open_units or (self.status in ("held", "committed") and any(self.open.values())):
            self.tally.violation(ENDS, entry, "an empty release of a reservation that holds units")
        elif self.answered:
            self.tally.violation(ENDS, entry, "a release was answered before")
        if not m.open_units:
            self.answered = True
            self._end(entry, "released")


def check_completed(
    dossier: Dossier, reservations: dict[str, Reservation], cuts: Cuts, tally: Tally
) -> None:
    """What is left of an order of which everything was sent: units that nobody consumed or gave back are lost to sale."""
    completed = next((entry for entry, _ in events(dossier.order, o.OrderCompleted)), None)
    if completed is None or not dossier.settled(cuts):
        return
    tally.saw(SENT)
    for stream, r in reservations.items():
        if r.holds:
            why = f"the order is completed, but {stream} still holds {sum(r.open.values())} units"
            tally.violation(SENT, completed, why)
