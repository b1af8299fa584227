"""The process's clock. Domain code never imports this: times reach it inside commands."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current time, timezone-aware in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """`moment` as RFC 3339 in UTC with a `Z`; raises ValueError for a naive datetime.

    A naive time would silently be read as local time, so it is refused instead.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone: use shared.service.clock.now()")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
