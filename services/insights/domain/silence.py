"""When a channel has fallen silent: no order for so long that chance does not explain it.

Orders are taken to arrive at random at the rate of the channel's last day (a Poisson process): the chance of none
in ``t`` is exp(-rate × t). Below one in ten thousand the channel is silent. A channel with few orders has no rate
to miss, and one that has been away for a week is closed, not silent.
"""

from enum import StrEnum
from math import log
from typing import NamedTuple

#: One false alarm in ten thousand looks at a channel that sells as usual.
CHANCE_MAX = 1e-4
RATE_SECONDS = 86_400
ORDERS_MIN = 10
SILENT_SECONDS_MIN = 120
CLOSED_SECONDS = 7 * 86_400


class ChannelState(StrEnum):
    """What a channel does."""

    SELLING = "selling"
    SILENT = "silent"
    QUIET = "quiet"


class Activity(NamedTuple):
    """A channel's orders: the newest, and how many came in the ``period_seconds`` that end with it."""

    last_second: int
    orders: int
    period_seconds: int

    @property
    def per_hour(self) -> float:
        """Orders an hour."""
        return self.orders * 3600 / max(self.period_seconds, 60)


def silent_after_seconds(activity: Activity) -> int | None:
    """How long after its last order a channel counts as silent; None when it sells too little to tell."""
    if activity.orders < ORDERS_MIN:
        return None
    gap_seconds = max(activity.period_seconds, 60) / activity.orders
    return max(SILENT_SECONDS_MIN, round(gap_seconds * -log(CHANCE_MAX)))


def state(activity: Activity, now: int) -> ChannelState:
    """What the channel does at second ``now``."""
    away = now - activity.last_second
    limit = silent_after_seconds(activity)
    if limit is None or away >= CLOSED_SECONDS:
        return ChannelState.QUIET
    return ChannelState.SILENT if away >= limit else ChannelState.SELLING
