"""What becomes of a promise: committed, shipped, given back, or run out. Each reservation ends
once.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from services.inventory.domain.limits import PARTS_MAX
from services.inventory.domain.messages import ExpireReservation
from services.inventory.domain.reservation import (
    Reservation,
    Status,
    by_sku,
    package_part,
    pick,
    release_part,
    units_of,
)
from services.inventory.domain.reserving import EXPIRY_TIMER, leave_lines
from shared.events import (
    Allocation,
    CancelTimer,
    Context,
    Items,
    LineQuantity,
    Refused,
    StartTimer,
    States,
)
from shared.events.inventory import (
    CommitRefused,
    CommitReservation,
    ConsumeReservation,
    ReleaseReservation,
    ReservationCommitted,
    ReservationConsumed,
    ReservationExpired,
    ReservationReleased,
    UnitsAllocated,
    UnitsReleased,
    UnitsShipped,
)

_REFUSALS: dict[Status, Literal["unknown", "backordered", "rejected", "released", "expired"]] = {
    "new": "unknown",
    "backordered": "backordered",
    "rejected": "rejected",
    "released": "released",
    "expired": "expired",
}


def commit(states: States, m: CommitReservation, context: Context) -> Items:
    """The promise no longer expires. Judged now, not by the timer: a hold that has run out is
    expired here.

    Anything that is not held is answered with `CommitRefused`, once for each place where it may
    stand.
    """
    r: Reservation = states[m.subject]
    if r.status != "held":
        return _refuse_commit(r, m)
    if missing := _unlocked(states, r.open):
        return [_again(m, missing, context, "commit")]
    if r.expires_at is not None and r.expires_at <= context.now:
        return [*_expire(r, m.reservation_id), _stop_expiry(m.subject)]
    items: Items = [
        ReservationCommitted(
            reservation_id=m.reservation_id, order_id=r.order_id, allocations=r.open
        )
    ]
    for sku, units in by_sku(r.open).items():
        items.append(UnitsAllocated(sku=sku, reservation_id=m.reservation_id, units=units))
    items.append(_stop_expiry(m.subject))
    return items


def _refuse_commit(r: Reservation, m: CommitReservation) -> Items:
    reason = _REFUSALS.get(r.status)
    # A late copy of a commit that was granted is not to be answered with the way it ended since.
    if reason is None or r.committed or r.refused in (reason, "unknown"):
        return []
    return [CommitRefused(reservation_id=m.reservation_id, order_id=m.order_id, reason=reason)]


def consume(states: States, m: ConsumeReservation, _: Context) -> Items:
    """Units left a location in a package. Each package counts once, and never for more than is
    open there.
    """
    r: Reservation = states[m.subject]
    if r.status == "consumed" or package_part(m.package_id) in r.parts:
        return []
    if r.status != "committed":
        detail = f"{m.subject} is {r.status}: package {m.package_id} left without a promise"
        return [Refused(code="not_committed", detail=f"{detail}; correct the count by hand")]
    if len(r.parts) >= PARTS_MAX:
        return [Refused(code="too_many_parts", detail=f"{m.subject} has {PARTS_MAX} parts")]
    taken = pick(r.open, m.lines, m.location) if m.lines and m.location else ()
    units = units_of(taken)
    asked = sum(line.quantity for line in m.lines)
    excess = Refused(
        code="more_than_open",
        detail=f"package {m.package_id} holds {asked} units, {m.subject} has {units} of them open "
        f"at {m.location!r}; correct the count of the others by hand",
    )
    if not taken:
        return [excess]
    items: Items = [
        ReservationConsumed(
            reservation_id=m.reservation_id,
            order_id=r.order_id,
            package_id=m.package_id,
            allocations=taken,
            open_units=units_of(r.open) - units,
        )
    ]
    for sku, moved in by_sku(taken).items():
        shipped = UnitsShipped(
            sku=sku, reservation_id=m.reservation_id, units=moved, package_id=m.package_id
        )
        items.append(shipped)
    if units < asked:
        items.append(excess)
    return items


def release(states: States, m: ReleaseReservation, context: Context) -> Items:
    """Give back what is still open of the lines, and tell the order so.

    A reservation that holds nothing is answered once, without allocations: one that waits leaves
    its lines; one that has ended stays what it is; one that was never asked for is closed, so that
    a `ReserveStock` which comes late (cancelling may overtake reserving) finds it ended.
    """
    r: Reservation = states[m.subject]
    match r.status:
        case "backordered":
            return _give_up(states, r, m, context)
        case "held" | "committed":
            return _give_back(states, r, m, context)
        case _:
            return [] if r.answered else [_released(r, m, (), 0)]


def _give_up(states: States, r: Reservation, m: ReleaseReservation, context: Context) -> Items:
    if missing := _unlocked(states, r.lines):
        return [_again(m, missing, context, "release")]
    left = leave_lines(m.reservation_id, r.lines, filled=False)
    return [_released(r, m, (), 0), *left]


def _give_back(states: States, r: Reservation, m: ReleaseReservation, context: Context) -> Items:
    if m.release_id and release_part(m.release_id) in r.parts:
        return []
    if len(r.parts) >= PARTS_MAX and m.lines:
        return [Refused(code="too_many_parts", detail=f"{m.subject} has {PARTS_MAX} parts")]
    taken = pick(r.open, m.lines, m.location)
    if not taken:
        return []
    if missing := _unlocked(states, taken):
        return [_again(m, missing, context, "release")]
    open_units = units_of(r.open) - units_of(taken)
    items: Items = [_released(r, m, taken, open_units)]
    for sku, units in by_sku(taken).items():
        items.append(
            UnitsReleased(
                sku=sku, reservation_id=m.reservation_id, units=units, committed=r.committed
            )
        )
    if r.status == "held" and not open_units:
        items.append(_stop_expiry(m.subject))
    return items


def expire(states: States, m: ExpireReservation, context: Context) -> Items:
    """The timer's sweep: a hold that nobody committed ends, so that its units are free before
    anyone asks for them.
    """
    r: Reservation = states[m.subject]
    if r.status != "held" or r.expires_at is None:
        return []
    if context.now < r.expires_at:  # the clock was set back after the timer had been found due
        return [StartTimer(name=EXPIRY_TIMER, due_at=r.expires_at, message=m)]
    return _expire(r, m.reservation_id)


def _expire(r: Reservation, reservation_id: str) -> Items:
    items: Items = [
        ReservationExpired(reservation_id=reservation_id, order_id=r.order_id, allocations=r.open)
    ]
    for sku, units in by_sku(r.open).items():
        items.append(
            UnitsReleased(sku=sku, reservation_id=reservation_id, units=units, committed=False)
        )
    return items


def _released(
    r: Reservation, m: ReleaseReservation, taken: tuple[Allocation, ...], open_units: int
) -> ReservationReleased:
    return ReservationReleased(
        reservation_id=m.reservation_id,
        order_id=r.order_id or m.order_id,
        reason=m.reason,
        allocations=taken,
        committed=r.committed,
        open_units=open_units,
        release_id=m.release_id,
    )


def _stop_expiry(subject: str) -> CancelTimer:
    return CancelTimer(subject=subject, name=EXPIRY_TIMER)


def _unlocked(
    states: States, parts: Sequence[Allocation] | Sequence[LineQuantity]
) -> tuple[LineQuantity, ...]:
    """All the parts as lines, when the command did not name every SKU among them; nothing when
    it did.
    """
    if all(f"stock-{part.sku}" in states for part in parts):
        return ()
    return tuple(
        LineQuantity(line_id=part.line_id, sku=part.sku, quantity=part.quantity) for part in parts
    )


def _again(
    m: CommitReservation | ReleaseReservation,
    lines: tuple[LineQuantity, ...],
    context: Context,
    name: str,
) -> StartTimer:
    """The same command with the lines that it left out: only named SKUs are locked, so it must
    be handled anew.
    """
    message = msgspec.structs.replace(m, lines=lines)
    return StartTimer(name=name, due_at=context.now, message=message)
