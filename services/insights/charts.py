"""Charts in Vega-Lite; `services.insights.renderer` makes SVG of them, so that they print and need no script."""

from typing import Any

#: Okabe and Ito's colours for those who see few; shapes and a table say the same without colour.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8A6D00", "#56B4E9"]
_CONFIG = {
    "background": "transparent",
    "font": "Liberation Sans, Noto Sans, sans-serif",
    "axis": {"labelColor": "#6b7a81", "titleColor": "#6b7a81", "gridColor": "#8884", "domain": False,
             "tickColor": "#8886", "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
    "legend": {"labelColor": "#6b7a81", "title": None, "orient": "top", "labelFontSize": 12,
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
