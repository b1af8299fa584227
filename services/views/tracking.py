"""The page that a shopper's mail links to: where one parcel is. Open to whoever holds the link, and to nobody else.

It shows what the parcel holds and how far it has come; no name, no address, no price, and no way to anything else.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

from services.views.domain import view as views
from services.views.domain.shown import ShipmentView
from services.views.pages import SAFE, render
from services.views.reader import Reader
from shared.service.http import PUBLIC
from shared.service.limits import Buckets, too_many
from shared.service.links import BadLinkError, Claims, ExpiredLinkError, Links
from shared.service.problems import Problem
from shared.service.routes import ServiceRoute

#: Views of one link a second: a person reloads, a machine is told to wait.
VIEWS_PER_S = 1.0

#: Not in an index, not in a cache on the way, and not in the log of whatever is looked at next.
HIDDEN = {
    **SAFE,
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow, noarchive",
}


def routes(
    reader: Reader, links: Links, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> APIRouter:
    """The page."""
    r = APIRouter(
        route_class=ServiceRoute, include_in_schema=False, default_response_class=HTMLResponse
    )
    buckets = Buckets()

    @r.get("/track/{token}", dependencies=[PUBLIC])
    async def track(token: str) -> Response:
        """One parcel."""
        try:
            claims = links.read(token, now())
        except BadLinkError:
            return _told(
                404,
                "We do not know this link",
                "Open the link in our e-mail again, and take all of it.",
            )
        except ExpiredLinkError:
            return _told(
                410,
                "This link has expired",
                "If your parcel has not come, ask the shop, and give the number of your order.",
            )
        taken = buckets.take(f"{claims.order_id}/{claims.package_id}", VIEWS_PER_S)
        if taken.wait_s:
            page = _told(
                429, "One moment, please", "This page was opened very often. Wait a few seconds."
            )
            page.headers.update(too_many(taken, "").headers or {})
            return page
        try:
            return await _shown(reader, claims)
        except Problem as problem:
            page = _told(problem.status_code, "We cannot look right now", "Try again in a minute.")
            page.headers.update(problem.headers or {})
            return page

    return r


async def _shown(reader: Reader, claims: Claims) -> Response:
    found = await reader.order(claims.order_id)
    order = views.view(found) if found is not None else None
    parcels = order.shipments if order is not None else ()
    parcel = next((s for s in parcels if s.package_id == claims.package_id), None)
    if order is None or parcel is None:
        return _told(404, "Nothing is known of this parcel yet", "Try again in a minute.")
    return render(
        "track.html",
        200,
        HIDDEN,
        number=order.number,
        parcel=parcel,
        steps=steps(parcel),
        others=len(parcels) - 1,
    )


def steps(parcel: ShipmentView) -> list[tuple[str, datetime | None, bool]]:
    """How far the parcel has come: words, when, and whether it has got there."""
    delivered = parcel.state == "delivered"
    shipped = delivered or parcel.state == "shipped"
    return [
        ("Packed", parcel.packed_at, True),
        ("Handed to the carrier", parcel.shipped_at, shipped),
        ("Delivered", parcel.delivered_at, delivered),
    ]


def _told(status: int, title: str, detail: str) -> HTMLResponse:
    return render("track_problem.html", status, HIDDEN, title=title, detail=detail)
