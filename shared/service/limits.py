"""How many requests a caller may send: a token bucket for each caller, in this process.

A caller is a principal (`Principal.subject`, so a rotated key keeps its bucket) or, without a key, an address. Services
among themselves are not limited: what heals a gap must not be held up by what made it.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from shared.service.problems import Problem
from shared.service.security import Principal, Role

#: Seconds' worth of its rate that a caller who was quiet may send at once.
BURST_S = 2.0
#: Buckets that are kept. A full one says nothing, so it can be forgotten; the oldest go when all are in use.
BUCKETS_MAX = 20_000

Headers = tuple[tuple[bytes, bytes], ...]


class Rates(NamedTuple):
    """Requests a second: of a caller with a key, of one without, and of callers that have a rate of their own. 0 or
    less: no limit."""

    per_s: float = 0.0
    stranger_per_s: float = 0.0
    own: Mapping[str, float] = {}


UNLIMITED = Rates()


class Taken(NamedTuple):
    """What is left after a request, and how long to wait for the next token: 0 when this one was let in."""

    quota: int
    left: int
    full_s: int
    wait_s: float

    def headers(self) -> Headers:
        """RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-09): ``q`` requests in ``w`` seconds;
        ``r`` are left, and in ``t`` seconds all of them."""
        return (
            (b"ratelimit-policy", b'"caller";q=%d;w=%d' % (self.quota, math.ceil(BURST_S))),
            (b"ratelimit", b'"caller";r=%d;t=%d' % (self.left, self.full_s)),
        )


class Buckets:
    """Token buckets by name. ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str, per_s: float) -> Taken:
        """Take a token from the bucket of ``name``, which fills by ``per_s`` a second."""
        now = self._clock()
        size = max(1.0, per_s * BURST_S)
        tokens, at = self._buckets.pop(name, (size, now))
        tokens = min(size, tokens + (now - at) * per_s)
        wait_s = 0.0 if tokens >= 1.0 else (1.0 - tokens) / per_s
        if not wait_s:
            tokens -= 1.0
        # Put last: the first in the dictionary is the one that was asked for longest ago.
        self._buckets[name] = (tokens, now)
        if len(self._buckets) > BUCKETS_MAX:
            del self._buckets[next(iter(self._buckets))]
        return Taken(
            math.floor(size), math.floor(tokens), math.ceil((size - tokens) / per_s), wait_s
        )


class RateLimits:
    """Lets callers in, at their rate."""

    def __init__(self, rates: Rates, buckets: Buckets | None = None) -> None:
        self._rates = rates
        self._buckets = buckets or Buckets()

    def admit(self, principal: Principal | None, address: str) -> Headers:
        """The headers that tell a caller what is left to it; none for callers without a limit. Raises `Problem` 429."""
        if principal is None:
            name, per_s = f"address:{address}", self._rates.stranger_per_s
        elif principal.role is Role.SERVICE:
            return ()
        else:
            name = principal.subject
            per_s = self._rates.own.get(name, self._rates.per_s)
        if per_s <= 0:
            return ()
        taken = self._buckets.take(name, per_s)
        if taken.wait_s:
            raise too_many(taken, f"{name} may send {per_s:g} requests a second to this process.")
        return taken.headers()


def too_many(taken: Taken, what: str) -> Problem:
    """429 with the time after which the next request is let in (RFC 6585, 4)."""
    return Problem(
        429,
        "rate-limited",
        "Too many requests",
        detail=f"{what} Wait as long as Retry-After says, then repeat with the same Idempotency-Key.",
        retry_after_s=max(1, math.ceil(taken.wait_s)),
        headers={name.decode(): value.decode() for name, value in taken.headers()},
    )
