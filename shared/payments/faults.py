"""Seeded chaos for the fake provider: late, failed and lost answers for any request."""

from random import Random
from typing import Annotated, Literal

import msgspec

Rate = Annotated[float, msgspec.Meta(ge=0, le=1)]
Latency = Annotated[float, msgspec.Meta(ge=0, le=60_000)]
Failure = Literal["error", "lost_before", "lost_after"]


class FaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often requests go wrong. The same seed and sequence of requests meet the same faults.

    `error_rate`: server error, nothing recorded; `lost_before_rate`: no answer, nothing recorded;
    `lost_after_rate`: recorded, no answer. At most one of them hits a request, so their sum is at
    most 1. `latency_ms_min` to `latency_ms_max` (uniform) pass before a request is recorded, so a
    caller that gives up may be charged after its lookup found nothing.
    """

    seed: int = 0
    error_rate: Rate = 0.0
    lost_before_rate: Rate = 0.0
    lost_after_rate: Rate = 0.0
    latency_ms_min: Latency = 0.0
    latency_ms_max: Latency = 0.0

    def __post_init__(self) -> None:
        if self.error_rate + self.lost_before_rate + self.lost_after_rate > 1:
            raise ValueError("error_rate + lost_before_rate + lost_after_rate must be at most 1")
        if self.latency_ms_min > self.latency_ms_max:
            raise ValueError("latency_ms_min must be at most latency_ms_max")


class Fault(msgspec.Struct, frozen=True):
    """What befalls one request; the default is nothing."""

    latency_s: float = 0.0
    failure: Failure | None = None


NO_FAULT = Fault()


class Faults:
    """Draws the fate of each request from its own seeded generator."""

    def __init__(self, settings: FaultSettings | None = None) -> None:
        self.set(FaultSettings() if settings is None else settings)

    def set(self, settings: FaultSettings) -> None:
        """Use `settings` from the next request on, starting their seed afresh."""
        self.settings = settings
        self._random = Random(settings.seed)  # noqa: S311  chaos must repeat, not surprise
        self._quiet = settings == FaultSettings(seed=settings.seed)

    def draw(self) -> Fault:
        """Return the next request's fate.

        Always two draws, so that rates don't shift the sequence.
        """
        if self._quiet:
            return NO_FAULT
        settings = self.settings
        latency_ms = self._random.uniform(settings.latency_ms_min, settings.latency_ms_max)
        lot = self._random.random()
        failure: Failure | None = None
        if lot < settings.error_rate:
            failure = "error"
        elif lot < settings.error_rate + settings.lost_before_rate:
            failure = "lost_before"
        elif lot < settings.error_rate + settings.lost_before_rate + settings.lost_after_rate:
            failure = "lost_after"
        return Fault(latency_ms / 1000, failure)
