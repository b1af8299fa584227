"""Whether new work is let in: by how much is under way in this process, and by how far the house is behind.

Only operations that declare themselves new work (placing an order) pass here. What is under way already goes on: reads,
cancellations, the work of operators and of the other services are never turned away by it.

Two bounds, because there are two queues. What waits in this process is bounded by a number: at a steady rate it is a
bound on the time that a request waits (Little's law), and when the database stops it fills at once, so that callers are
told now and not after ten seconds. What waits behind it, on the topics, is bounded by lag: a request that is durable in
two milliseconds is no success when its order is looked at in ten minutes. Between half of that bound and all of it a
growing share is turned away, so that the flow settles at what the house can carry instead of swinging. A lag of few
records does not count, however long they take: a shop goes on taking orders while a service is restarted.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from fastapi import Depends

from shared.service.problems import Problem


async def is_new_work() -> None:
    """Marks an operation that brings new work; see NEW_WORK."""


NEW_WORK = Depends(is_new_work)
"""`dependencies=[NEW_WORK]` on a route: turned away first when there is too much to do."""


class Refusal(NamedTuple):
    """Why new work is turned away, and after how many seconds to come again."""

    why: str
    retry_after_s: int

    def problem(self) -> Problem:
        """The answer. A fresh one each time: one that is raised again and again would keep every caller's frames."""
        return Problem(
            503,
            "overloaded",
            "Too much to do",
            detail=f"{self.why} Nothing has happened: repeat with the same Idempotency-Key after Retry-After.",
            retry_after_s=self.retry_after_s,
        )


TOO_MANY = Refusal("Too many orders are being placed at once.", 1)
TOO_FAR_BEHIND = Refusal("What was taken before is still being worked on.", 5)


class Admission:
    """The gate. ``in_flight_max`` requests of new work at once; ``lag_max_s`` seconds that a consumer may be behind, 0
    for any. ``lag_s`` is set from outside, by whoever measures it."""

    def __init__(
        self, in_flight_max: int, lag_max_s: float = 0, chance: Callable[[], float] = random.random
    ) -> None:
        self.lag_s = 0.0
        self.in_flight = 0
        self.shed = {"in_flight": 0, "lag": 0}
        self._in_flight_max = in_flight_max
        self._lag_max_s = lag_max_s
        self._chance = chance

    def refusal(self) -> Refusal | None:
        """Why a request of new work is turned away now, counted as such; None when it may go on."""
        if refusal := self._crowded():
            return refusal
        if self.lag_s and self._chance() < self.shed_share:
            self.shed["lag"] += 1
            return TOO_FAR_BEHIND
        return None

    def _crowded(self) -> Refusal | None:
        if self.in_flight < self._in_flight_max:
            return None
        self.shed["in_flight"] += 1
        return TOO_MANY

    @contextmanager
    def enter(self, *, asked: bool = False) -> Iterator[None]:
        """One request of new work, for as long as it is under way; ``asked`` when the door has asked `refusal` before,
        so that lag has had its chance. Raises `Problem` 503."""
        refusal = self._crowded() if asked else self.refusal()
        if refusal is not None:
            raise refusal.problem()
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    @property
    def shed_share(self) -> float:
        """The share that is turned away for lag: 0 up to half of the bound, 1 from the bound on."""
        if not self._lag_max_s:
            return 0.0
        return min(1.0, max(0.0, 2 * self.lag_s / self._lag_max_s - 1))
