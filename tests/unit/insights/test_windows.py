"""Windows of business time: tumbling, in UTC, kept for a while."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.insights.domain.windows import EPOCH, Size, moment

instants = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - made aware by the strategy
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001 - made aware by the strategy
    timezones=st.timezones(),
)


@given(instants, st.sampled_from(Size))
def test_every_instant_falls_in_exactly_one_window_of_a_size(at: datetime, size: Size) -> None:
    start = size.start(at)
    assert start % size.seconds == 0
    assert moment(start) <= at < moment(start + size.seconds)


@given(instants, st.sampled_from(Size))
def test_a_window_lies_in_one_window_of_each_larger_size(at: datetime, size: Size) -> None:
    for larger in [s for s in Size if s.seconds > size.seconds]:
        start = larger.start(at)
        assert start <= size.start(at) < start + larger.seconds


def test_a_day_is_a_day_in_utc_wherever_the_order_was_placed() -> None:
    eastern = datetime.fromisoformat("2026-01-06T00:30:00+02:00")
    assert moment(Size.DAY.start(eastern)) == datetime(2026, 1, 5, tzinfo=UTC)


def test_minutes_and_hours_are_kept_for_a_while_and_days_for_ever() -> None:
    newest = int((datetime(2026, 1, 5, 12, 0, 30, tzinfo=UTC) - EPOCH) / timedelta(seconds=1))
    assert moment(Size.MINUTE.oldest(newest) or 0) == datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    assert moment(Size.HOUR.oldest(newest) or 0) == datetime(2025, 12, 28, 12, 0, tzinfo=UTC)
    assert Size.DAY.oldest(newest) is None
