"""How long a consumer and a relay pause after work, so that what comes next shares its transaction or request."""

#: Under load, after as many records, for longer: more requests would bring nobody anything sooner.
BUSY_RECORDS = 64
BUSY_SECONDS = 0.02


def pause(usual_seconds: float, records: int) -> float:
    """The pause after so many records, in seconds; ``usual_seconds`` is that after a few."""
    return max(usual_seconds, BUSY_SECONDS) if records >= BUSY_RECORDS else usual_seconds
