"""Silence, stock cover, and what is said of them: once, and again only when something changed."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from services.insights.domain.cover import Cover, is_low
from services.insights.domain.silence import (
    CLOSED_SECONDS,
    ORDERS_MIN,
    Activity,
    ChannelState,
    silent_after_seconds,
    state,
)
from services.insights.domain.statements import (
    channel_statements,
    closed_window,
    cover_statements,
    statement_id,
)
from services.insights.domain.windows import Size
from shared.events.insights import ChannelResumed, ChannelSilent, StockCoverLow, StockCoverRestored

LAST = 1_772_438_400


def test_a_busy_channel_is_silent_after_minutes_and_a_slow_one_after_hours() -> None:
    busy = Activity(LAST, orders=2400, period_seconds=86_400)
    slow = Activity(LAST, orders=24, period_seconds=86_400)
    assert silent_after_seconds(busy) == 332
    assert silent_after_seconds(slow) == 33_157
    assert state(busy, LAST + 331) is ChannelState.SELLING
    assert state(busy, LAST + 332) is ChannelState.SILENT
    assert state(slow, LAST + 3600) is ChannelState.SELLING


def test_few_orders_tell_nothing_and_a_week_away_is_closed() -> None:
    few = Activity(LAST, orders=ORDERS_MIN - 1, period_seconds=60)
    assert state(few, LAST + 3600) is ChannelState.QUIET
    many = Activity(LAST, orders=1000, period_seconds=86_400)
    assert state(many, LAST + CLOSED_SECONDS - 1) is ChannelState.SILENT
    assert state(many, LAST + CLOSED_SECONDS) is ChannelState.QUIET


def test_silence_is_said_once_and_so_is_its_end() -> None:
    activity = {"web": Activity(LAST, 2400, 86_400)}
    said, silent = channel_statements(activity, {}, LAST + 400)
    assert [type(e) for e in said] == [ChannelSilent]
    assert channel_statements(activity, silent, LAST + 900) == ([], silent)
    activity = {"web": Activity(LAST + 1000, 2400, 86_400)}
    said, silent = channel_statements(activity, silent, LAST + 1001)
    assert [type(e) for e in said] == [ChannelResumed]
    assert silent == {}


def test_cover_is_stock_by_daily_sales() -> None:
    assert Cover("TEA", available=30, sold=70, period_seconds=7 * 86_400).days == 3.0
    assert Cover("TEA", available=-2, sold=70, period_seconds=7 * 86_400).days == 0.0
    assert Cover("TEA", available=30, sold=0, period_seconds=7 * 86_400).days is None


def test_low_cover_is_said_once_and_restored_only_well_above() -> None:
    def cover(available: int) -> Cover:
        return Cover("TEA", available, sold=70, period_seconds=7 * 86_400)

    said, low = cover_statements([cover(29)], ())
    assert [type(e) for e in said] == [StockCoverLow]
    assert cover_statements([cover(35)], low) == ([], low)
    said, low = cover_statements([cover(40)], low)
    assert [type(e) for e in said] == [StockCoverRestored]
    assert low == set()


@given(st.integers(-100, 1000), st.integers(0, 1000), st.booleans())
def test_a_sku_that_is_low_stays_low_until_restored(available: int, sold: int, was: bool) -> None:
    cover = Cover("TEA", available, sold, 86_400)
    assert is_low(cover, was_low=False) <= is_low(cover, was_low=True)
    assert sold > 0 or not is_low(cover, was)


def test_a_closed_window_is_said_by_channel_and_currency_and_again_when_one_is_late() -> None:
    sales = [
        ("CUP", "web", "GBP", 1, 500),
        ("TEA", "shop", "GBP", 3, 450),
        ("TEA", "web", "GBP", 2, 300),
    ]
    orders = {("web", "GBP"): 2, ("shop", "GBP"): 1}
    said = closed_window(Size.DAY, LAST - LAST % 86_400, sales, orders, {})
    assert [(e.channel, e.orders, e.units, e.revenue) for e in said] == [
        ("shop", 1, 3, 450),
        ("web", 2, 3, 800),
    ]
    assert [s.sku for s in said[1].skus] == ["CUP", "TEA"]
    assert said[0].start == datetime(2026, 3, 2, tzinfo=UTC)
    assert closed_window(Size.DAY, 0, sales, orders, orders) == []
    again = closed_window(Size.DAY, 0, sales, orders | {("web", "GBP"): 3}, orders)
    assert [e.orders for e in again] == [3]
    assert len({statement_id(e) for e in [*said, *again]}) == 3
