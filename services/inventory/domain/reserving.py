"""Promising stock: at once, from the line of those who wait, or not at all."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Literal

from services.inventory.domain.limits import HOLD_SECONDS_MAX, LINES_MAX, QUANTITY_MAX, WAITING_MAX
from services.inventory.domain.messages import (
    ExpireReservation,
    FillBackorder,
    ReservationTimer,
    WakeBackorder,
)
from services.inventory.domain.reservation import Reservation, by_sku
from services.inventory.domain.sourcing import source
from services.inventory.domain.stock import Stock
from shared.events import Context, Event, Items, LineQuantity, StartTimer, States
from shared.events.inventory import (
    BackorderLeft,
    BackorderQueued,
    ReservationRejected,
    ReservationRequest,
    ReserveStock,
    StockBackordered,
    StockReserved,
    UnitsReserved,
)

EXPIRY_TIMER = "expire"
FILL_TIMER = "fill"


def reserve(states: States, m: ReserveStock, context: Context) -> Items:
    """Promise all lines or none. Decided once: a reservation id that is known, or was released
    before it was asked for, gets no second answer.
    """
    r: Reservation = states[m.subject]
    if r.status != "new":
        return []
    if not _valid(m):
        return [_rejected(m, "invalid", ())]
    wanted = _per_sku(m.lines)
    stocks: dict[str, Stock] = {sku: states[f"stock-{sku}"] for sku in wanted}
    unknown = [sku for sku, stock in stocks.items() if not stock.registered]
    if unknown:
        missing = tuple([line for line in m.lines if line.sku in unknown])
        return [_rejected(m, "unknown_sku", missing)]
    for sku, quantity in wanted.items():
        if stocks[sku].available < quantity:
            return _short(stocks, wanted, m)
    return _grant(stocks, wanted, m, context, lines=m.lines, hold_seconds=m.hold_seconds)


def wake(r: Reservation, m: WakeBackorder, context: Context) -> Items:
    """Ask for the stock streams of everything that a waiting reservation wants: the SKU that
    woke it knows only itself.
    """
    if r.status != "backordered":
        return []
    fill = FillBackorder(
        reservation_id=m.reservation_id, order_id=r.order_id, skus=tuple(_per_sku(r.lines))
    )
    return [StartTimer(name=FILL_TIMER, due_at=context.now, message=fill)]


def fill(states: States, m: FillBackorder, context: Context) -> Items:
    """Grant a waiting reservation when each SKU's free units reach its place in the line; else
    it keeps its place.
    """
    r: Reservation = states[m.subject]
    if r.status != "backordered":
        return []
    wanted = _per_sku(r.lines)
    stocks: dict[str, Stock] = {sku: states[f"stock-{sku}"] for sku in wanted}
    for stock in stocks.values():
        if not stock.covers(m.reservation_id):
            return []
    items = _grant(stocks, wanted, m, context, lines=r.lines, hold_seconds=r.hold_seconds)
    return items + leave_lines(m.reservation_id, r.lines, filled=True)


def leave_lines(reservation_id: str, lines: Sequence[LineQuantity], *, filled: bool) -> Items:
    """A reservation's places in the lines of all its SKUs become free."""
    return [
        BackorderLeft(sku=sku, reservation_id=reservation_id, quantity=quantity, filled=filled)
        for sku, quantity in _per_sku(lines).items()
    ]


def _valid(m: ReserveStock) -> bool:
    lines = m.lines
    if not (0 < len(lines) <= LINES_MAX and 0 < m.hold_seconds <= HOLD_SECONDS_MAX):
        return False
    for line in lines:
        if not 0 < line.quantity <= QUANTITY_MAX:
            return False
    return len({line.line_id for line in lines}) == len(lines)


def _per_sku(lines: Iterable[LineQuantity]) -> dict[str, int]:
    """Several lines may want the same SKU: they are decided together, or each would be granted
    the last unit.
    """
    wanted: dict[str, int] = {}
    for line in lines:
        wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
    return wanted


def _grant(
    stocks: dict[str, Stock],
    wanted: dict[str, int],
    m: ReservationRequest | ReservationTimer,
    context: Context,
    *,
    lines: Sequence[LineQuantity],
    hold_seconds: int,
) -> Items:
    levels = {sku: stock.levels for sku, stock in stocks.items()}
    allocations = source(lines, wanted, levels)
    expires_at = context.now + timedelta(seconds=hold_seconds)
    id, order_id = m.reservation_id, m.order_id
    items: Items = [
        StockReserved(
            reservation_id=id, order_id=order_id, allocations=allocations, expires_at=expires_at
        )
    ]
    for sku, units in by_sku(allocations).items():
        items.append(UnitsReserved(sku=sku, reservation_id=id, units=units))
    expire = ExpireReservation(reservation_id=id, order_id=order_id, skus=tuple(wanted))
    items.append(StartTimer(name=EXPIRY_TIMER, due_at=expires_at, message=expire))
    return items


def _short(stocks: dict[str, Stock], wanted: dict[str, int], m: ReserveStock) -> Items:
    line_is_full = any(len(stock.waiting) >= WAITING_MAX for stock in stocks.values())
    if m.backorder == "refuse" or line_is_full:
        return [_rejected(m, "out_of_stock", _shortages(stocks, m.lines))]
    items: Items = [
        StockBackordered(
            reservation_id=m.reservation_id,
            order_id=m.order_id,
            lines=m.lines,
            hold_seconds=m.hold_seconds,
        )
    ]
    lines: dict[str, list[LineQuantity]] = {sku: [] for sku in wanted}
    for line in m.lines:
        lines[line.sku].append(line)
    for sku, quantity in wanted.items():
        items.append(
            BackorderQueued(
                sku=sku,
                reservation_id=m.reservation_id,
                order_id=m.order_id,
                quantity=quantity,
                lines=tuple(lines[sku]),
            )
        )
    return items


def _shortages(stocks: dict[str, Stock], lines: Sequence[LineQuantity]) -> tuple[LineQuantity, ...]:
    """What each line lacks when the lines are served in their order."""
    left = {sku: stock.available for sku, stock in stocks.items()}
    missing: list[LineQuantity] = []
    for line in lines:
        served = min(line.quantity, left[line.sku])
        left[line.sku] -= served
        if served < line.quantity:
            lack = line.quantity - served
            missing.append(LineQuantity(line_id=line.line_id, sku=line.sku, quantity=lack))
    return tuple(missing)


def _rejected(
    m: ReserveStock,
    reason: Literal["out_of_stock", "unknown_sku", "invalid"],
    shortages: tuple[LineQuantity, ...],
) -> Event:
    return ReservationRejected(
        reservation_id=m.reservation_id, order_id=m.order_id, reason=reason, shortages=shortages
    )
