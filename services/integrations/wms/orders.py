"""The list of fulfillments in external warehouses: a projection, written with the events that it shows."""

from typing import Any

from psycopg.rows import dict_row

from services.integrations.domain.wms import WmsOrder
from shared.events import Message, States
from shared.events.wms import (
    CancellationSettled,
    FulfillmentAccepted,
    FulfillmentRejected,
    FulfillmentSubmitted,
    PickTaken,
    WmsCancellationRequested,
    WmsEvent,
)
from shared.ledger.postgres import PostgresStore
from shared.ledger.table import Projection, Statement

_SHOW = """
insert into wms_orders (fulfillment_id, order_id, location, handshake, cancellation, reference, reason)
select * from unnest(%(fulfillment_id)b::text[], %(order_id)b::text[], %(location)b::text[],
    %(handshake)b::text[], %(cancellation)b::text[], %(reference)b::text[], %(reason)b::text[])
on conflict (fulfillment_id) do update set handshake = excluded.handshake,
    cancellation = excluded.cancellation, reference = excluded.reference, reason = excluded.reason"""
_LIST = """
select position, fulfillment_id, order_id, location, handshake, cancellation, reference, reason
from wms_orders
where position > %(after)b and (%(handshake)s::text is null or handshake = %(handshake)s)
  and (%(cancellation)s::text is null or cancellation = %(cancellation)s)
order by position limit %(limit)b"""

_EVENTS: frozenset[type[Message]] = frozenset(
    (
        FulfillmentSubmitted,
        FulfillmentAccepted,
        FulfillmentRejected,
        PickTaken,
        WmsCancellationRequested,
        CancellationSettled,
    )
)


def _statements(messages: list[Message], states: States) -> list[Statement]:
    found: dict[str, WmsOrder] = {
        m.fulfillment_id: states[m.subject] for m in messages if isinstance(m, WmsEvent)
    }
    if not found:
        return []
    columns: dict[str, Any] = {"fulfillment_id": list(found)}
    for name in ("order_id", "location", "handshake", "cancellation", "reference", "reason"):
        columns[name] = [str(getattr(state, name)) for state in found.values()]
    return [(_SHOW, columns)]


WMS_ORDERS = Projection(_EVENTS, _statements)


async def page(
    store: PostgresStore, *, after: int, limit: int, handshake: str | None, cancellation: str | None
) -> list[dict[str, Any]]:
    """Fulfillments in the order in which they were submitted; None means any."""
    args = {"after": after, "limit": limit, "handshake": handshake, "cancellation": cancellation}
    async with store.connection() as c:
        cursor = await c.cursor(row_factory=dict_row).execute(_LIST, args)
        return await cursor.fetchall()
