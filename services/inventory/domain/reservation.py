"""One reservation: what it still holds, where, and how it ended."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, assert_never

import msgspec

from shared.events import Allocation, LineQuantity, StockLine
from shared.events.inventory import (
    CommitRefused,
    ReservationCommitted,
    ReservationConsumed,
    ReservationExpired,
    ReservationRejected,
    ReservationReleased,
    StockBackordered,
    StockReserved,
)

ReservationEvents = (
    StockReserved
    | ReservationCommitted
    | ReservationConsumed
    | ReservationReleased
    | ReservationExpired
    | StockBackordered
    | ReservationRejected
    | CommitRefused
)

#: NEW: never heard of. HELD, BACKORDERED and COMMITTED are open; the others are final.
Status = Literal[
    "new", "held", "backordered", "committed", "rejected", "consumed", "released", "expired"
]


class Reservation(msgspec.Struct, frozen=True, array_like=True):
    """State of ``reservation-<id>``.

    ``open`` are units promised and neither shipped nor given back. ``lines`` and ``hold_seconds``
    are kept while it waits. ``parts`` are ids of packages and partial releases already counted,
    kept until nothing is open. ``answered`` tells that a release has had its final answer,
    ``refused`` where the reservation stood when a commit was refused.
    """

    status: Status = "new"
    order_id: str = ""
    open: tuple[Allocation, ...] = ()
    expires_at: datetime | None = None
    lines: tuple[LineQuantity, ...] = ()
    hold_seconds: int = 0
    committed: bool = False
    consumed: bool = False
    parts: tuple[str, ...] = ()
    answered: bool = False
    refused: str = ""


def initial() -> Reservation:
    """A reservation that nobody has asked for."""
    return Reservation()


def package_part(package_id: str) -> str:
    """How a package is remembered among the ``parts``."""
    return f"package:{package_id}"


def release_part(release_id: str) -> str:
    """How a partial release is remembered among the ``parts``."""
    return f"release:{release_id}"


def evolve(r: Reservation, event: ReservationEvents) -> Reservation:
    """The reservation after one event."""
    match event:
        case StockReserved():
            return Reservation("held", event.order_id, event.allocations, event.expires_at)
        case ReservationCommitted():
            return Reservation("committed", r.order_id, r.open, committed=True, parts=r.parts)
        case ReservationConsumed():
            return _consumed(r, event)
        case ReservationReleased():
            return _released(r, event)
        case ReservationExpired():
            return Reservation("expired", r.order_id)
        case StockBackordered():
            return Reservation(
                "backordered", event.order_id, lines=event.lines, hold_seconds=event.hold_seconds
            )
        case ReservationRejected():
            return Reservation("rejected", event.order_id)
        case CommitRefused(reason=reason):
            # A commit before its reservation closes it: the order has been told that there is none.
            status = "rejected" if r.status == "new" else r.status
            return msgspec.structs.replace(r, status=status, refused=reason)
        case _:
            assert_never(event)


def _consumed(r: Reservation, event: ReservationConsumed) -> Reservation:
    if event.open_units == 0:
        return Reservation("consumed", r.order_id, committed=True, consumed=True)
    return msgspec.structs.replace(
        r,
        open=without(r.open, event.allocations),
        consumed=True,
        parts=(*r.parts, package_part(event.package_id)),
    )


def _released(r: Reservation, event: ReservationReleased) -> Reservation:
    if event.open_units:
        parts = (*r.parts, release_part(event.release_id)) if event.release_id else r.parts
        return msgspec.structs.replace(r, open=without(r.open, event.allocations), parts=parts)
    status = r.status
    if status in ("new", "held", "backordered", "committed"):
        status = "consumed" if r.consumed else "released"
    return Reservation(
        status, event.order_id, committed=r.committed, consumed=r.consumed, answered=True
    )


def without(
    open: Sequence[Allocation],  # noqa: A002 - the word for units neither shipped nor given back
    taken: Iterable[Allocation],
) -> tuple[Allocation, ...]:
    """The open allocations less those taken from them."""
    less = {(a.line_id, a.location): a.quantity for a in taken}
    rest: list[Allocation] = []
    for a in open:
        quantity = a.quantity - less.get((a.line_id, a.location), 0)
        if quantity == a.quantity:
            rest.append(a)
        elif quantity:
            rest.append(msgspec.structs.replace(a, quantity=quantity))
    return tuple(rest)


def pick(
    open: Sequence[Allocation],  # noqa: A002 - see above
    lines: Sequence[LineQuantity],
    location: str,
) -> tuple[Allocation, ...]:
    """What ``lines`` can take of the open allocations: never more than is open, only at
    ``location`` unless that is empty; no lines mean everything there.
    """
    here = [a for a in open if not location or a.location == location]
    if not lines:
        return tuple(here)
    wanted: dict[tuple[str, str], int] = {}
    for line in lines:
        key = (line.line_id, line.sku)
        wanted[key] = wanted.get(key, 0) + max(0, line.quantity)
    picked: list[Allocation] = []
    for a in here:
        key = (a.line_id, a.sku)
        quantity = min(wanted.get(key, 0), a.quantity)
        if quantity:
            wanted[key] -= quantity
            whole = quantity == a.quantity
            picked.append(a if whole else msgspec.structs.replace(a, quantity=quantity))
    return tuple(picked)


def units_of(allocations: Iterable[Allocation]) -> int:
    """How many units."""
    return sum([a.quantity for a in allocations])


def by_sku(allocations: Sequence[Allocation]) -> Mapping[str, tuple[StockLine, ...]]:
    """Units for each SKU and location, in order of first appearance: what each stock stream is
    told.
    """
    sums: dict[str, dict[str, int]] = {}
    for a in allocations:
        here = sums.setdefault(a.sku, {})
        here[a.location] = here.get(a.location, 0) + a.quantity
    return {
        sku: tuple([StockLine(sku=sku, location=place, quantity=n) for place, n in places.items()])
        for sku, places in sums.items()
    }
