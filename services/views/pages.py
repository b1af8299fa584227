"""Pages for people: a list of orders, an order whole, and signing in. Rendered here; they work
without any script."""

from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import jinja2
import msgspec
from fastapi import APIRouter, Depends, Query
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from services.views.api import ORDER_READERS, STATUSES
from services.views.domain import view as views
from services.views.domain.shown import LineView
from services.views.lookup import find, page_of
from services.views.reader import Filter, Reader
from services.views.shapes import shape
from shared.events.currencies import shown
from shared.service import Identifier, Keyring, Principal, Problem, ServiceApp, Timestamp, require
from shared.service.pagination import Cursor
from shared.service.problems import validation_problem
from shared.service.routes import ServiceRoute
from shared.service.signin import Pages, add_sign_in
from shared.service.trust import SignOn

COOKIE = "oms_key"
STATIC = "/static"
HERE = Path(__file__).parent
PAGE_ORDERS = 25

SAFE = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "referrer-policy": "same-origin",
    "cache-control": "private, no-store",
}

Viewer = Annotated[Principal, Depends(require(*ORDER_READERS))]
Words = Annotated[str, Query(max_length=200)]


class PageRoute(ServiceRoute):
    """A route for people: who is not signed in is sent to the sign-in page, and problems are
    pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's hook for custom request handling."""
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestValidationError as error:
                return _told(validation_problem(error.errors()))
            except Problem as problem:
                if problem.status_code == 401 and request.method == "GET":
                    asked = request.url.path + (
                        f"?{request.url.query}" if request.url.query else ""
                    )
                    return RedirectResponse(f"/sign-in?next={quote(asked)}", 303, headers=SAFE)
                return _told(problem)

        return handler


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["shape"] = shape
    environment.filters.update(
        money=shown,
        when=when,
        minute=minute,
        machine=machine,
        elapsed=elapsed,
        plain=plain,
        pretty=pretty,
    )
    return environment


def when(at: datetime | None) -> str:
    """``5 Jan 2026, 12:00:07`` in UTC; a dash when there is none."""
    return f"{at.day} {at:%b %Y, %H:%M:%S}" if at is not None else "–"


def minute(at: datetime | None) -> str:
    """``5 Jan 2026, 12:00`` in UTC, for lists."""
    return when(at)[:-3] if at is not None else "–"


def machine(at: datetime | None) -> str:
    """A time for the ``datetime`` attribute."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at is not None else ""


def elapsed(ms: int) -> str:
    """A duration in the two largest units that matter: ``42 ms``, ``3.1 s``, ``4 min 10 s``, ``2 d
    3 h``."""
    if ms < 1000:
        return f"{ms} ms"
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    for unit, next_unit, size, part in (
        ("min", "s", 60, 1),
        ("h", "min", 3600, 60),
        ("d", "h", 86400, 3600),
    ):
        if seconds < size * (60 if unit == "min" else 24) or unit == "d":
            return f"{int(seconds // size)} {unit} {int(seconds % size // part)} {next_unit}"
    raise AssertionError("the last unit takes all")


def plain(text: str) -> str:
    """A code as words."""
    return text.replace("_", " ")


def pretty(raw: msgspec.Raw) -> str:
    """A record's payload, indented."""
    return msgspec.json.format(bytes(raw), indent=2).decode(errors="replace")


_templates = _environment()


def render(
    template: str, status: int = 200, headers: Mapping[str, str] = SAFE, /, **values: Any
) -> HTMLResponse:
    """A template filled in, with headers that keep it to itself."""
    return HTMLResponse(_templates.get_template(template).render(**values), status, headers=headers)


def _told(problem: Problem) -> HTMLResponse:
    page = render("problem.html", problem.status_code, problem=problem)
    page.headers.update(problem.headers or {})
    return page


def add_pages(
    app: ServiceApp, reader: Reader, keyring: Keyring, sign_on: SignOn | None = None
) -> None:
    """Put the pages and their stylesheet on an application."""
    app.mount(STATIC, StaticFiles(directory=HERE / "static"), name="static")
    r = APIRouter(
        route_class=PageRoute, include_in_schema=False, default_response_class=HTMLResponse
    )
    _order_pages(r, reader)
    pages = Pages(COOKIE, ORDER_READERS, "orders", SAFE, render)
    add_sign_in(r, pages, keyring, sign_on, app.edge.tokens)
    app.include_router(r)


def _order_pages(r: APIRouter, reader: Reader) -> None:
    @r.get("/")
    async def orders(
        who: Viewer,
        status: Annotated[str, Query(max_length=20)] = "",
        channel: Words = "",
        q: Words = "",
        cursor: Cursor = None,
    ) -> Response:
        """Orders, newest first; the filters stand in the address."""
        chosen = (status,) if status in STATUSES else ()
        which = Filter(chosen, channel, q)
        found, following = await page_of(reader, who, which, cursor, PAGE_ORDERS)
        asked = {"q": q, "status": status, "channel": channel}
        kept = {name: value for name, value in asked.items() if value}
        return render(
            "orders.html",
            who=who,
            orders=[views.summary(d) for d in found],
            statuses=STATUSES,
            channels=[who.channel] if who.channel else await reader.channels(),
            asked=asked,
            filtered=bool(kept),
            first=f"/?{urlencode(kept)}" if cursor else "",
            following=f"/?{urlencode(kept | {'cursor': following})}" if following else "",
        )

    @r.get("/orders/{order_id}/page")
    async def order(order_id: Identifier, who: Viewer, as_of: Timestamp | None = None) -> Response:
        """One order, whole; ``as_of`` shows it as it was known at a time."""
        found = await find(reader, who, order_id, as_of)
        shown_order = views.view(found)
        entries = await reader.timeline(order_id)
        return render(
            "order.html",
            who=who,
            order=shown_order,
            entries=[e for e in entries if as_of is None or e.at <= as_of],
            later=sum(1 for e in entries if as_of is not None and e.at > as_of),
            by_id={e.id: e for e in entries},
            waiting=[line for line in shown_order.lines if _unsent(line)],
            as_of=as_of,
            cancelling=found.order.cancelling,
        )


def _unsent(line: LineView) -> int:
    q = line.quantities
    return q.open + q.reserved + q.backordered + q.picked
