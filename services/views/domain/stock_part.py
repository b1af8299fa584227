"""What inventory told about one order: its reservations, folded from ``oms.inventory.events``."""

from datetime import datetime
from typing import Any

import msgspec

from services.views.domain.units import Part, Units, change, count, find, units
from shared.events import Allocation
from shared.events import inventory as i

replace = msgspec.structs.replace


class Promised(Part, frozen=True, array_like=True, kw_only=True):
    """Units of a line promised from a location."""

    line_id: str
    sku: str
    location: str
    quantity: int


class Reservation(Part, frozen=True, array_like=True, kw_only=True):
    """One attempt to promise stock. ``promised`` is what it still holds; ``missing`` what was short
    or is waited for."""

    reservation_id: str
    state: str = "requested"
    promised: tuple[Promised, ...] = ()
    missing: tuple[Units, ...] = ()
    consumed: int = 0
    expires_at: datetime | None = None
    reason: str = ""
    at: datetime | None = None


class StockPart(Part, frozen=True, array_like=True, kw_only=True):
    """See the module."""

    reservations: tuple[Reservation, ...] = ()


def _reservation(id: str) -> Reservation:
    return Reservation(reservation_id=id)


def _promised(allocations: tuple[Allocation, ...]) -> tuple[Promised, ...]:
    return tuple(
        Promised(line_id=a.line_id, sku=a.sku, location=a.location, quantity=a.quantity)
        for a in allocations
    )


def _less(held: tuple[Promised, ...], gone: tuple[Allocation, ...]) -> tuple[Promised, ...]:
    """What is still held once some units are gone."""
    left = {(a.line_id, a.location): 0 for a in gone}
    for a in gone:
        left[a.line_id, a.location] += a.quantity
    out: list[Promised] = []
    for p in held:
        taken = min(p.quantity, left.get((p.line_id, p.location), 0))
        if taken:
            left[p.line_id, p.location] -= taken
        if p.quantity > taken:
            out.append(replace(p, quantity=p.quantity - taken))
    return tuple(out)


def _with(part: StockPart, id: str, **changes: Any) -> StockPart:
    return StockPart(reservations=change(part.reservations, id, _reservation, **changes))


def _reserved(part: StockPart, e: i.StockReserved, at: datetime) -> StockPart:
    promised = _promised(e.allocations)
    return _with(
        part,
        e.reservation_id,
        state="held",
        promised=promised,
        missing=(),
        expires_at=e.expires_at,
        at=at,
    )


def _backordered(part: StockPart, e: i.StockBackordered, at: datetime) -> StockPart:
    return _with(part, e.reservation_id, state="backordered", missing=units(e.lines), at=at)


def _rejected(part: StockPart, e: i.ReservationRejected, at: datetime) -> StockPart:
    missing = units(e.shortages)
    return _with(part, e.reservation_id, state="rejected", missing=missing, reason=e.reason, at=at)


def _committed(part: StockPart, e: i.ReservationCommitted, at: datetime) -> StockPart:
    promised = _promised(e.allocations)
    return _with(
        part, e.reservation_id, state="committed", promised=promised, expires_at=None, at=at
    )


def _consumed(part: StockPart, e: i.ReservationConsumed, at: datetime) -> StockPart:
    known = find(part.reservations, e.reservation_id) or _reservation(e.reservation_id)
    return _with(
        part,
        e.reservation_id,
        state="committed" if e.open_units else "consumed",
        promised=_less(known.promised, e.allocations),
        consumed=known.consumed + count(e.allocations),
        at=at,
    )


def _released(part: StockPart, e: i.ReservationReleased, at: datetime) -> StockPart:
    known = find(part.reservations, e.reservation_id) or _reservation(e.reservation_id)
    ended = "consumed" if known.consumed else "released"
    return _with(
        part,
        e.reservation_id,
        state=known.state if e.open_units else ended,
        promised=_less(known.promised, e.allocations),
        missing=(),
        expires_at=None,
        reason=e.reason,
        at=at,
    )


def _expired(part: StockPart, e: i.ReservationExpired, at: datetime) -> StockPart:
    return _with(part, e.reservation_id, state="expired", promised=(), expires_at=None, at=at)


def _commit_refused(part: StockPart, e: i.CommitRefused, at: datetime) -> StockPart:
    return _with(part, e.reservation_id, reason=f"commit refused: {e.reason}", at=at)


#: How each event of a reservation changes the part.
FOLDS: dict[type, Any] = {
    i.StockReserved: _reserved,
    i.StockBackordered: _backordered,
    i.ReservationRejected: _rejected,
    i.ReservationCommitted: _committed,
    i.CommitRefused: _commit_refused,
    i.ReservationConsumed: _consumed,
    i.ReservationReleased: _released,
    i.ReservationExpired: _expired,
}
