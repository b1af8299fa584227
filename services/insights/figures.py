"""What is asked for, computed from the cells: sales of windows, channels' activity, stock cover, progress."""

from collections.abc import Iterator
from typing import NamedTuple

from services.insights.domain.cells import ORDERS, READ, SALES, SHARDS, STOCK, Key, Progress, parts
from services.insights.domain.cover import DEMAND_SECONDS, Cover, period_seconds
from services.insights.domain.silence import RATE_SECONDS, Activity
from services.insights.domain.windows import Size
from services.insights.state import State

#: The topics that are read, by the kind of event in them.
TOPICS = ("oms.order.events", "oms.inventory.events")

_DAY = Size.DAY.seconds


class Sale(NamedTuple):
    """Units of a SKU sold on a channel in one currency, and their price in minor units."""

    sku: str
    channel: str
    currency: str
    units: int
    revenue: int


class Read(NamedTuple):
    """How far one partition is read."""

    topic: str
    partition: int
    progress: Progress


class Figures:
    """See the module. All sums are over all partitions."""

    def __init__(self, state: State) -> None:
        self.state = state

    def progress(self) -> list[Read]:
        """Every partition of every topic, read or not."""
        return [
            Read(topic, p, self.state.get(Key(READ, p, shard=topic)) or Progress())
            for topic in TOPICS
            for p in range(self.state.partitions)
        ]

    def newest(self) -> int:
        """The newest business second of any event: where time stands. 0 before the first."""
        return max(read.progress.newest for read in self.progress())

    def oldest(self, size: Size) -> int | None:
        """The oldest start of which all partitions still keep the cells; None when all are kept."""
        return size.oldest(self.newest())

    def starts(self, size: Size, since: int | None = None, until: int | None = None) -> list[int]:
        """Starts of complete windows with sales, in order; ``since`` inclusive, ``until`` exclusive."""
        oldest = self.oldest(size)
        return [
            s
            for s in self.state.starts(size)
            if (since is None or s >= since)
            and (until is None or s < until)
            and (oldest is None or s >= oldest)
        ]

    def sales(self, size: Size, start: int) -> list[Sale]:
        """What was sold in a window, by SKU, channel and currency."""
        sums: dict[str, list[int]] = {}
        for cell in self.state.cells(SALES, size, start):
            for key, (units, revenue) in cell.sums.items():
                held = sums.setdefault(key, [0, 0])
                held[0] += units
                held[1] += revenue
        return sorted(_sale(key, *held) for key, held in sums.items())

    def orders(self, size: Size, start: int) -> dict[tuple[str, str], int]:
        """Orders placed in a window, by channel and currency."""
        out: dict[tuple[str, str], int] = {}
        for cell in self.state.cells(ORDERS, size, start):
            for key, (orders,) in cell.sums.items():
                channel, currency = parts(key)
                out[channel, currency] = out.get((channel, currency), 0) + orders
        return out

    def by_channel(self, size: Size, start: int) -> dict[str, int]:
        """Orders placed in a window, by channel."""
        out: dict[str, int] = {}
        for (channel, _), orders in self.orders(size, start).items():
            out[channel] = out.get(channel, 0) + orders
        return out

    def activity(self) -> dict[str, Activity]:
        """Every channel that has sold: its last order (to the minute, or to the hour when that was hours ago), and its
        orders in the day before."""
        newest = self.newest()
        last: dict[str, int] = {}
        for size in (Size.MINUTE, Size.HOUR, Size.DAY):
            for start in reversed(self.starts(size)):
                for channel in self.by_channel(size, start):
                    last.setdefault(channel, min(start + size.seconds - 1, newest))
        hours = {start: self.by_channel(Size.HOUR, start) for start in self.starts(Size.HOUR)}
        return {
            channel: _activity(channel, second, hours) for channel, second in sorted(last.items())
        }

    def available(self) -> dict[str, int]:
        """Units that may still be promised, by SKU."""
        out: dict[str, int] = {}
        for p in range(self.state.partitions):
            for shard in range(SHARDS):
                cell = self.state.get(Key(STOCK, p, shard=str(shard)))
                for sku, (units,) in cell.sums.items() if cell else ():
                    out[sku] = out.get(sku, 0) + units
        return out

    def cover(self) -> list[Cover]:
        """Every SKU that has stock or sells, by SKU; demand is that of the last seven days."""
        newest = self.newest()
        days = self.starts(Size.DAY, newest - newest % _DAY - DEMAND_SECONDS + _DAY, newest + 1)
        sold: dict[str, int] = {}
        for sale in self._sold(days):
            sold[sale.sku] = sold.get(sale.sku, 0) + sale.units
        period = period_seconds(days[0] if days else None, newest)
        available = self.available()
        return [
            Cover(sku, available.get(sku, 0), sold.get(sku, 0), period)
            for sku in sorted(available.keys() | sold.keys())
        ]

    def _sold(self, days: list[int]) -> Iterator[Sale]:
        for start in days:
            yield from self.sales(Size.DAY, start)


def _sale(key: str, units: int, revenue: int) -> Sale:
    sku, channel, currency = parts(key)
    return Sale(sku, channel, currency, units, revenue)


def _activity(channel: str, last: int, hours: dict[int, dict[str, int]]) -> Activity:
    inside = {s: by for s, by in hours.items() if last - RATE_SECONDS < s <= last and channel in by}
    orders = sum(by[channel] for by in inside.values())
    return Activity(last, orders, last - min(inside) if inside else 0)
