"""What an order may hold. More is refused on every road, so that a channel's adapter says it before the order is sent on."""

import re
from datetime import datetime, timedelta

LINES_MAX = 2_000
#: Charges, and the payments by which it was paid.
CHARGES_MAX = 100
QUANTITY_MAX = 1_000_000
#: Minor units; whole in every JSON reader.
AMOUNT_MAX = 2**53 - 1
#: Business times outside of these cannot be meant, and cannot all be told in every zone.
YEAR_MIN, YEAR_MAX = 1970, 2200
#: What a package or a return may be called: its id becomes a part of the key under which the payment provider is called.
PLAIN_ID = re.compile(r"[!-~]{1,100}")
#: By how much a carrier's clock may be ahead of ours.
CLOCKS_DIFFER_MAX = timedelta(hours=1)


def has_passed(at: datetime, now: datetime) -> bool:
    """Whether a carrier's time is one that has passed, give or take two clocks: earlier than `YEAR_MIN` is a unit mix-up,
    later a wrong clock, and without an offset it says nothing."""
    return at.tzinfo is not None and at.year >= YEAR_MIN and at <= now + CLOCKS_DIFFER_MAX
