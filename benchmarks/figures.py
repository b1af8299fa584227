"""The figures: their names, units and targets, and the file that keeps them."""

import math
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from ops.stack.process import write_atomically


class Definition(NamedTuple):
    """A figure that `oms bench` states. ``target`` is what it should reach (``better`` says from which side), as a value
    or, with ``ratio``, as a multiple of its floor."""

    name: str
    unit: str
    scenario: str
    better: Literal["more", "less"]
    target: float | None = None
    ratio: float | None = None


DEFINITIONS = (
    Definition("journey_orders_per_s", "orders/s", "journey", "more", 1000),
    Definition("journey_with_views_orders_per_s", "orders/s", "views", "more", 600),
    Definition("post_orders_per_s_c1", "orders/s", "posts", "more"),
    Definition("post_orders_per_s_c16", "orders/s", "posts", "more"),
    Definition("post_orders_per_s_c64", "orders/s", "posts", "more", ratio=1.0),
    Definition("post_latency_ms_p99_c64", "ms", "posts", "less"),
    Definition("confirm_latency_ms_p50", "ms", "latency", "less", 60),
    Definition("confirm_latency_ms_p99", "ms", "latency", "less", 400),
    Definition("refold_events_per_s", "events/s", "journey", "more", 50_000),
    Definition("rebuild_events_per_s", "events/s", "views", "more", 5_000),
    Definition("overload_goodput_ratio", "share", "overload", "more", 0.8),
    Definition("overload_normal_after_s", "s", "overload", "less", 30),
    Definition("service_rss_mb_max", "MB", "views", "less", 150),
    Definition("database_bytes_per_order", "bytes", "views", "less"),
)
NAMES = tuple(d.name for d in DEFINITIONS)
SCENARIOS = ("journey", "views", "posts", "latency", "overload")
BY_NAME = {d.name: d for d in DEFINITIONS}


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure as written. ``floor`` is in the unit of ``value``; ``ratio`` is value / floor. Both are None where
    nothing sets a floor. ``details`` say under what load, and what else was seen; ``run`` says where and when."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    details: dict[str, Any] = {}
    run: dict[str, Any] = {}


def figure(name: str, value: float, floor: float | None = None, **details: Any) -> Figure:
    """A figure of a known name, with its unit, and its ratio to the floor. Raises ValueError for a value that is not
    finite and positive: nothing was measured then."""
    for what, number in (("value", value), ("floor", floor)):
        if number is not None and not (math.isfinite(number) and number > 0):
            raise ValueError(f"{name}: the {what} {number!r} is no measurement")
    ratio = None if floor is None else round(value / floor, 3)
    return Figure(
        name=name,
        value=_rounded(value),
        unit=BY_NAME[name].unit,
        floor=None if floor is None else _rounded(floor),
        ratio=ratio,
        details=details,
    )


def meets(found: Figure) -> bool | None:
    """Whether a figure reaches its target; None when it has none."""
    wanted = BY_NAME[found.name]
    if wanted.ratio is not None:
        return found.ratio is not None and found.ratio >= wanted.ratio
    if wanted.target is None:
        return None
    return found.value >= wanted.target if wanted.better == "more" else found.value <= wanted.target


def selected(only: list[str]) -> set[str]:
    """The names that ``--only`` asks for: figures, or scenarios for all of theirs. Raises ValueError, listing both, for
    any other word. The highest memory is taken in every scenario, and asked for with the one that names it."""
    if not only:
        return set(NAMES)
    out: set[str] = set()
    for word in only:
        found = {d.name for d in DEFINITIONS if word in (d.name, d.scenario)}
        if not found:
            raise ValueError(
                f"--only {word}: no such figure or scenario; there are {', '.join(SCENARIOS)} and {', '.join(NAMES)}"
            )
        out |= found
    return out


def read(path: Path) -> list[Figure]:
    """The figures of an earlier run; none when there is no such file, or another version wrote it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Figure])
    except (FileNotFoundError, msgspec.MsgspecError):
        return []


def merged(before: list[Figure], now: list[Figure]) -> list[Figure]:
    """All figures in the order of their definitions; those measured now take the place of earlier ones."""
    by_name = {f.name: f for f in [*before, *now]}
    return [by_name[name] for name in NAMES if name in by_name]


def write(path: Path, figures: list[Figure]) -> None:
    """Write the list as JSON, whole or not at all."""
    text = msgspec.json.format(msgspec.json.encode(figures), indent=2).decode()
    write_atomically(path, text + "\n", 0o644)


def _rounded(value: float) -> float:
    """Three significant digits after which a benchmark says nothing, and whole numbers from a hundred up."""
    return float(round(value)) if abs(value) >= 100 else round(value, 2)
