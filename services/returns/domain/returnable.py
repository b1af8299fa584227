"""What may come back of one order: units shipped, less the units that returns have claimed."""

from datetime import datetime, timedelta
from typing import assert_never

import msgspec

from services.returns.domain.units import Key, tally
from shared.events import Context, Items, LineQuantity, StartTimer
from shared.events.order import OrderShipped
from shared.events.returns import (
    ItemsClaimed,
    ItemsReturnable,
    ItemsUnclaimed,
    RequestReturn,
    ReturnAwaited,
)

Happened = ItemsReturnable | ItemsClaimed | ItemsUnclaimed | ReturnAwaited

#: Returns of one order that wait for its packages.
AWAITED_MAX = 100


class ShippedLine(msgspec.Struct, frozen=True, array_like=True):
    """Units of a line that have left, of which some are claimed. ``shipped_at`` is their latest."""

    line_id: str
    sku: str
    shipped: int
    shipped_at: datetime
    claimed: int = 0

    @property
    def left(self) -> int:
        """Units that a return may still claim."""
        return self.shipped - self.claimed


class Returnable(msgspec.Struct, frozen=True, array_like=True):
    """One order's shipped lines, its packages already counted, open claims by return id, and the returns that wait for
    further packages."""

    lines: tuple[ShippedLine, ...] = ()
    packages: tuple[str, ...] = ()
    claims: dict[str, tuple[LineQuantity, ...]] = {}
    awaited: dict[str, ReturnAwaited] = {}


def initial() -> Returnable:
    """An order of which nothing is known to have left."""
    return Returnable()


def shipped(state: Returnable) -> dict[Key, int]:
    """Units by line that have left."""
    return {(line.line_id, line.sku): line.shipped for line in state.lines}


def left(state: Returnable) -> dict[Key, int]:
    """Units by line that a return may still claim."""
    return {(line.line_id, line.sku): line.left for line in state.lines}


def least_left(state: Returnable) -> int:
    """The fewest claimable units of any line; below zero a unit would come back twice."""
    return min((line.left for line in state.lines), default=0)


def within(state: Returnable, asked: dict[Key, int], now: datetime, window: timedelta) -> bool:
    """Whether every line asked for left no longer ago than the window, by its latest package."""
    return all(
        now - line.shipped_at <= window for line in state.lines if (line.line_id, line.sku) in asked
    )


def learn(state: Returnable, event: OrderShipped, context: Context) -> Items:
    """A package left; each package counts once. Returns that waited for it are decided again."""
    if event.package_id in state.packages:
        return []
    learned = ItemsReturnable(
        order_id=event.order_id,
        package_id=event.package_id,
        lines=event.lines,
        shipped_at=context.now,
    )
    return [learned, *(_again(waiting, context) for waiting in state.awaited.values())]


def _again(waiting: ReturnAwaited, context: Context) -> StartTimer:
    request = RequestReturn(
        return_id=waiting.return_id,
        order_id=waiting.order_id,
        lines=waiting.lines,
        actor=waiting.actor,
    )
    return StartTimer(name="request", due_at=context.now, message=request)


def evolve(state: Returnable, event: Happened) -> Returnable:
    """The state after one more event."""
    match event:
        case ItemsReturnable():
            return msgspec.structs.replace(
                state,
                lines=_shipped(state.lines, tally(event.lines), event.shipped_at),
                packages=(*state.packages, event.package_id),
            )
        case ItemsClaimed():
            return msgspec.structs.replace(
                state,
                lines=_claimed(state.lines, tally(event.lines)),
                claims={**state.claims, event.return_id: event.lines},
                awaited={id: x for id, x in state.awaited.items() if id != event.return_id},
            )
        case ReturnAwaited():
            return msgspec.structs.replace(state, awaited={**state.awaited, event.return_id: event})
        case ItemsUnclaimed():
            given_up = {key: -quantity for key, quantity in tally(event.lines).items()}
            return msgspec.structs.replace(
                state,
                lines=_claimed(state.lines, given_up),
                claims=_reduced(state.claims, event.return_id, given_up),
            )
    assert_never(event)


def _shipped(
    lines: tuple[ShippedLine, ...], units: dict[Key, int], at: datetime
) -> tuple[ShippedLine, ...]:
    grown = [
        msgspec.structs.replace(
            line, shipped=line.shipped + more, shipped_at=max(line.shipped_at, at)
        )
        if (more := units.pop((line.line_id, line.sku), 0))
        else line
        for line in lines
    ]
    return (*grown, *(ShippedLine(*key, shipped=n, shipped_at=at) for key, n in units.items()))


def _claimed(lines: tuple[ShippedLine, ...], units: dict[Key, int]) -> tuple[ShippedLine, ...]:
    return tuple(
        msgspec.structs.replace(line, claimed=line.claimed + units.get((line.line_id, line.sku), 0))
        for line in lines
    )


def _reduced(
    claims: dict[str, tuple[LineQuantity, ...]], return_id: str, change: dict[Key, int]
) -> dict[str, tuple[LineQuantity, ...]]:
    """The claims after one return gave up units; a claim of nothing is forgotten."""
    kept = tuple(
        msgspec.structs.replace(x, quantity=x.quantity + change.get((x.line_id, x.sku), 0))
        for x in claims[return_id]
    )
    kept = tuple(x for x in kept if x.quantity)
    others = {key: lines for key, lines in claims.items() if key != return_id}
    return {**others, return_id: kept} if kept else others
