"""The views over HTTP: orders, their timelines and causes, and stock."""

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Header, Path, Query, Response

from services.views import projections
from services.views.domain import view as views
from services.views.domain.document import Document
from services.views.domain.shown import OrderView, ReturnView, Summary
from services.views.domain.timeline import Cause, Entry, causes
from services.views.feed import Feeder
from services.views.handlers import TABLE
from services.views.lookup import find, page_of
from services.views.reader import Filter, Reader, Stock, starting
from shared.ledger.postgres import PostgresStore
from shared.service import Identifier, Principal, Problem, Role, Timestamp, parked, require, router
from shared.service.answers import answer, encoded, etag
from shared.service.pagination import Cursor, Limit, decode_cursor, encode_cursor, link_header

STATUSES = ("placed", "confirmed", "completed", "rejected", "cancelled", "expired")
StatusName = Literal["placed", "confirmed", "completed", "rejected", "cancelled", "expired"]

#: Who may look at orders with everything that was done for them. A channel sees its own orders only.
ORDER_READERS = (Role.AGENT, Role.OPS, Role.AUDITOR, Role.CHANNEL)

OrderReader = Annotated[Principal, Depends(require(*ORDER_READERS))]
#: A customer as well, who sees the outside of its own orders.
OwnReader = Annotated[Principal, Depends(require(*ORDER_READERS, Role.CUSTOMER))]
StockReader = Annotated[Principal, Depends(require(*ORDER_READERS, Role.WAREHOUSE, shared=True))]
Asked = Annotated[str, Query(max_length=200)]
AsOf = Annotated[Timestamp | None, Query(description="The order as it was known at this time")]


class Page(msgspec.Struct, frozen=True):
    """A page of orders; ``next`` is the cursor of the page after it."""

    items: list[Summary]
    next: str | None


class Timeline(msgspec.Struct, frozen=True):
    """Everything that was said about an order, causes before effects."""

    order_id: str
    items: list[Entry]


class Why(msgspec.Struct, frozen=True):
    """What led to what: roots are causes from outside the order's log."""

    order_id: str
    items: list[Cause]


class Returns(msgspec.Struct, frozen=True):
    """An order's returns, each with its refund."""

    order_id: str
    items: tuple[ReturnView, ...]


class StockLevel(msgspec.Struct, frozen=True):
    """Units of a SKU at a location; ``available`` = on_hand − reserved − allocated."""

    sku: str
    location: str
    on_hand: int
    reserved: int
    allocated: int
    available: int


class StockPage(msgspec.Struct, frozen=True):
    """A page of stock levels, by SKU and location."""

    items: list[StockLevel]
    next: str | None


def routes(database: PostgresStore, reader: Reader, feeder: Feeder) -> APIRouter:
    """The JSON API."""
    r = router(tags=["views"])
    _list_routes(r, reader)
    _order_routes(r, reader)
    _stock_routes(r, reader)
    r.include_router(projections.routes(database, feeder))
    r.include_router(parked.routes(TABLE, lambda: _parking(feeder)))
    return r


def _shown(found: Document, who: Principal) -> OrderView:
    shown = views.view(found)
    return views.outside(shown) if who.role is Role.CUSTOMER else shown


def _list_routes(r: APIRouter, reader: Reader) -> None:
    async def listed(
        path: str,
        who: Principal,
        which: Filter,
        cursor: str | None,
        limit: int,
        asked: dict[str, str | int],
    ) -> Response:
        found, following = await page_of(reader, who, which, cursor, limit)
        link = link_header(path, next_cursor=following, parameters=asked)
        page = Page([views.summary(d) for d in found], following)
        return encoded(page, {"link": link})

    @r.get("/orders", response_class=Response, responses=answer(Page, "Newest first"))
    async def orders(
        *,
        who: OwnReader,
        status: Annotated[StatusName | None, Query()] = None,
        channel: Asked = "",
        q: Annotated[
            str, Query(max_length=200, description="Number, name, e-mail, phone, SKU, tracking")
        ] = "",
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Response:
        """Orders by business time, newest first."""
        which = Filter((status,) if status else (), channel, q)
        asked: dict[str, str | int] = {"status": status or "", "channel": channel, "q": q}
        kept = {name: value for name, value in asked.items() if value} | {"limit": limit}
        return await listed("/orders", who, which, cursor, limit, kept)

    @r.get(
        "/customers/{id}/orders",
        response_class=Response,
        responses=answer(Page, "Newest first"),
    )
    async def customers_orders(
        id: Annotated[str, Path(max_length=254)],
        who: OwnReader,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Response:
        """A customer's orders; ``id`` is the customer's id or e-mail address."""
        if who.role is Role.CUSTOMER and id != who.customer:
            raise Problem(404, "customer-unknown", "No such customer", detail="Ask by your own id.")
        which = Filter(customer=id)
        return await listed(f"/customers/{id}/orders", who, which, cursor, limit, {"limit": limit})


def _order_routes(r: APIRouter, reader: Reader) -> None:
    @r.get(
        "/orders/{order_id}",
        response_class=Response,
        responses=answer(OrderView, "The order, whole")
        | {304: {"description": "Not changed since If-None-Match"}},
    )
    async def order(
        order_id: Identifier,
        who: OwnReader,
        as_of: AsOf = None,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """One order: its axes, lines, money, shipments and returns. ETag is its version."""
        found = await find(reader, who, order_id, as_of)
        tag = etag(found.version)
        if if_none_match and tag in [
            t.strip().removeprefix("W/") for t in if_none_match.split(",")
        ]:
            return Response(status_code=304, headers={"etag": tag})
        return encoded(_shown(found, who), {"etag": tag})

    @r.get(
        "/orders/{order_id}/returns",
        response_class=Response,
        responses=answer(Returns, "In the order in which they were asked for"),
    )
    async def returns(order_id: Identifier, who: OwnReader) -> Response:
        """What is coming back of an order or came back, and the refunds."""
        found = await find(reader, who, order_id, None)
        return encoded(Returns(order_id, _shown(found, who).returns))

    @r.get(
        "/orders/{order_id}/timeline",
        response_class=Response,
        responses=answer(Timeline, "Causes before effects"),
    )
    async def timeline(order_id: Identifier, who: OrderReader) -> Response:
        """Everything that was said about an order: who, when, why, and the record itself."""
        await find(reader, who, order_id, None)
        return encoded(Timeline(order_id, await reader.timeline(order_id)))

    @r.get(
        "/orders/{order_id}/why",
        response_class=Response,
        responses=answer(Why, "A tree of causes"),
    )
    async def why(order_id: Identifier, who: OrderReader) -> Response:
        """What led to what."""
        await find(reader, who, order_id, None)
        return encoded(Why(order_id, causes(await reader.timeline(order_id))))


def _stock_routes(r: APIRouter, reader: Reader) -> None:
    @r.get(
        "/availability",
        response_class=Response,
        responses=answer(StockPage, "By SKU and location"),
    )
    async def availability(
        who: StockReader,
        sku: Annotated[
            list[Annotated[str, Query(max_length=64)]] | None, Query(max_length=100)
        ] = None,
        location: Asked = "",
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> Response:
        """Units on hand, promised and free, per SKU and location."""
        after = None
        if cursor is not None:
            after_sku, after_location = decode_cursor(cursor, str, str)
            after = (str(after_sku), str(after_location))
        found = await reader.availability(sku or (), location, after, limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        following = encode_cursor(last.sku, last.location) if last else None
        return encoded(StockPage([_level(s) for s in found[:limit]], following))


def _level(stock: Stock) -> StockLevel:
    return StockLevel(*stock, stock.on_hand - stock.reserved - stock.allocated)


def _parking(feeder: Feeder) -> parked.Parking:
    """That of the version that is fed and read (the oldest, while another is built)."""
    if not feeder.fed:
        raise starting()
    feeding = feeder.fed[min(feeder.fed)]
    return parked.Parking(feeding.store, feeding.projector)
