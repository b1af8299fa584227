"""Physical stock: items made known, goods received, counts corrected, returns put back. A
movement counts once.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from services.inventory.domain.limits import (
    LINES_MAX,
    LOCATIONS_MAX,
    NAME_MAX,
    ON_HAND_MAX,
    QUANTITY_MAX,
)
from services.inventory.domain.stock import NOTHING_THERE, Stock
from shared.events import Context, Event, Items, Refused, States, StockLine
from shared.events.inventory import (
    AdjustStock,
    ItemRegistered,
    MovementRecorded,
    ReceiveStock,
    RegisterItem,
    RestockItems,
    StockAdjusted,
    StockCommand,
    StockReceived,
    StockRestocked,
)

DESCRIPTION_MAX = 500


class Movement(msgspec.Struct, frozen=True, array_like=True):
    """State of ``movement-<movement_id>``: used for what, or (empty ``kind``) free."""

    kind: str = ""
    lines: tuple[StockLine, ...] = ()


def initial() -> Movement:
    """An id that nobody has used."""
    return Movement()


def evolve(_: Movement, event: MovementRecorded) -> Movement:
    """The movement after its only event."""
    return Movement(event.kind, event.lines)


def register(stock: Stock, m: RegisterItem, _: Context) -> Items:
    """Make a SKU known, or give it a description."""
    problem = _check_name(m.sku, "a SKU")
    if problem or len(m.description) > DESCRIPTION_MAX:
        detail = problem or f"the description is longer than {DESCRIPTION_MAX} characters"
        return [Refused(code="invalid", detail=detail)]
    if stock.registered and m.description in ("", stock.description):
        return []
    return [ItemRegistered(sku=m.sku, description=m.description)]


def receive(states: States, m: ReceiveStock, _: Context) -> Items:
    """Goods arrived. The first receipt of a SKU makes it known."""

    def received(line: StockLine) -> Event:
        return StockReceived(
            sku=line.sku,
            location=line.location,
            quantity=line.quantity,
            movement_id=m.movement_id,
            reference=m.reference,
        )

    return _move(states, m, "receive", received)


def adjust(states: States, m: AdjustStock, context: Context) -> Items:
    """A person corrects the count; what is promised stays promised."""

    def adjusted(line: StockLine) -> Event:
        return StockAdjusted(
            sku=line.sku,
            location=line.location,
            quantity=line.quantity,
            movement_id=m.movement_id,
            reason=m.reason,
            actor=m.actor or context.actor,
        )

    return _move(states, m, "adjust", adjusted)


def restock(states: States, m: RestockItems, _: Context) -> Items:
    """Inspected returns are sellable again."""

    def restocked(line: StockLine) -> Event:
        return StockRestocked(
            sku=line.sku,
            location=line.location,
            quantity=line.quantity,
            movement_id=m.movement_id,
            return_id=m.return_id,
            order_id=m.order_id,
        )

    return _move(states, m, "restock", restocked)


Kind = Literal["receive", "adjust", "restock"]


def _move(
    states: States, m: StockCommand, kind: Kind, event: Callable[[StockLine], Event]
) -> Items:
    """All lines or none, once; the same id with other contents is refused."""
    used: Movement = states[m.subject]
    if used.kind:
        if (used.kind, used.lines) == (kind, m.lines):
            return []
        detail = (
            f"movement {m.movement_id!r} was already used for another {used.kind}: use a new id"
        )
        return [Refused(code="movement_reused", detail=detail)]
    refused = _check_lines(m.lines, signed=kind == "adjust") or _check_levels(states, m, kind)
    if refused is not None:
        return [refused]
    items: Items = [MovementRecorded(movement_id=m.movement_id, kind=kind, lines=m.lines)]
    for sku in dict.fromkeys(line.sku for line in m.lines):
        if not states[f"stock-{sku}"].registered:
            items.append(ItemRegistered(sku=sku, description=""))
    items.extend(map(event, _summed(m.lines)))
    return items


def _summed(lines: Sequence[StockLine]) -> list[StockLine]:
    """One line for each SKU and location: a return of twenty lines of a SKU restocks it once."""
    quantities: dict[tuple[str, str], int] = {}
    for line in lines:
        place = (line.sku, line.location)
        quantities[place] = quantities.get(place, 0) + line.quantity
    return [
        StockLine(sku=sku, location=location, quantity=quantity)
        for (sku, location), quantity in quantities.items()
        if quantity
    ]


def _check_name(name: str, what: str) -> str:
    return "" if 0 < len(name) <= NAME_MAX else f"{what} must have 1 to {NAME_MAX} characters"


def _check_lines(lines: Sequence[StockLine], *, signed: bool) -> Refused | None:
    """What is wrong with the request itself."""
    if not 0 < len(lines) <= LINES_MAX:
        return Refused(code="invalid", detail=f"a movement has 1 to {LINES_MAX} lines")
    for i, line in enumerate(lines):
        problem = _check_name(line.sku, "a SKU") or _check_name(line.location, "a location")
        low = -QUANTITY_MAX if signed else 1
        if not low <= line.quantity <= QUANTITY_MAX or line.quantity == 0:
            problem = f"quantity {line.quantity} is not in {low} to {QUANTITY_MAX} (and not 0)"
        if problem:
            return Refused(code="invalid", detail=f"lines[{i}]: {problem}")
    return None


def _check_levels(states: States, m: StockCommand, kind: Kind) -> Refused | None:
    """Whether every line leaves a possible level, one after the other: lines may share a SKU and
    location.
    """
    changed: dict[tuple[str, str], int] = {}
    places: dict[str, set[str]] = {}
    for i, line in enumerate(m.lines):
        stock: Stock = states[f"stock-{line.sku}"]
        at = f"lines[{i}]: {line.sku!r} at {line.location!r}"
        if kind != "receive" and not stock.registered:
            return Refused(code="unknown_sku", detail=f"{at}: register or receive the SKU first")
        level = stock.levels.get(line.location, NOTHING_THERE)
        here = (line.sku, line.location)
        changed[here] = changed.get(here, 0) + line.quantity
        on_hand = level.on_hand + changed[here]
        promised = level.reserved + level.allocated
        if on_hand < promised:
            detail = f"{at}: {on_hand} would be left, {promised} are promised; release these first"
            return Refused(code="below_promised", detail=detail)
        if on_hand > ON_HAND_MAX:
            return Refused(code="too_much", detail=f"{at}: more than {ON_HAND_MAX} units")
        known = places.setdefault(line.sku, set(stock.levels))
        known.add(line.location)
        if len(known) > LOCATIONS_MAX:
            return Refused(
                code="too_many_locations", detail=f"{at}: {LOCATIONS_MAX} hold it already"
            )
    return None
