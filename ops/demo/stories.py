"""The stories that the demo tells: how an order goes, and where it must end."""

from enum import StrEnum
from typing import NamedTuple


class End(StrEnum):
    """Where an order ends."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    RETURNED = "returned"


class Story(NamedTuple):
    """One kind of journey.

    ``expected`` is the end that is decided beforehand; ``or_else`` are the ends that are just as right, because the
    story is a race that either side may win. ``share`` is the weight among all orders.
    """

    name: str
    share: int
    expected: End
    token: str = "tok_ok"  # noqa: S105 - a test card of the fake payment provider
    or_else: frozenset[End] = frozenset()
    waits: bool = False
    note: str = ""

    @property
    def ends(self) -> frozenset[End]:
        """Every end that counts as expected."""
        return self.or_else | {self.expected}


STRAIGHT = Story("straight through", 44, End.COMPLETED, note="one location, one parcel")
AUTOMATIC = Story(
    "automatic warehouse", 8, End.COMPLETED, note="printed, packed and sent by itself"
)
SPLIT = Story("two locations", 7, End.COMPLETED, note="no location has everything")
PARCELS = Story("two parcels", 6, End.COMPLETED, note="each parcel is charged when it is packed")
SHORT = Story("short pick", 4, End.COMPLETED, note="a unit was not on the shelf: not charged")
SLOW_BANK = Story(
    "bank times out",
    3,
    End.COMPLETED,
    "tok_timeout_after_charge",
    note="charged, but no answer came",
)
SHAKY_BANK = Story("bank fails twice", 2, End.COMPLETED, "tok_error_500:2")
BACKORDER = Story(
    "waits for stock", 5, End.COMPLETED, waits=True, note="first in, first out, once goods arrive"
)
DECLINED = Story("card declined", 4, End.REFUSED, "tok_declined")
SOLD_OUT = Story("sold out", 4, End.REFUSED, note="the shopper would not wait")
GIVES_UP = Story(
    "waits, then gives up", 2, End.CANCELLED, waits=True, note="cancelled while waiting for stock"
)
REGRETS = Story(
    "cancels at once",
    3,
    End.CANCELLED,
    or_else=frozenset({End.COMPLETED}),
    note="races with the warehouse: completed is right when the parcel was paid first",
)
REGRETS_LATE = Story(
    "cancels while picking",
    2,
    End.CANCELLED,
    or_else=frozenset({End.COMPLETED}),
    note="races with the warehouse: completed is right when the parcel was paid first",
)
RETURN = Story("sent back", 4, End.RETURNED, note="inspected, restocked, refunded")
RETURN_SCRAP = Story("sent back, damaged", 2, End.RETURNED, note="inspected, scrapped, refunded")

STORIES = (
    STRAIGHT,
    AUTOMATIC,
    SPLIT,
    PARCELS,
    SHORT,
    SLOW_BANK,
    SHAKY_BANK,
    BACKORDER,
    DECLINED,
    SOLD_OUT,
    GIVES_UP,
    REGRETS,
    REGRETS_LATE,
    RETURN,
    RETURN_SCRAP,
)
CANCELLING = frozenset({GIVES_UP, REGRETS, REGRETS_LATE})
RETURNING = frozenset({RETURN, RETURN_SCRAP})


def shared_out(orders: int) -> list[Story]:
    """``orders`` stories in proportion to their shares (largest remainder), each at least once if they fit."""
    if orders < len(STORIES):
        return list(STORIES[:orders])
    total = sum(s.share for s in STORIES)
    left = orders - len(STORIES)
    counts = [1 + left * s.share // total for s in STORIES]
    by_remainder = sorted(
        range(len(STORIES)), key=lambda i: (-(left * STORIES[i].share % total), i)
    )
    for i in by_remainder[: orders - sum(counts)]:
        counts[i] += 1
    return [s for s, n in zip(STORIES, counts, strict=True) for _ in range(n)]
