"""What an event adds to which cells.

A sale is what was ordered, at the business time of the order: demand, before refusals and cancellations. Revenue
is the lines' totals in minor units, without shipping, tax, fees and discounts. Stock is what may still be
promised: on hand less reserved and allocated.
"""

from collections import defaultdict
from datetime import UTC, datetime

from services.insights.domain.cells import ORDERS, SALES, STOCK, Key, Sums, name, shard_of
from services.insights.domain.windows import EPOCH, Size
from shared.events import Allocation, Message, OrderLine
from shared.events import inventory as i
from shared.events import order as o

#: Events that add something; others are only counted as read.
ADDING: tuple[type[Message], ...] = (
    o.OrderPlaced,
    i.StockReceived,
    i.StockAdjusted,
    i.StockRestocked,
    i.StockReserved,
    i.ReservationReleased,
    i.ReservationExpired,
)

Additions = dict[Key, Sums]


def second_of(event: Message, recorded: datetime) -> int:
    """The business second by which time moves on: an order's own, but never after it was recorded, so that one
    order dated 2099 does not end all windows before it."""
    at = min(_utc(event.placed_at), recorded) if isinstance(event, o.OrderPlaced) else recorded
    return int((at - EPOCH).total_seconds() // 1)


def additions(event: Message, partition: int, newest: int) -> Additions:
    """What the event adds, by cell. Windows that are no longer kept when time stands at ``newest`` get nothing."""
    match event:
        case o.OrderPlaced():
            return _sold(event, partition, newest)
        case i.StockReceived() | i.StockAdjusted() | i.StockRestocked():
            return _moved({event.sku: event.quantity}, partition)
        case i.StockReserved():
            return _moved(_units(event.allocations, -1), partition)
        case i.ReservationReleased() | i.ReservationExpired():
            return _moved(_units(event.allocations, 1), partition)
        case _:
            return {}


def _sold(order: o.OrderPlaced, partition: int, newest: int) -> Additions:
    at = _utc(order.placed_at)
    by_sku: dict[str, list[OrderLine]] = defaultdict(list)
    for line in order.lines:
        by_sku[line.sku].append(line)
    out: Additions = {}
    for size in Size:
        start = size.start(at)
        oldest = size.oldest(newest)
        if oldest is not None and start < oldest:
            continue
        orders = Key(ORDERS, partition, size, start)
        out[orders] = {name(order.channel, order.currency): [1]}
        for sku, lines in by_sku.items():
            sums = out.setdefault(Key(SALES, partition, size, start, shard_of(sku)), {})
            sums[name(sku, order.channel, order.currency)] = [
                sum(line.quantity for line in lines),
                sum(line.total for line in lines),
            ]
    return out


def _units(allocations: tuple[Allocation, ...], sign: int) -> dict[str, int]:
    units: dict[str, int] = defaultdict(int)
    for a in allocations:
        units[a.sku] += sign * a.quantity
    return units


def _moved(units: dict[str, int], partition: int) -> Additions:
    out: Additions = {}
    for sku, quantity in units.items():
        out.setdefault(Key(STOCK, partition, shard=shard_of(sku)), {})[sku] = [quantity]
    return out


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
