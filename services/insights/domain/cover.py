"""Stock cover: for how many days the available stock lasts at the present rate of sale."""

from typing import NamedTuple

DEMAND_SECONDS = 7 * 86_400
#: Rates over less than a day say little; a day is taken at least.
DEMAND_SECONDS_MIN = 86_400
LOW_DAYS = 3.0
#: Above this it is low no more; the space between keeps an alarm from flapping.
RESTORED_DAYS = 4.0


class Cover(NamedTuple):
    """A SKU's units available, and units sold in ``period_seconds``."""

    sku: str
    available: int
    sold: int
    period_seconds: int

    @property
    def daily_rate(self) -> float:
        """Units sold a day."""
        return self.sold * 86_400 / self.period_seconds

    @property
    def days(self) -> float | None:
        """Days that the stock lasts, 0 when there is none; None when nothing sells."""
        return max(self.available, 0) / self.daily_rate if self.sold > 0 else None


def period_seconds(first: int | None, newest: int) -> int:
    """The time over which demand is measured: up to seven days, not before the first sale."""
    since_first = newest - first if first is not None else 0
    return min(max(since_first, DEMAND_SECONDS_MIN), DEMAND_SECONDS)


def is_low(cover: Cover, was_low: bool) -> bool:
    """Whether a SKU's stock is low, given whether it was."""
    days = cover.days
    return days is not None and days < (RESTORED_DAYS if was_low else LOW_DAYS)
