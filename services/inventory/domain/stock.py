"""The stock of one SKU at all its locations, and the line of reservations that wait for it."""

from typing import assert_never

import msgspec

from services.inventory.domain.messages import WakeBackorder
from shared.events import Context, Items, StartTimer, StockLine
from shared.events.inventory import (
    BackorderLeft,
    BackorderQueued,
    ItemRegistered,
    StockAdjusted,
    StockReceived,
    StockRestocked,
    UnitsAllocated,
    UnitsReleased,
    UnitsReserved,
    UnitsShipped,
)

StockEvents = (
    UnitsReserved
    | UnitsAllocated
    | UnitsShipped
    | UnitsReleased
    | StockReceived
    | StockRestocked
    | StockAdjusted
    | BackorderQueued
    | BackorderLeft
    | ItemRegistered
)

WAKE_TIMER = "wake"


class Level(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Units at one location. ``reserved`` may still expire, ``allocated`` belong to paid orders;
    both are on hand.
    """

    on_hand: int = 0
    reserved: int = 0
    allocated: int = 0

    @property
    def free(self) -> int:
        """Units that are promised to nobody."""
        return self.on_hand - self.reserved - self.allocated


class Waiting(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A place in the line: a reservation and the units of this SKU that it wants in all."""

    reservation_id: str
    order_id: str
    quantity: int


class Stock(msgspec.Struct, frozen=True, array_like=True):
    """State of ``stock-<sku>``. ``waiting`` is in order of arrival; ``waiting_units`` is the sum
    of what it wants.
    """

    registered: bool = False
    description: str = ""
    levels: dict[str, Level] = {}
    waiting: tuple[Waiting, ...] = ()
    waiting_units: int = 0

    @property
    def free(self) -> int:
        """Units at all locations that are promised to nobody. Those who wait have the first
        claim on them.
        """
        free = 0
        for level in self.levels.values():
            free += level.on_hand - level.reserved - level.allocated
        return free

    @property
    def available(self) -> int:
        """Units that a newcomer may have: free, and not claimed by anybody who waits. 0 at
        least.
        """
        return max(0, self.free - self.waiting_units)

    def covers(self, reservation_id: str) -> bool:
        """Whether the free units reach, first in first out, as far as this reservation's place
        in the line.
        """
        free = self.free
        for place in self.waiting:
            free -= place.quantity
            if free < 0:
                return False
            if place.reservation_id == reservation_id:
                return True
        return False


NOTHING_THERE = Level()


def initial() -> Stock:
    """A SKU that nobody has heard of."""
    return Stock()


def evolve(stock: Stock, event: StockEvents) -> Stock:
    """The stock after one event."""
    match event:
        case UnitsReserved():
            return _move(stock, event.units, 0, 1, 0)
        case UnitsAllocated():
            return _move(stock, event.units, 0, -1, 1)
        case UnitsShipped():
            return _move(stock, event.units, -1, 0, -1)
        case UnitsReleased(committed=committed):
            return _move(stock, event.units, 0, -(not committed), -committed)
        case StockReceived() | StockRestocked() | StockAdjusted():
            return _count(stock, event.location, event.quantity)
        case BackorderQueued():
            place = Waiting(event.reservation_id, event.order_id, event.quantity)
            return _wait(stock, (*stock.waiting, place), event.quantity)
        case BackorderLeft():
            rest = tuple(w for w in stock.waiting if w.reservation_id != event.reservation_id)
            return _wait(stock, rest, -event.quantity)
        case ItemRegistered():
            return msgspec.structs.replace(stock, registered=True, description=event.description)
        case _:
            assert_never(event)


def _move(
    stock: Stock, units: tuple[StockLine, ...], on_hand: int, reserved: int, allocated: int
) -> Stock:
    """Add the units to each kind of quantity, times its sign."""
    levels = stock.levels.copy()
    for unit in units:
        level = levels.get(unit.location, NOTHING_THERE)
        n = unit.quantity
        levels[unit.location] = Level(
            level.on_hand + on_hand * n,
            level.reserved + reserved * n,
            level.allocated + allocated * n,
        )
    return Stock(stock.registered, stock.description, levels, stock.waiting, stock.waiting_units)


def _count(stock: Stock, location: str, quantity: int) -> Stock:
    level = stock.levels.get(location, NOTHING_THERE)
    counted = Level(level.on_hand + quantity, level.reserved, level.allocated)
    return msgspec.structs.replace(stock, levels=stock.levels | {location: counted})


def _wait(stock: Stock, waiting: tuple[Waiting, ...], units: int) -> Stock:
    waiting_units = stock.waiting_units + units
    return msgspec.structs.replace(stock, waiting=waiting, waiting_units=waiting_units)


def guard(stock: Stock) -> int:
    """The least that is free anywhere: the database refuses to see it negative."""
    return min([level.free for level in stock.levels.values()], default=0)


def react(stock: Stock, event: StockEvents, context: Context) -> Items:
    """Wake the waiting reservations that this event has just brought into reach, in their order.

    Only those: who was in reach before has been woken before, and whatever else it lacks will wake
    it again. Waking all that are in reach each time would cost n² for a line of n.
    """
    if not stock.waiting:
        return []
    match event:
        case StockReceived() | StockRestocked() | StockAdjusted():
            freed = event.quantity
        case UnitsReleased():
            freed = sum([unit.quantity for unit in event.units])
        case BackorderLeft(filled=False):
            freed = event.quantity
        case _:
            return []
    return [_wake(place, context) for place in _come_into_reach(stock, freed)]


def _come_into_reach(stock: Stock, freed: int) -> list[Waiting]:
    """Places that the free units reach now, and did not reach with ``freed`` units fewer."""
    free = stock.free
    places: list[Waiting] = []
    wanted = 0
    for place in stock.waiting:
        wanted += place.quantity
        if wanted > free:
            break
        if wanted > free - freed:
            places.append(place)
    return places


def _wake(place: Waiting, context: Context) -> StartTimer:
    message = WakeBackorder(reservation_id=place.reservation_id, order_id=place.order_id)
    return StartTimer(name=WAKE_TIMER, due_at=context.now, message=message)
