"""The list of documents: a projection, written with the events that it shows."""

from typing import Any, NamedTuple

from psycopg.rows import class_row

from shared.events import Message, States, encode
from shared.events.erp import CreditNote, ErpDocument, Invoice, SalesOrder
from shared.ledger.postgres import PostgresStore
from shared.ledger.table import Projection, Statement

_KEEP = """
insert into erp_documents (position, number, type, order_id, document)
select * from unnest(%(position)b::int8[], %(number)b::text[], %(type)b::text[], %(order_id)b::text[],
    %(document)b::bytea[])
on conflict (position) do nothing"""
_LIST = """
select position, type, document from erp_documents
where position > %(after)b and (%(type)s::text is null or type = %(type)s)
order by position limit %(limit)b"""
_LAST = "select coalesce(max(position), 0) from erp_documents"
_CURSORS = (
    "select substr(id, 11) from streams where id like 'erpcursor-%%' order by id limit %(limit)b"
)


def _statements(messages: list[Message], states: States) -> list[Statement]:
    found = [m for m in messages if isinstance(m, ErpDocument)]
    if not found:
        return []
    columns: dict[str, Any] = {
        "position": [m.position for m in found],
        "number": [m.number for m in found],
        "type": [m.tag() for m in found],
        "order_id": [m.order_id for m in found],
        "document": [encode(m) for m in found],
    }
    return [(_KEEP, columns)]


DOCUMENTS = Projection(frozenset({SalesOrder, Invoice, CreditNote}), _statements)


class Row(NamedTuple):
    """One document as JSON, and where it stands."""

    position: int
    type: str
    document: bytes


async def page(store: PostgresStore, after: int, limit: int, tag: str | None = None) -> list[Row]:
    """Documents in order, from ``after`` (exclusive). Positions have no gaps and appear in order, so a reader who goes
    on after the last one misses none."""
    args = {"after": after, "limit": limit, "type": tag}
    async with store.connection() as c:
        cursor = await c.cursor(row_factory=class_row(Row), binary=True).execute(_LIST, args)
        return await cursor.fetchall()


async def last(store: PostgresStore) -> int:
    """The position of the youngest document."""
    async with store.connection() as c:
        row = await (await c.execute(_LAST)).fetchone()
    assert row is not None
    return int(row[0])


async def cursor_names(store: PostgresStore, limit: int) -> list[str]:
    """Every reader's name."""
    async with store.connection() as c:
        return [row[0] for row in await (await c.execute(_CURSORS, {"limit": limit})).fetchall()]
