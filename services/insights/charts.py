"""Charts in Vega-Lite; `services.insights.renderer` makes SVG of them, so that they print and need no script."""

from typing import Any

#: Okabe and Ito's colours for those who see few; shapes and a table say the same without colour.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8A6D00", "#56B4E9"]
#: Labels on a light and on a dark page: the colours of soft words in the stylesheet.
LABEL, LABEL_DARK = "#55636a", "#a5b1b6"
_CONFIG = {
    "background": "transparent",
    "font": "Liberation Sans, Noto Sans, sans-serif",
    "axis": {"labelColor": LABEL, "titleColor": LABEL, "gridColor": "#8884", "domain": False,
             "tickColor": "#8886", "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
    "legend": {"labelColor": LABEL, "title": None, "orient": "top", "labelFontSize": 12,
               "symbolStrokeWidth": 3},
    "view": {"stroke": None},
    "range": {"category": COLOURS},
}  # fmt: skip


def orders_per_minute(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A line for each channel; ``rows`` are ``{"at", "orders", "channel"}``, ``at`` in UTC."""
    return _spec(
        rows,
        {"type": "line", "strokeWidth": 2, "point": {"size": 18}},
        {
            "x": {"field": "at", "type": "temporal", "timeUnit": "utcyearmonthdatehoursminutes",
                  "title": None, "scale": {"type": "utc"}, "axis": {"format": "%H:%M", "grid": False}},
            "y": {"field": "orders", "type": "quantitative", "title": "orders a minute",
                  "axis": {"tickMinStep": 1}},
            "color": {"field": "channel", "type": "nominal"},
            "shape": {"field": "channel", "type": "nominal", "legend": None},
        },
    )  # fmt: skip


def revenue_per_hour(rows: list[dict[str, Any]], currency: str) -> dict[str, Any]:
    """Stacked bars; ``rows`` are ``{"at", "revenue", "channel"}``, revenue in major units."""
    return _spec(
        rows,
        {"type": "bar"},
        {
            "x": {"field": "at", "type": "temporal", "timeUnit": "utcyearmonthdatehours",
                  "title": None, "scale": {"type": "utc"}, "axis": {"format": "%-d %b %H:%M", "grid": False}},
            "y": {"field": "revenue", "type": "quantitative", "title": f"{currency} an hour"},
            "color": {"field": "channel", "type": "nominal"},
        },
    )  # fmt: skip


def _spec(
    rows: list[dict[str, Any]], mark: dict[str, Any], encoding: dict[str, Any]
) -> dict[str, Any]:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": 520,
        "height": 190,
        "data": {"values": rows},
        "mark": mark,
        "encoding": encoding,
        "config": _CONFIG,
    }


def in_both_schemes(svg: str) -> str:
    """The picture with labels that can be read on a dark page as well: it follows the reader's scheme by itself."""
    start, _, rest = svg.partition(">")
    return f"{start}><style>@media (prefers-color-scheme: dark) {{ text {{ fill: {LABEL_DARK} }} }}</style>{rest}"
