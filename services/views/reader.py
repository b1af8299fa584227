"""Reading the views: the version that is live, its orders, timelines, stock and marks."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from services.views import versions
from services.views.batch import Meta
from services.views.domain import document as documents
from services.views.domain import timeline, words
from services.views.domain.document import FOLDS, Document
from services.views.domain.terms import normal, phone
from services.views.domain.timeline import Entry
from services.views.handlers import TABLE
from services.views.store import SQL, schema
from shared.events import BadPayload, Event, UnknownType
from shared.ledger.postgres import PostgresStore
from shared.service import Problem

#: Entries of one order that are read; an order has some tens.
ENTRIES_MAX = 5000
VERSION_SECONDS = 1.0

_meta = msgspec.json.Decoder(Meta)


class Filter(NamedTuple):
    """Which orders a list shows; empty means any. ``text`` is what somebody typed."""

    status: Sequence[str] = ()
    channel: str = ""
    text: str = ""
    customer: str = ""


class Place(NamedTuple):
    """Where a page of a list goes on: after this order, newest first."""

    placed_at: datetime
    id: str


class Stock(NamedTuple):
    """Units of one SKU at one location."""

    sku: str
    location: str
    on_hand: int
    reserved: int
    allocated: int


def starting() -> Problem:
    """The answer while no version of the views exists."""
    return Problem(
        503,
        "starting",
        "The views are starting",
        detail="Their first version is being made; /readyz says when. Ask again in a moment.",
        retry_after_s=1,
    )


class Reader:
    """See the module. Looks up which version is live at most once a second."""

    def __init__(self, database: PostgresStore) -> None:
        self._database = database
        self._version = 0
        self._looked_at = float("-inf")

    async def version(self) -> int:
        """The version that is read now. Raises `Problem` 503 while there is none."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at > VERSION_SECONDS:
            try:
                self._version = (await versions.current(self._database)).version
            except LookupError as none_yet:
                raise starting() from none_yet
            self._looked_at = now
        return self._version

    async def _all(self, sql: str, **args: Any) -> list[tuple[Any, ...]]:
        path = f"set local search_path to {schema(await self.version())}, public"
        async with self._database.connection() as c, c.pipeline():
            await c.execute("begin read only")
            await c.execute(path)
            cursor = await c.cursor(binary=True).execute(sql, args)
            await c.execute("commit")
            return await cursor.fetchall()

    async def order(self, order_id: str) -> Document | None:
        """One order's document."""
        rows = await self._all("select document from orders where id = %(id)b", id=order_id)
        return documents.decode(rows[0][0]) if rows else None

    async def orders(self, which: Filter, after: Place | None, limit: int) -> list[Document]:
        """Orders by business time, newest first."""
        conditions, args = _conditions(which)
        if after is not None:
            conditions.append("(placed_at, id) < (%(placed_at)b, %(id)b)")
            args |= {"placed_at": after.placed_at, "id": after.id}
        sql = f"""select document from orders where {" and ".join(conditions)}
                  order by placed_at desc, id desc limit %(limit)b"""  # noqa: S608 - fixed fragments
        return [documents.decode(r[0]) for r in await self._all(sql, **args, limit=limit)]

    async def channels(self) -> list[str]:
        """The channels that orders came through."""
        return [r[0] for r in await self._all(SQL["channels"])]

    async def timeline(self, order_id: str) -> list[Entry]:
        """Everything that was said about an order, causes before effects."""
        rows = await self._all(
            """select at, type, partition, "offset", position, meta, data from timeline
               where order_id = %(id)b order by at, position limit %(limit)b""",
            id=order_id,
            limit=ENTRIES_MAX,
        )
        return timeline.ordered(_entry(row) for row in rows)

    async def order_as_of(self, order_id: str, at: datetime) -> Document | None:
        """An order as it was known at a time: its timeline folded up to there."""
        rows = await self._all(
            """select type, at, data from timeline where order_id = %(id)b and at <= %(at)b
               order by position limit %(limit)b""",
            id=order_id,
            at=at,
            limit=ENTRIES_MAX,
        )
        document = Document(order_id=order_id)
        for tag, recorded, data in rows:
            event = TABLE.codec.decode(tag, data)
            if type(event) in FOLDS:
                assert isinstance(event, Event)
                document = documents.apply(document, event, recorded)
        return document if rows else None

    async def availability(
        self, skus: Sequence[str], location: str, after: tuple[str, str] | None, limit: int
    ) -> list[Stock]:
        """Stock by SKU and location, in that order; of these SKUs only, if any are named."""
        conditions = ["true"]
        args: dict[str, Any] = {"limit": limit}
        if skus:
            conditions.append("sku = any(%(skus)b::text[])")
            args["skus"] = list(skus)
        if location:
            conditions.append("location = %(location)b")
            args["location"] = location
        if after is not None:
            conditions.append("(sku, location) > (%(sku)b, %(after)b)")
            args |= {"sku": after[0], "after": after[1]}
        sql = f"""select sku, location, on_hand, reserved, allocated from availability
                  where {" and ".join(conditions)} order by sku, location limit %(limit)b"""  # noqa: S608
        return [Stock(*r) for r in await self._all(sql, **args)]


def _conditions(which: Filter) -> tuple[list[str], dict[str, Any]]:
    conditions = ["placed_at is not null"]
    args: dict[str, Any] = {}
    if which.status:
        conditions.append("status = any(%(status)b::text[])")
        args["status"] = list(which.status)
    if which.channel:
        conditions.append("channel = %(channel)b")
        args["channel"] = which.channel
    if which.customer:
        conditions.append(
            """id in (select order_id from terms
                      where term = %(customer)b and kind in ('customer', 'email'))"""
        )
        args["customer"] = normal(which.customer)
    if text := normal(which.text):
        conditions.append(
            """(id = %(text)b or id in (select order_id from terms
                 where term >= %(text)b and term < %(beyond)b or term = %(phone)b))"""
        )
        args |= {"text": text, "beyond": text + "\U0010ffff", "phone": phone(text) or text}
    return conditions, args


def _entry(row: tuple[Any, ...]) -> Entry:
    at, tag, partition, offset, position, raw_meta, data = row
    meta = _meta.decode(raw_meta)
    service = tag.split(".")[1]
    return Entry(
        id=meta.id,
        at=at,
        service=service,
        type=tag,
        summary=_summary(tag, data),
        actor=meta.actor,
        causation_id=meta.causation,
        correlation_id=meta.correlation,
        topic=f"oms.{service}.events",
        partition=partition,
        offset=offset,
        position=position,
        data=msgspec.Raw(data),
    )


def _summary(tag: str, data: bytes) -> str:
    """In plain words; a version that this code does not know by its name."""
    try:
        event = TABLE.codec.decode(tag, data)
    except (UnknownType, BadPayload):
        return tag
    return words.summary(event) if isinstance(event, Event) else tag
