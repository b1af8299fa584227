"""The report of a run: what was injected, how long things took to recover, what became of the orders, and a plot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import machine
from ops.demo.tracker import percentile
from services.insights.charts import COLOURS
from services.insights.renderer import Renderer
from tests.chaos.playing import DOUBLED, OVERSOLD, Result

#: An order that takes longer to be accepted is drawn at the top.
SHOWN_S_MIN = 0.001


async def write(result: Result, folder: Path) -> Path:
    """Write ``chaos.md`` and ``chaos.svg``; the path of the first."""
    renderer = Renderer()
    try:
        (folder / "chaos.svg").write_text(await renderer.svg(plot(result)))
    finally:
        await renderer.close()
    page = folder / "chaos.md"
    page.write_text("\n".join(_lines(result)) + "\n")
    return page


def _lines(r: Result) -> Iterator[str]:
    yield f"# Chaos, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield ""
    yield f"`{r.last_line}`"
    yield ""
    yield (
        f"{r.seconds:g} s at {r.rate:g} orders/s, seed {r.seed}, on {_machine()}. {r.planned} orders were planned and "
        f"{r.accepted} accepted; all had ended {r.ended_s:.1f} s after the last fault."
    )
    yield ""
    yield "![latency](chaos.svg)"
    yield ""
    yield "## Invariants"
    yield ""
    yield from _table(
        ("what", "violations"),
        [
            ("accepted, and not in the log", len(r.lost)),
            (f"charged, sent or told twice (invariants {_named(DOUBLED)})", r.broken(DOUBLED)),
            (f"oversold (invariants {_named(OVERSOLD)})", r.broken(OVERSOLD)),
            ("without an end", len(r.unfinished)),
            ("parked", r.parked),
            ("all that `oms reconcile` checks", r.reconciled.violations_total),
        ],
    )
    yield from (f"- lost: {id}" for id in r.lost)
    yield from (f"- no end: {what}" for what in r.unfinished)
    yield from (
        f"- invariant {v.invariant}, {v.service} {v.stream}: {v.message}"
        for v in r.reconciled.violations[:50]
    )
    yield from (f"- note: {note}" for note in r.reconciled.notes)
    yield from (f"- not checked: {what}" for what in r.reconciled.not_checked)
    yield ""
    yield "## Faults"
    yield ""
    yield (
        "*Recovered* is the time from when the fault was over until an order sent afterwards was confirmed; of a killed "
        "service, until its successor was ready."
    )
    yield ""
    yield from _table(("kind", "times", "median", "worst"), _faults(r))
    yield from (f"- {name}: not injected, {why}" for name, why in r.missing.items())
    yield ""
    yield "## The clients"
    yield ""
    for road, took in _by_road(r).items():
        shown = " and ".join(f"{percentile(took, p):.2f} s at p{p}" for p in (50, 99))
        yield f"- accepted by {road}: {len(took)}, {shown}, {took[-1]:.1f} s at most"
    yield from (f"- asked again, {why}: {n}" for why, n in sorted(r.retries.items()) if n)
    yield from (f"- the warehouse came too late to {what}: {n}" for what, n in r.refused.items())
    yield from (f"- gave up: {what}" for what in r.gave_up[:20])
    yield from (f"- ended in another way, {what}: {n}" for what, n in sorted(r.otherwise.items()))
    yield ""
    yield "## Every fault"
    yield ""
    rows = sorted(r.injected, key=lambda f: f.began_s)
    yield from _table(
        ("at", "for", "kind", "what", "recovered"),
        [
            (f"{f.began_s:.1f} s", f"{f.lifted_s - f.began_s:.1f} s", f.kind, f.what, _s(r.recovery_s(f)))
            for f in rows
        ],
    )  # fmt: skip


def _machine() -> str:
    found = machine.run()
    return f"{found['cores']} cores of {found['cpu']}, {found['memory_gb']:.0f} GB, commit {found['commit']}"


def _named(invariants: set[int]) -> str:
    return ", ".join(map(str, sorted(invariants)))


def _s(seconds: float | None) -> str:
    return "not seen" if seconds is None else f"{seconds:.1f} s"


def _faults(r: Result) -> list[tuple[Any, ...]]:
    kinds: dict[str, list[float | None]] = defaultdict(list)
    for fault in r.injected:
        kinds[fault.kind].append(r.recovery_s(fault))
    rows = []
    for kind, all_took in sorted(kinds.items()):
        took = sorted(t for t in all_took if t is not None)
        median, worst = (_s(percentile(took, 50)), _s(took[-1])) if took else ("not seen", "")
        rows.append((kind, len(all_took), median, worst))
    return [*rows, ("provider times out after charging, or fails", r.bank, "", "")]


def _by_road(r: Result) -> dict[str, list[float]]:
    roads: dict[str, list[float]] = defaultdict(list)
    for sample in r.samples:
        roads[sample.road].append(sample.took_s)
    return {road: sorted(took) for road, took in sorted(roads.items())}


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Iterator[str]:
    for row in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(map(str, row))} |"
    yield ""


def plot(r: Result) -> dict[str, Any]:
    """How long each order took to be accepted, by when it was due, over the faults."""
    points = [
        {"at": round(s.at_s, 2), "took": max(s.took_s, SHOWN_S_MIN), "road": s.road}
        for s in r.samples
    ]
    long = [f for f in r.injected if f.lifted_s - f.began_s > 0.5]
    spans = [{"from": f.began_s, "to": f.lifted_s, "kind": f.kind} for f in long]
    kills = [{"at": f.began_s} for f in r.injected if f.lifted_s - f.began_s <= 0.5]
    x = {"type": "quantitative", "title": "seconds"}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": 1000,
        "height": 340,
        "background": "white",
        "layer": [
            {
                "data": {"values": spans},
                "mark": {"type": "rect", "color": "#D55E00", "opacity": 0.18},
                "encoding": {"x": {"field": "from", **x}, "x2": {"field": "to"}},
            },
            {
                "data": {"values": spans},
                "mark": {"type": "text", "angle": 270, "align": "left", "baseline": "top", "y": 336,
                         "fontSize": 10, "color": "#8a3d00"},
                "encoding": {"x": {"field": "from", **x}, "text": {"field": "kind"}},
            },
            {
                "data": {"values": kills},
                "mark": {"type": "rule", "color": "#8886", "strokeDash": [2, 3]},
                "encoding": {"x": {"field": "at", **x}},
            },
            {
                "data": {"values": points},
                "mark": {"type": "point", "filled": True, "size": 14, "opacity": 0.7},
                "encoding": {
                    "x": {"field": "at", **x},
                    "y": {"field": "took", "type": "quantitative", "title": "seconds until accepted",
                          "scale": {"type": "log"}},
                    "color": {"field": "road", "type": "nominal", "scale": {"range": COLOURS[:3]},
                              "legend": {"title": None, "orient": "top"}},
                    "shape": {"field": "road", "type": "nominal", "legend": None},
                },
            },
        ],
        "config": {"view": {"stroke": None}},
    }  # fmt: skip
