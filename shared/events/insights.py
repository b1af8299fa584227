"""The insights service's language: windows that closed, channels that fell silent, stock that runs low.

These follow from other services' events and can be derived again. They carry no feed position; ``ce_id`` names what is
said, so the same statement made twice has the same id.
"""

from datetime import datetime
from typing import Literal

import msgspec

from shared.events.message import Event

#: How long a window is.
WindowSize = Literal["minute", "hour", "day"]


class SkuSales(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Units of one SKU and what they cost, in minor units of the window's currency."""

    sku: str
    units: int
    revenue: int


class SalesWindowClosed(
    Event, frozen=True, kw_only=True, tag="oms.insights.sales_window_closed.v1"
):
    """A window of business time is over: what one channel sold in it, in one currency.

    Said again, with higher ``orders``, when an order of that time arrives late: the last statement counts. ``revenue``
    is minor units, lines only. ``skus`` are sorted by SKU.
    """

    window: WindowSize
    start: datetime
    end: datetime
    channel: str
    currency: str
    orders: int
    units: int
    revenue: int
    skus: tuple[SkuSales, ...]

    @property
    def subject(self) -> str:
        return f"channel-{self.channel}"

    @property
    def key(self) -> str:
        return self.channel


class ChannelEvent(Event, frozen=True, kw_only=True):
    """Something about one sales channel."""

    channel: str

    @property
    def subject(self) -> str:
        return f"channel-{self.channel}"

    @property
    def key(self) -> str:
        return self.channel


class ChannelSilent(ChannelEvent, frozen=True, kw_only=True, tag="oms.insights.channel_silent.v1"):
    """No order since ``last_order_at``, for longer than the channel's rate explains: ``orders`` in the
    ``period_seconds`` before, silent after ``limit_seconds``."""

    last_order_at: datetime
    orders: int
    period_seconds: int
    limit_seconds: int


class ChannelResumed(
    ChannelEvent, frozen=True, kw_only=True, tag="oms.insights.channel_resumed.v1"
):
    """A silent channel sells again; ``silent_since`` was its last order before."""

    silent_since: datetime
    order_at: datetime


class CoverEvent(Event, frozen=True, kw_only=True):
    """Something about how long one SKU's stock lasts: ``available`` units, ``sold`` in ``period_seconds``."""

    sku: str
    available: int
    sold: int
    period_seconds: int

    @property
    def subject(self) -> str:
        return f"stock-{self.sku}"

    @property
    def key(self) -> str:
        return self.sku


class StockCoverLow(CoverEvent, frozen=True, kw_only=True, tag="oms.insights.stock_cover_low.v1"):
    """The available stock lasts less than three days at the present rate of sale."""


class StockCoverRestored(
    CoverEvent, frozen=True, kw_only=True, tag="oms.insights.stock_cover_restored.v1"
):
    """The available stock lasts four days or more again, or nothing sells."""
