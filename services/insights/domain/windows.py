"""Tumbling windows in business time, in UTC: which one an instant falls in, and how long each size is kept."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Size(StrEnum):
    """How long a window is."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def seconds(self) -> int:
        """Its length."""
        return _SECONDS[self]

    @property
    def kept_seconds(self) -> int | None:
        """How far behind the newest event a window of this size is kept; None for ever."""
        return _KEPT_SECONDS[self]

    def start(self, at: datetime) -> int:
        """The start of the window that ``at`` falls in, in seconds since 1970-01-01 UTC."""
        second = int((at - EPOCH) / timedelta(seconds=1) // 1)
        return second - second % self.seconds

    def oldest(self, newest: int) -> int | None:
        """The oldest start that is kept when ``newest`` is the newest second; None when all are."""
        kept = self.kept_seconds
        return None if kept is None else newest - newest % self.seconds - kept


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS = {Size.MINUTE: 60, Size.HOUR: 3600, Size.DAY: 86_400}
#: Three hours of minutes and eight days of hours: what charts, rates and stock cover look at.
_KEPT_SECONDS = {Size.MINUTE: 3 * 3600, Size.HOUR: 8 * 86_400, Size.DAY: None}


def moment(second: int) -> datetime:
    """The instant of a second since 1970-01-01 UTC; also before it."""
    return EPOCH + timedelta(seconds=second)
