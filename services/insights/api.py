"""The figures over HTTP, as JSON."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from aiokafka.errors import KafkaError
from fastapi import APIRouter, Depends, Query, Response

from services.insights.domain import cover, silence
from services.insights.domain.windows import EPOCH, Size, moment
from services.insights.figures import Figures, Sale
from services.insights.insights import Insights
from services.insights.topics import NotReady
from shared.service import Principal, Problem, Role, Timestamp, require, router
from shared.service.answers import answer, encoded
from shared.service.pagination import Cursor, Limit, decode_cursor, encode_cursor, link_header

#: Who may look at what the house sells. Not the channels: each would see the others'.
READERS = (Role.AGENT, Role.OPS, Role.AUDITOR)

Reader = Annotated[Principal, Depends(require(*READERS))]
Operator = Annotated[Principal, Depends(require(Role.OPS))]
Asked = Annotated[str, Query(max_length=200)]
SizeName = Literal["minute", "hour", "day"]


class SalesRow(msgspec.Struct, frozen=True):
    """What one channel sold of one SKU in one window; ``revenue`` is minor units of ``currency``, lines only."""

    window: str
    start: datetime
    end: datetime
    sku: str
    channel: str
    currency: str
    units: int
    revenue: int


class SalesPage(msgspec.Struct, frozen=True):
    """A page of sales, oldest window first; ``next`` is the cursor of the page after it."""

    items: list[SalesRow]
    next: str | None


class ChannelRow(msgspec.Struct, frozen=True):
    """A channel. ``state`` is selling, silent or quiet (too few orders to tell, or away for a week)."""

    channel: str
    state: str
    last_order_at: datetime
    orders: int
    period_seconds: int
    orders_per_hour: float
    silent_after_seconds: int | None


class Channels(msgspec.Struct, frozen=True):
    """Every channel that has sold."""

    as_of: datetime
    items: list[ChannelRow]


class CoverRow(msgspec.Struct, frozen=True):
    """For how many ``days`` a SKU's stock lasts: ``available`` by ``daily_rate``; null when nothing sells."""

    sku: str
    available: int
    sold: int
    period_seconds: int
    daily_rate: float
    days: float | None
    low: bool


class CoverPage(msgspec.Struct, frozen=True):
    """A page of SKUs, by name; ``as_of`` is the newest business time that was read."""

    as_of: datetime
    items: list[CoverRow]
    next: str | None


class PartitionRow(msgspec.Struct, frozen=True):
    """How far one partition was read. ``lag`` is null where another worker reads it."""

    topic: str
    partition: int
    offset: int
    sequence: int
    records: int
    skipped: int
    gaps: int
    lag: int | None


class ProgressView(msgspec.Struct, frozen=True):
    """The version in use, and how far it has read."""

    version: int
    partitions: list[PartitionRow]


class Version(msgspec.Struct, frozen=True):
    """The version that is being built."""

    version: int


def routes(insights: Insights) -> APIRouter:
    """The JSON API."""
    r = router(tags=["insights"])
    _sales_routes(r, insights)
    _shop_routes(r, insights)
    _operator_routes(r, insights)
    return r


def figures_of(insights: Insights) -> Figures:
    """The figures; raises `Problem` 503 while there are none."""
    if insights.figures is None:
        raise Problem(503, "starting", "The insights are starting", retry_after_s=1)
    return insights.figures


def rows(figures: Figures, size: Size, starts: list[int]) -> Iterator[SalesRow]:
    """Sales of windows, as they are shown."""
    for start in starts:
        begins, ends = moment(start), moment(start + size.seconds)
        for s in figures.sales(size, start):
            yield SalesRow(str(size), begins, ends, *s)


def channel_rows(figures: Figures, now: datetime) -> list[ChannelRow]:
    """Every channel and what it does ``now``."""
    return [
        ChannelRow(
            channel,
            str(silence.state(a, _second(now))),
            moment(a.last_second),
            a.orders,
            a.period_seconds,
            round(a.per_hour, 2),
            silence.silent_after_seconds(a),
        )
        for channel, a in figures.activity().items()
    ]


def cover_row(c: cover.Cover) -> CoverRow:
    """A SKU's cover, as it is shown."""
    days = None if c.days is None else round(c.days, 2)
    low = cover.is_low(c, was_low=False)
    return CoverRow(c.sku, c.available, c.sold, c.period_seconds, round(c.daily_rate, 2), days, low)


def _second(at: datetime) -> int:
    return int((at - EPOCH).total_seconds())


def _sales_routes(r: APIRouter, insights: Insights) -> None:
    @r.get("/sales", response_class=Response, responses=answer(SalesPage, "Oldest first"))
    async def sales(
        *,
        who: Reader,
        window: SizeName = "day",
        since: Annotated[Timestamp | None, Query(description="First window, inclusive")] = None,
        until: Annotated[Timestamp | None, Query(description="Last window, exclusive")] = None,
        sku: Asked = "",
        channel: Asked = "",
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Response:
        """Units and revenue by SKU, channel and currency in windows of business time. Minutes are kept for three hours,
        hours for eight days behind the newest order, days for ever."""
        figures, size = figures_of(insights), Size(window)
        first = None if since is None else size.start(since)
        after = None if cursor is None else tuple(decode_cursor(cursor, int, str, str, str))
        if after is not None and isinstance(after[0], int):
            first = after[0] if first is None else max(first, after[0])
        starts = figures.starts(size, first, None if until is None else _second(until))
        page, following = _page(figures, size, starts, after, sku, channel, limit)
        asked: dict[str, str | int] = {"window": window, "sku": sku, "channel": channel}
        asked |= {n: v.isoformat() for n, v in (("since", since), ("until", until)) if v}
        kept = {n: v for n, v in asked.items() if v} | {"limit": limit}
        link = link_header("/sales", next_cursor=following, parameters=kept)
        return encoded(SalesPage(page, following), {"link": link})


def _page(
    figures: Figures,
    size: Size,
    starts: list[int],
    after: tuple[Any, ...] | None,
    sku: str,
    channel: str,
    limit: int,
) -> tuple[list[SalesRow], str | None]:
    out: list[SalesRow] = []
    last: tuple[int, Sale] | None = None
    for start in starts:
        for s in figures.sales(size, start):
            if (sku and s.sku != sku) or (channel and s.channel != channel):
                continue
            if after is not None and (start, s.sku, s.channel, s.currency) <= after:
                continue
            if len(out) == limit and last is not None:
                at, sale = last
                return out, encode_cursor(at, sale.sku, sale.channel, sale.currency)
            out.append(SalesRow(str(size), moment(start), moment(start + size.seconds), *s))
            last = (start, s)
    return out, None


def _shop_routes(r: APIRouter, insights: Insights) -> None:
    @r.get("/channels", response_class=Response, responses=answer(Channels, "By channel"))
    async def channels(who: Reader) -> Response:
        """Order rates of the channels, and which have fallen silent."""
        figures, now = figures_of(insights), insights.clock()
        return encoded(Channels(moment(figures.newest()), channel_rows(figures, now)))

    @r.get("/stock-cover", response_class=Response, responses=answer(CoverPage, "By SKU"))
    async def stock_cover(
        who: Reader,
        sku: Asked = "",
        low: Annotated[bool, Query(description="Only SKUs that run low")] = False,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Response:
        """For how many days the stock of each SKU lasts: available units by the daily sales of the last seven days."""
        figures = figures_of(insights)
        after = "" if cursor is None else str(decode_cursor(cursor, str)[0])
        found = [
            row
            for row in map(cover_row, figures.cover())
            if row.sku > after and (not sku or row.sku == sku) and (row.low or not low)
        ]
        following = encode_cursor(found[limit - 1].sku) if len(found) > limit else None
        return encoded(CoverPage(moment(figures.newest()), found[:limit], following))


def _operator_routes(r: APIRouter, insights: Insights) -> None:
    @r.get(
        "/progress",
        response_class=Response,
        responses=answer(ProgressView, "By topic and partition"),
    )
    async def progress(who: Reader) -> Response:
        """How far every partition was read."""
        figures = figures_of(insights)
        assert insights.worker is not None
        found = [
            PartitionRow(
                topic, p, at.offset, at.sequence, at.records, at.skipped, at.gaps,
                insights.lag.get((topic, p)),
            )
            for topic, p, at in figures.progress()
        ]  # fmt: skip
        return encoded(ProgressView(insights.worker.version, found))

    @r.post(
        "/rebuild",
        status_code=202,
        response_class=Response,
        responses={202: {"description": "The version that is being built"}},
    )
    async def rebuild(who: Operator) -> Response:
        """Forget all figures and read the topics from their beginning. Until that is done the figures are incomplete;
        nothing is announced twice, for every statement's id says what it states."""
        if insights.worker is None:
            raise Problem(503, "starting", "The insights are starting", retry_after_s=1)
        try:
            async with asyncio.timeout(30):
                version = await insights.versions.create(insights.worker.version + 1)
        except (KafkaError, OSError, NotReady, TimeoutError) as error:
            raise Problem(
                503,
                "broker-away",
                "Kafka did not make the topic",
                detail=repr(error),
                retry_after_s=5,
            ) from error
        return encoded(Version(version), status=202)
