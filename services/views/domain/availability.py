"""Stock per SKU and location, as movements to add up.

Movements of a SKU arrive on several partitions (stock is keyed by SKU, reservations by order). Sums
do not depend on the order of their terms, so the figures are right whenever all that was published
has been read."""

from typing import NamedTuple

from shared.events import Allocation, Event
from shared.events import inventory as i


class Movement(NamedTuple):
    """A change of one SKU's stock at one location, in units."""

    sku: str
    location: str
    on_hand: int = 0
    reserved: int = 0
    allocated: int = 0


def movements(event: Event) -> list[Movement]:
    """What an event of the inventory service moves; nothing for the others."""
    match event:
        case i.StockReceived() | i.StockAdjusted() | i.StockRestocked():
            return [Movement(event.sku, event.location, on_hand=event.quantity)]
        case i.StockReserved():
            return _each(event.allocations, reserved=1)
        case i.ReservationCommitted():
            return _each(event.allocations, reserved=-1, allocated=1)
        case i.ReservationConsumed():
            return _each(event.allocations, on_hand=-1, allocated=-1)
        case i.ReservationReleased(committed=True):
            return _each(event.allocations, allocated=-1)
        case i.ReservationReleased() | i.ReservationExpired():
            return _each(event.allocations, reserved=-1)
        case _:
            return []


def _each(
    allocations: tuple[Allocation, ...], *, on_hand: int = 0, reserved: int = 0, allocated: int = 0
) -> list[Movement]:
    return [
        Movement(
            a.sku, a.location, on_hand * a.quantity, reserved * a.quantity, allocated * a.quantity
        )
        for a in allocations
    ]
