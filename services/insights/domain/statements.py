"""What there is to say, given the figures and what was said before: pure, so it can be asked again at any time."""

from collections.abc import Iterable, Mapping

from services.insights.domain.cover import Cover, is_low
from services.insights.domain.silence import Activity, ChannelState, silent_after_seconds, state
from services.insights.domain.windows import Size, moment
from shared.events.insights import (
    ChannelResumed,
    ChannelSilent,
    SalesWindowClosed,
    SkuSales,
    StockCoverLow,
    StockCoverRestored,
)

#: SKU, channel, currency, units, revenue in minor units.
SaleRow = tuple[str, str, str, int, int]


def closed_window(
    size: Size,
    start: int,
    sales: Iterable[SaleRow],
    orders: Mapping[tuple[str, str], int],
    said: Mapping[tuple[str, str], int],
) -> list[SalesWindowClosed]:
    """A statement for each channel and currency of a window that is over, where its orders are not those said."""
    by_pair: dict[tuple[str, str], list[SkuSales]] = {}
    for sku, channel, currency, units, revenue in sales:
        by_pair.setdefault((channel, currency), []).append(
            SkuSales(sku=sku, units=units, revenue=revenue)
        )
    return [
        SalesWindowClosed(
            window=size.value,
            start=moment(start),
            end=moment(start + size.seconds),
            channel=channel,
            currency=currency,
            orders=count,
            units=sum(s.units for s in by_pair.get((channel, currency), ())),
            revenue=sum(s.revenue for s in by_pair.get((channel, currency), ())),
            skus=tuple(by_pair.get((channel, currency), ())),
        )
        for (channel, currency), count in sorted(orders.items())
        if said.get((channel, currency)) != count
    ]


def channel_statements(
    activity: Mapping[str, Activity], silent: Mapping[str, int], now: int
) -> tuple[list[ChannelSilent | ChannelResumed], dict[str, int]]:
    """What changed, and the channels that are silent now with the second of their last order; ``silent`` is before."""
    out: list[ChannelSilent | ChannelResumed] = []
    after = dict(silent)
    for channel, a in activity.items():
        since = silent.get(channel)
        limit = silent_after_seconds(a)
        if since is None:
            if state(a, now) is ChannelState.SILENT and limit is not None:
                after[channel] = a.last_second
                out.append(
                    ChannelSilent(
                        channel=channel, last_order_at=moment(a.last_second), orders=a.orders,
                        period_seconds=a.period_seconds, limit_seconds=limit,
                    )
                )  # fmt: skip
        elif a.last_second > since:
            del after[channel]
            out.append(
                ChannelResumed(
                    channel=channel, silent_since=moment(since), order_at=moment(a.last_second)
                )
            )
    return out, after


def cover_statements(
    covers: Iterable[Cover], low: Iterable[str]
) -> tuple[list[StockCoverLow | StockCoverRestored], set[str]]:
    """What changed, and the SKUs that are low now; ``low`` is before."""
    out: list[StockCoverLow | StockCoverRestored] = []
    before = set(low)
    after = set(before)
    for c in covers:
        is_now = is_low(c, c.sku in before)
        if is_now == (c.sku in before):
            continue
        made = StockCoverLow if is_now else StockCoverRestored
        out.append(
            made(sku=c.sku, available=c.available, sold=c.sold, period_seconds=c.period_seconds)
        )
        (after.add if is_now else after.discard)(c.sku)
    return out, after


def statement_id(event: object) -> str:
    """The same for the same statement, whoever makes it and however often."""
    match event:
        case SalesWindowClosed():
            start = event.start.isoformat()
            return f"window/{event.window}/{start}/{event.channel}/{event.currency}/{event.orders}"
        case ChannelSilent():
            return f"silent/{event.channel}/{event.last_order_at.isoformat()}"
        case ChannelResumed():
            return f"resumed/{event.channel}/{event.silent_since.isoformat()}"
        case StockCoverLow():
            return f"low/{event.sku}/{event.available}/{event.sold}/{event.period_seconds}"
        case StockCoverRestored():
            return f"restored/{event.sku}/{event.available}/{event.sold}/{event.period_seconds}"
        case _:
            raise TypeError(f"{event!r} is no statement of the insights")
