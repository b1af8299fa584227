"""The figures as tables for a terminal."""

from collections.abc import Iterable, Sequence

from rich.table import Table

from benchmarks.figures import BY_NAME, Figure, meets


def figures(found: Sequence[Figure]) -> Table:
    """One row a figure: value, floor, ratio, target, and whether it is met."""
    out = Table(title="Benchmarks", title_justify="left", caption=caption(found))
    out.add_column("figure")
    for name in ("value", "unit", "floor", "ratio", "target"):
        out.add_column(name, justify="left" if name == "unit" else "right")
    out.add_column("")
    for f in found:
        out.add_row(
            f.name,
            number(f.value),
            f.unit,
            number(f.floor),
            "" if f.ratio is None else f"{f.ratio:.2f}",
            target(f.name),
            {True: "met", False: "missed", None: ""}[meets(f)],
            style="red" if meets(f) is False else None,
        )
    return out


def details(found: Iterable[Figure]) -> list[Table]:
    """What belongs beside the figures: latencies of requests, memory and space by service."""
    by_name = {f.name: f for f in found}
    out = []
    posts = [f for name, f in by_name.items() if name.startswith("post_orders")]
    if posts:
        out.append(_latencies(posts))
    for name, title, unit in (
        ("service_rss_mb_max", "Memory by service", "MB"),
        ("database_bytes_per_order", "Database by service", "bytes an order"),
    ):
        if name in by_name:
            key = "by_scenario" if "by_scenario" in by_name[name].details else "by_database"
            out.append(_by_service(f"{title} ({unit})", by_name[name].details[key]))
    return out


def _latencies(posts: Sequence[Figure]) -> Table:
    out = Table(title="POST /orders, latency (ms)", title_justify="left")
    out.add_column("connections", justify="right")
    for side in ("", "pgbench "):
        for point in ("p50", "p95", "p99", "max"):
            out.add_column(side + point, justify="right")
    for f in posts:
        sides = (f.details["latency_ms"], f.details["floor_latency_ms"])
        cells = [f"{side[p]:.1f}" for side in sides for p in ("p50", "p95", "p99", "max")]
        out.add_row(f.name.rpartition("_c")[2], *cells)
    return out


def _by_service(title: str, by_scenario: dict[str, dict[str, float]]) -> Table:
    out = Table(title=title, title_justify="left")
    out.add_column("scenario")
    names = sorted({name for found in by_scenario.values() for name in found})
    for name in names:
        out.add_column(name, justify="right")
    for scenario, found in by_scenario.items():
        out.add_row(scenario, *(number(found.get(name)) for name in names))
    return out


def caption(found: Sequence[Figure]) -> str:
    """The machine of the last figure's run."""
    if not found:
        return "nothing was measured"
    run = found[-1].run
    return f"{run.get('cores')} x {run.get('cpu')}, {run.get('memory_gb')} GB, {run.get('system')}"


def target(name: str) -> str:
    """What a figure should reach, with the side it is reached from; empty when nothing is asked."""
    wanted = BY_NAME[name]
    sign = "≥" if wanted.better == "more" else "≤"
    if wanted.ratio is not None:
        return f"{sign} {wanted.ratio:g} x floor"
    return "" if wanted.target is None else f"{sign} {number(wanted.target)}"


def number(value: float | None) -> str:
    """A number as people read it."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"
