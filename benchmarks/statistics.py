"""Small statistics: percentiles by nearest rank, and rates over alternating runs."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of unsorted values; ``share`` is within (0, 1]. Raises ValueError without values."""
    if not values:
        raise ValueError("no values: nothing was measured")
    if not 0 < share <= 1:
        raise ValueError(f"share {share} is not within (0, 1]")
    return sorted(values)[math.ceil(share * len(values)) - 1]


def summary(values: Sequence[float]) -> dict[str, float]:
    """Count, p50, p95, p99 and the largest, rounded to thousandths."""
    points = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    ordered = sorted(values)
    return {"count": len(ordered)} | {
        name: round(percentile(ordered, share), 3) for name, share in points.items()
    }


class Run(NamedTuple):
    """One timed run: how many were done in how many seconds."""

    done: int
    seconds: float


def rate(runs: Iterable[Run]) -> float:
    """The rate over several runs: all that was done over all the time it took, so that a longer run weighs more."""
    runs = list(runs)
    seconds = sum(r.seconds for r in runs)
    if seconds <= 0:
        raise ValueError("no time has passed: nothing was measured")
    return sum(r.done for r in runs) / seconds
