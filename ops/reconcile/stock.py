"""Invariant 1: units at each SKU and location, folded from the movements alone, at every prefix of the log.

The arithmetic is written anew here, not taken from the inventory service: a fault in its fold must not hide itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ops.reconcile.log import Entry, events
from ops.reconcile.report import Check, Tally
from ops.reconcile.spool import DECIDED, SHOWN, Spool
from shared.events import Allocation, StockLine
from shared.events import inventory as i

LEVELS = Check(
    1, "units: 0 ≤ reserved + allocated ≤ on hand, for each SKU and location at every event"
)
AGREES = Check(1, "stock movements agree with the reservations' own events")
MOVEMENTS = Check(1, "receipts, adjustments and restocks agree with what their movement recorded")
CHECKS = (LEVELS, AGREES, MOVEMENTS)

Promise = (
    i.StockReserved
    | i.ReservationCommitted
    | i.ReservationConsumed
    | i.ReservationReleased
    | i.ReservationExpired
)


@dataclass(slots=True)
class Level:
    """Units at one location."""

    on_hand: int = 0
    reserved: int = 0
    allocated: int = 0


@dataclass(slots=True)
class Stock:
    """Follows the stock streams, one after the other; the state is that of one SKU."""

    spool: Spool
    tally: Tally
    stream: str = ""
    levels: dict[str, Level] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)

    def event(self, entry: Entry) -> None:
        """One more event of a stock stream."""
        if entry.stream != self.stream:
            self.stream, self.levels, self.waiting = entry.stream, {}, {}
        message = entry.message
        match message:
            case i.StockReceived() | i.StockRestocked() | i.StockAdjusted():
                self._counted(entry, message)
            case i.UnitsReserved():
                self._moved(entry, message.units, "reserve", 0, 1, 0)
            case i.UnitsAllocated():
                self._moved(entry, message.units, "commit", 0, -1, 1)
            case i.UnitsShipped():
                self._moved(entry, message.units, f"ship {message.package_id}", -1, 0, -1)
            case i.UnitsReleased():
                lost = (0, 0, -1) if message.committed else (0, -1, 0)
                kind = "release allocated" if message.committed else "release reserved"
                self._moved(entry, message.units, kind, *lost)
            case i.BackorderQueued() | i.BackorderLeft():
                self._queued(entry, message)
            case _:
                pass

    def _counted(
        self, entry: Entry, m: i.StockReceived | i.StockRestocked | i.StockAdjusted
    ) -> None:
        self.tally.saw(LEVELS)
        kind = {"received": "receive", "restocked": "restock", "adjusted": "adjust"}
        item = f"{kind[m.tag().split('.')[2]]} {m.sku} at {m.location}"
        self.spool.fact("movement", m.movement_id, item, SHOWN, m.quantity, entry)
        if m.quantity < 1 and not isinstance(m, i.StockAdjusted):
            self.tally.violation(LEVELS, entry, f"{m.quantity} units came in: must be at least 1")
        if isinstance(m, i.StockRestocked):
            self.spool.fact("restock", m.return_id, m.sku, SHOWN, m.quantity, entry)
        level = self.levels.setdefault(m.location, Level())
        level.on_hand += m.quantity
        self._check(entry, m.location, level)

    def _moved(
        self,
        entry: Entry,
        units: Iterable[StockLine],
        kind: str,
        on_hand: int,
        reserved: int,
        allocated: int,
    ) -> None:
        m = entry.message
        reservation = str(getattr(m, "reservation_id", ""))
        for unit in units:
            self.tally.saw(LEVELS)
            n = unit.quantity
            item = f"{kind}: {unit.sku} at {unit.location}"
            self.spool.fact("promise", reservation, item, SHOWN, n, entry)
            if f"stock-{unit.sku}" != entry.stream or n < 1:
                self.tally.violation(LEVELS, entry, f"moves {n} units of {unit.sku}")
            level = self.levels.setdefault(unit.location, Level())
            level.on_hand += on_hand * n
            level.reserved += reserved * n
            level.allocated += allocated * n
            self._check(entry, unit.location, level)

    def _check(self, entry: Entry, location: str, level: Level) -> None:
        at = f"{entry.stream.removeprefix('stock-')} at {location}"
        has = f"{level.on_hand} on hand, {level.reserved} reserved, {level.allocated} allocated"
        if level.reserved + level.allocated > level.on_hand:
            over = level.reserved + level.allocated - level.on_hand
            self.tally.violation(LEVELS, entry, f"{at} is oversold by {over}: {has}")
        elif min(level.on_hand, level.reserved, level.allocated) < 0:
            self.tally.violation(LEVELS, entry, f"{at} has less than nothing: {has}")

    def _queued(self, entry: Entry, m: i.BackorderQueued | i.BackorderLeft) -> None:
        id = m.reservation_id
        if isinstance(m, i.BackorderQueued):
            self.spool.fact("promise", id, f"queue: {m.sku}", SHOWN, m.quantity, entry)
            self.waiting[id] = self.waiting.get(id, 0) + m.quantity
            return
        self.spool.fact("promise", id, f"leave the line: {m.sku}", SHOWN, m.quantity, entry)
        if self.waiting.pop(id, 0) != m.quantity:
            why = (
                f"reservation {id} leaves the line with {m.quantity} units that did not stand in it"
            )
            self.tally.violation(LEVELS, entry, why)


def promises(stream: list[Entry], spool: Spool) -> None:
    """What a reservation's own events say is moved, to be compared with the stock streams."""
    waits: i.StockBackordered | None = None
    for entry, m in events(stream, *Promise.__args__, i.StockBackordered):
        id = m.reservation_id
        if isinstance(m, i.StockBackordered):
            waits = m
            _lines(spool, entry, m, "queue")
            continue
        if waits is not None and isinstance(m, i.StockReserved | i.ReservationReleased):
            _lines(spool, entry, waits, "leave the line")
            waits = None
        for a in m.allocations:
            item = f"{_kind(m)}: {a.sku} at {a.location}"
            spool.fact("promise", id, item, DECIDED, a.quantity, entry)


def _kind(m: Promise) -> str:
    match m:
        case i.StockReserved():
            return "reserve"
        case i.ReservationCommitted():
            return "commit"
        case i.ReservationConsumed():
            return f"ship {m.package_id}"
        case i.ReservationReleased(committed=True):
            return "release allocated"
        case _:
            return "release reserved"


def _lines(spool: Spool, entry: Entry, m: i.StockBackordered, kind: str) -> None:
    for line in m.lines:
        item = f"{kind}: {line.sku}"
        spool.fact("promise", m.reservation_id, item, DECIDED, line.quantity, entry)


def recorded(entries: Iterable[Entry], spool: Spool, tally: Tally) -> None:
    """What a movement recorded, once, to be compared with the stock streams."""
    for number, (entry, m) in enumerate(events(entries, i.MovementRecorded)):
        if number:
            tally.violation(MOVEMENTS, entry, f"movement {m.movement_id} was counted again")
        for line in m.lines:
            item = f"{m.kind} {line.sku} at {line.location}"
            spool.fact("movement", m.movement_id, item, DECIDED, line.quantity, entry)


def compare(spool: Spool, tally: Tally) -> None:
    """Both sides of every movement, once all logs are read."""
    tally.saw(AGREES, spool.count("promise"))
    for id, item, decided, shown, place in spool.differing("promise"):
        why = f"reservation {id} says {decided} units to {item}, the stock streams say {shown}"
        tally.violation(AGREES, place, why)
    tally.saw(MOVEMENTS, spool.count("movement"))
    for id, item, decided, shown, place in spool.differing("movement"):
        why = f"movement {id} recorded {decided} units to {item}, the stock streams say {shown}"
        tally.violation(MOVEMENTS, place, why)


def units(allocations: Iterable[Allocation]) -> dict[tuple[str, str, str], int]:
    """Units by line, SKU and location."""
    out: dict[tuple[str, str, str], int] = {}
    for a in allocations:
        key = (a.line_id, a.sku, a.location)
        out[key] = out.get(key, 0) + a.quantity
    return out
