"""What the dashboard shows, gathered from the figures."""

from datetime import datetime
from typing import Any, NamedTuple

from services.insights.api import ChannelRow, CoverRow, channel_rows, cover_row
from services.insights.domain.windows import Size, moment
from services.insights.figures import Figures

MINUTES, HOURS, BEST, COVER = 60, 24, 10, 10


class Dashboard(NamedTuple):
    """``minutes`` has orders by channel, ``hours`` revenue by channel in ``currency`` (the one that sells most), minor
    units; both oldest first. ``best`` is SKU, currency, units, revenue of the day."""

    newest: int
    as_of: datetime
    behind: int
    skipped: int
    orders_hour: int
    orders_day: int
    units_day: int
    revenue_day: dict[str, int]
    currency: str
    channels: list[ChannelRow]
    minutes: list[tuple[datetime, dict[str, int]]]
    hours: list[tuple[datetime, dict[str, int]]]
    best: list[tuple[str, str, int, int]]
    cover: list[CoverRow]


def gather(figures: Figures, lag: dict[Any, int], now: datetime) -> Dashboard:
    """The figures as they stand: the last hour, day and today are those of the newest event."""
    newest = figures.newest()
    today = newest - newest % Size.DAY.seconds
    revenue: dict[str, int] = {}
    best: dict[tuple[str, str], list[int]] = {}
    for s in figures.sales(Size.DAY, today):
        revenue[s.currency] = revenue.get(s.currency, 0) + s.revenue
        held = best.setdefault((s.sku, s.currency), [0, 0])
        held[0] += s.units
        held[1] += s.revenue
    minutes = orders_by_minute(figures)
    currency, hours = revenue_by_hour(figures)
    covers = [row for row in map(cover_row, figures.cover()) if row.days is not None]
    return Dashboard(
        newest=newest,
        as_of=moment(newest),
        behind=sum(lag.values()),
        skipped=sum(read.progress.skipped for read in figures.progress()),
        orders_hour=sum(sum(by.values()) for _, by in minutes),
        orders_day=sum(figures.orders(Size.DAY, today).values()),
        units_day=sum(units for units, _ in best.values()),
        revenue_day=dict(sorted(revenue.items(), key=lambda x: -x[1])),
        currency=currency,
        channels=channel_rows(figures, now),
        minutes=minutes,
        hours=hours,
        best=[
            (sku, money, units, amount)
            for (sku, money), (units, amount) in sorted(best.items(), key=lambda x: -x[1][0])[:BEST]
        ],
        cover=sorted(covers, key=lambda row: (row.days, row.sku))[:COVER],
    )


def orders_by_minute(figures: Figures) -> list[tuple[datetime, dict[str, int]]]:
    """Orders by channel in each of the last sixty minutes, also those without any."""
    last = figures.newest() - figures.newest() % 60
    starts = range(last - (MINUTES - 1) * 60, last + 1, 60)
    return [(moment(s), figures.by_channel(Size.MINUTE, s)) for s in starts]


def revenue_by_hour(figures: Figures) -> tuple[str, list[tuple[datetime, dict[str, int]]]]:
    """The currency that sold most in the last day, and its revenue by channel in each hour."""
    last = figures.newest() - figures.newest() % 3600
    by_currency: dict[str, dict[int, dict[str, int]]] = {}
    for start in range(last - (HOURS - 1) * 3600, last + 1, 3600):
        for s in figures.sales(Size.HOUR, start):
            by = by_currency.setdefault(s.currency, {}).setdefault(start, {})
            by[s.channel] = by.get(s.channel, 0) + s.revenue
    if not by_currency:
        return "", []
    totals = {c: sum(sum(by.values()) for by in h.values()) for c, h in by_currency.items()}
    currency = max(sorted(totals), key=totals.__getitem__)
    return currency, [(moment(s), by) for s, by in sorted(by_currency[currency].items())]
