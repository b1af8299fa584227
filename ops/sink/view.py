"""The sink's HTTP side: what came, as JSON, as sent, and as a page to look at."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ops.sink.store import Entry, MessageStore, html_of
from shared.service import Position, Problem, router
from shared.service.clock import rfc3339

PAGE_MAX = 1000
SHOWN_MAX = 200

#: A message's HTML is a stranger's: no script, no request, no form, no access to this origin.
_SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'"

_pages = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
)
_pages.filters["path"] = lambda text: quote(text, safe="")
_LIST = _pages.get_template("list.html")


def routes(store: MessageStore, guard: Any) -> APIRouter:
    """The view's routes; ``guard`` says who may look."""
    r = router(tags=["messages"], dependencies=[guard])

    @r.get("/messages")
    async def messages(
        after: Annotated[Position, Query(description="How many to skip")] = 0,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> dict[str, Any]:
        """Messages in order of first arrival; ``received`` is how often each came."""
        items = [_shown(entry) for entry in store.entries(after, limit)]
        return {
            "items": items,
            "after": after + len(items),
            "total": len(store),
            "duplicates": store.duplicates,
        }

    @r.get("/messages/{message_id:path}", response_class=Response)
    async def message(message_id: str) -> Response:
        """One message as it was sent (message/rfc822)."""
        headers = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "inline"}
        return Response(_raw(store, message_id), media_type="message/rfc822", headers=headers)

    @r.get("/preview/{message_id:path}", response_class=HTMLResponse)
    async def preview(message_id: str) -> Response:
        """The HTML of one message, in a sandbox."""
        html = html_of(_raw(store, message_id))
        if html is None:
            raise Problem(404, "html-none", "No HTML", detail="This message has no HTML part.")
        return HTMLResponse(html, headers={"Content-Security-Policy": _SANDBOX})

    @r.get("/", response_class=HTMLResponse)
    async def page() -> Response:
        """The newest messages, to look at."""
        shown = list(store.entries(max(0, len(store) - SHOWN_MAX)))[::-1]
        html = _LIST.render(
            entries=shown, total=len(store), duplicates=store.duplicates, time=rfc3339
        )
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    return r


def _raw(store: MessageStore, id: str) -> bytes:
    raw = store.raw(id.strip("<>"))
    if raw is None:
        raise Problem(404, "message-unknown", "No such message", detail="GET /messages lists all.")
    return raw


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "to": entry.to,
        "subject": entry.subject,
        "received": entry.received,
        "at": rfc3339(entry.at),
    }
