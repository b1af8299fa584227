"""The dashboard, its charts, and signing in. Rendered here; with JavaScript it keeps itself up to date."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jinja2
import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles

from services.insights import charts, live
from services.insights.api import READERS, Reader, figures_of
from services.insights.dashboard import gather, orders_by_minute, revenue_by_hour
from services.insights.insights import Insights
from services.insights.renderer import Renderer, RenderFailed
from shared.events.currencies import decimals, shown
from shared.service import Keyring, Problem, ServiceApp
from shared.service.routes import ServiceRoute
from shared.service.signin import Pages, add_sign_in
from shared.service.trust import SignOn

log = structlog.get_logger()

#: Cookies do not know ports: this one must not be that of the views on the same host.
COOKIE = "oms_insights_key"
STATIC, HTMX = "/static", "/htmx"
HERE = Path(__file__).parent
SAFE = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "referrer-policy": "same-origin",
    "cache-control": "private, no-store",
}
#: A chart is a picture: no script of it runs, and its own styles apply to itself.
SAFE_CHART = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "cache-control": "private, max-age=60",
}


class PageRoute(ServiceRoute):
    """A route for people: who is not signed in is sent to the sign-in page, and problems are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's hook for custom request handling."""
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await answer(request)
            except Problem as problem:
                if problem.status_code == 401 and request.method == "GET":
                    return RedirectResponse("/sign-in", 303, headers=SAFE)
                page = _page(
                    "problem.html", problem.status_code,
                    title=problem.title, detail=problem.detail, who=None,
                )  # fmt: skip
                page.headers.update(problem.headers or {})
                return page

        return handler


def when(at: datetime) -> str:
    """``5 Jan 2026, 12:00`` in UTC."""
    return f"{at.day} {at:%b %Y, %H:%M}"


def clock(at: datetime) -> str:
    """``12:00`` in UTC."""
    return f"{at:%H:%M}"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(money=shown, when=when, clock=clock)
    return environment


_templates = _environment()


def _page(template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    return HTMLResponse(_templates.get_template(template).render(**values), status, headers=SAFE)


def htmx_folder() -> Path:
    """Where the installed package keeps htmx; found without importing it, for it would want Django configured."""
    spec = find_spec("django_htmx")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "static" / "django_htmx"


def add_pages(
    app: ServiceApp,
    insights: Insights,
    keyring: Keyring,
    renderer: Renderer,
    sign_on: SignOn | None = None,
) -> None:
    """Put the pages, their stylesheet and htmx on an application."""
    app.mount(STATIC, StaticFiles(directory=HERE / "static"), name="static")
    app.mount(HTMX, StaticFiles(directory=htmx_folder()), name="htmx")
    r = APIRouter(
        route_class=PageRoute, include_in_schema=False, default_response_class=HTMLResponse
    )
    _dashboard_pages(r, insights, lambda: app.health.draining)
    _chart_pages(r, insights, renderer)
    pages = Pages(COOKIE, READERS, "sales", SAFE, _page)
    add_sign_in(r, pages, keyring, sign_on, app.edge.tokens)
    app.include_router(r)


def _dashboard_pages(r: APIRouter, insights: Insights, draining: Callable[[], bool]) -> None:
    def figures() -> Any:
        return gather(figures_of(insights), insights.lag, insights.clock())

    @r.get("/")
    async def dashboard(who: Reader) -> Response:
        """Sales, channels and stock."""
        return _page("dashboard.html", who=who, f=figures())

    @r.get("/live")
    async def changes(who: Reader) -> StreamingResponse:
        """The dashboard's figures, whenever they change."""

        async def render() -> str:
            return _templates.get_template("figures.html").render(f=figures())

        return live.event_stream(live.changing(insights, draining, render))


def _chart_pages(r: APIRouter, insights: Insights, renderer: Renderer) -> None:
    async def drawn(chart: dict[str, Any]) -> Response:
        try:
            svg = charts.in_both_schemes(await renderer.svg(chart))
        except RenderFailed as error:
            log.warning("chart_failed", error=str(error))
            raise Problem(
                503,
                "no-chart",
                "No chart",
                detail="The table has the same figures.",
                retry_after_s=5,
            ) from error
        return Response(svg, media_type="image/svg+xml", headers=SAFE_CHART)

    @r.get("/charts/orders.svg")
    async def orders(who: Reader) -> Response:
        """Orders a minute in the last hour."""
        minutes = orders_by_minute(figures_of(insights))
        names = sorted({channel for _, by in minutes for channel in by})
        rows = [
            {"at": at.isoformat(), "channel": channel, "orders": by.get(channel, 0)}
            for at, by in minutes
            for channel in names
        ]
        return await drawn(charts.orders_per_minute(rows))

    @r.get("/charts/revenue.svg")
    async def revenue(who: Reader) -> Response:
        """Revenue an hour in the last day."""
        currency, hours = revenue_by_hour(figures_of(insights))
        rows = [
            {
                "at": at.isoformat(),
                "channel": channel,
                "revenue": round(amount / 10 ** decimals(currency), decimals(currency)),
            }
            for at, by in hours
            for channel, amount in sorted(by.items())
        ]
        return await drawn(charts.revenue_per_hour(rows, currency))
