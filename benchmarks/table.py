"""The figures as tables for a terminal."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table

from benchmarks.figures import BY_NAME, Figure, meets


def figures(found: Sequence[Figure]) -> Table:
    """One row a figure: value, floor, ratio, target, and whether it is met; fits 80 columns."""
    out = _table("Benchmarks", caption(found))
    out.add_column("figure", no_wrap=True)
    for name in ("value", "unit", "floor", "ratio", "target", ""):
        out.add_column(name, justify="left" if name in ("unit", "") else "right", no_wrap=True)
    for f in found:
        met = meets(f)
        out.add_row(
            f.name,
            number(f.value),
            f.unit,
            number(f.floor),
            "" if f.ratio is None else f"{f.ratio:.2f}",
            target(f.name),
            {True: "✓", False: "✗", None: ""}[met],
            style="red" if met is False else None,
        )
    return out


def details(found: Iterable[Figure]) -> list[Table]:
    """What belongs beside the figures: processor time by process, latencies of requests, memory and space by service."""
    by_name = {f.name: f for f in found}
    out = []
    if processor := _processor(by_name):
        out.append(_by_service("Processor time (ms an order)", processor, 2))
    posts = [f for name, f in by_name.items() if name.startswith("post_orders")]
    if posts:
        out.append(_latencies(posts))
    for name, title, key in (
        ("service_rss_mb_max", "Memory (MB)", "by_scenario"),
        ("database_bytes_per_order", "Database (bytes an order)", "by_database"),
    ):
        if name in by_name:
            out.append(_by_service(title, by_name[name].details[key]))
    return out


def _processor(by_name: dict[str, Figure]) -> dict[str, dict[str, float]]:
    """By journey and by its floor: unlike orders a second, this hardly depends on what else the machine does."""
    out = {}
    for scenario in ("journey", "views"):
        for f in (f for name, f in by_name.items() if BY_NAME[name].scenario == scenario):
            for column, prefix in ((scenario, ""), (f"{scenario} floor", "floor_")):
                if spent := f.details.get(f"{prefix}cpu_ms_per_order"):
                    out[column] = spent | {"sum": f.details[f"{prefix}cpu_ms_per_order_sum"]}
    return out


def _table(title: str, caption: str = "") -> Table:
    return Table(
        title=title,
        title_justify="left",
        caption=caption,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 0, 0, 0),
    )


def _latencies(posts: Sequence[Figure]) -> Table:
    out = _table("POST /orders, latency (ms)")
    out.add_column("connections", justify="right")
    out.add_column("")
    points = ("p50", "p95", "p99", "max")
    for point in points:
        out.add_column(point, justify="right")
    for f in posts:
        for side, key in (("service", "latency_ms"), ("pgbench", "floor_latency_ms")):
            cells = [f"{f.details[key][p]:.1f}" for p in points]
            out.add_row(f.name.rpartition("_c")[2], side, *cells)
    return out


def _by_service(title: str, by_scenario: dict[str, dict[str, float]], decimals: int = 1) -> Table:
    out = _table(title)
    out.add_column("service")
    for scenario in by_scenario:
        out.add_column(scenario, justify="right")
    for name in sorted({name for found in by_scenario.values() for name in found}):
        out.add_row(name, *(number(found.get(name), decimals) for found in by_scenario.values()))
    return out


def caption(found: Sequence[Figure]) -> str:
    """The machine and the interpreter of the last figure's run."""
    if not found:
        return "nothing was measured"
    run = found[-1].run
    where = f"{run.get('cores')} x {run.get('cpu')}, {run.get('memory_gb')} GB, {run.get('system')}"
    return f"{where}, Python {run.get('python')}"


def target(name: str) -> str:
    """What a figure should reach, with the side it is reached from; empty when nothing is asked."""
    wanted = BY_NAME[name]
    sign = "≥" if wanted.better == "more" else "≤"
    if wanted.ratio is not None:
        return f"{sign} {wanted.ratio:g} x floor"
    return "" if wanted.target is None else f"{sign} {number(wanted.target)}"


def number(value: float | None, decimals: int = 1) -> str:
    """A number as people read it."""
    if value is None:
        return ""
    if abs(value) < 1:
        decimals = max(decimals, 2)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.{decimals}f}"
