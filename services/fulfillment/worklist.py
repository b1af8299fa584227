"""The work list: unfinished fulfillments, kept in the transaction of their events."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.rows import class_row

from services.fulfillment.domain.automatic import Automatic
from services.fulfillment.domain.state import Fulfillment, Stage, stage
from shared.events import Message, States
from shared.events.fulfillment import (
    Delivered,
    FulfillmentCancelled,
    FulfillmentEvent,
    FulfillmentOpened,
    ItemsPicked,
    PackagePacked,
    PickingStarted,
    Shipped,
)
from shared.ledger.postgres import PostgresStore
from shared.ledger.table import Projection, Statement

#: Stages in which there is work left.
UNFINISHED = (Stage.OPEN, Stage.PICKING, Stage.PICKED, Stage.PACKED, Stage.SHIPPED)

_SHOW = """insert into worklist
    (fulfillment_id, order_id, location, stage, picker, units_open, units_loose)
select * from unnest(%(fulfillment_id)b::text[], %(order_id)b::text[], %(location)b::text[],
    %(stage)b::text[], %(picker)b::text[], %(units_open)b::int4[], %(units_loose)b::int4[])
on conflict (fulfillment_id) do update set stage = excluded.stage, picker = excluded.picker,
    units_open = excluded.units_open, units_loose = excluded.units_loose"""

_HIDE = "delete from worklist where fulfillment_id = any(%(fulfillment_id)b::text[])"

_LIST = """select position, fulfillment_id, order_id, location, stage, picker, units_open,
    units_loose, opened_at from worklist
where position > %(after)s and (%(location)s::text is null or location = %(location)s)
  and (%(stage)s::text is null or stage = %(stage)s)
order by position limit %(limit)s"""

_EVENTS: frozenset[type[Message]] = frozenset(
    (
        FulfillmentOpened,
        PickingStarted,
        ItemsPicked,
        PackagePacked,
        Shipped,
        Delivered,
        FulfillmentCancelled,
    )
)


class Entry(NamedTuple):
    """One unfinished fulfillment; ``position`` orders the list, oldest first."""

    position: int
    fulfillment_id: str
    order_id: str
    location: str
    stage: str
    picker: str | None
    units_open: int
    units_loose: int
    opened_at: datetime


def projection(automatic: Automatic) -> Projection:
    """Keeps the work list of all locations that don't confirm by themselves."""
    return Projection(_EVENTS, _statements(automatic))


def _statements(
    automatic: Automatic,
) -> Callable[[list[Message], States], list[Statement]]:
    def statements(messages: list[Message], states: States) -> list[Statement]:
        found: dict[str, Fulfillment] = {
            m.fulfillment_id: states[m.subject] for m in messages if isinstance(m, FulfillmentEvent)
        }
        by_hand = {
            fulfillment_id: state
            for fulfillment_id, state in found.items()
            if not automatic.confirms(state.location)
        }
        shown = {id_: s for id_, s in by_hand.items() if stage(s) in UNFINISHED}
        hidden = sorted(by_hand.keys() - shown.keys())
        out: list[Statement] = []
        if shown:
            out.append((_SHOW, _columns(shown)))
        if hidden:
            out.append((_HIDE, {"fulfillment_id": hidden}))
        return out

    return statements


def _columns(shown: dict[str, Fulfillment]) -> dict[str, Any]:
    states = list(shown.values())
    return {
        "fulfillment_id": list(shown),
        "order_id": [s.order_id for s in states],
        "location": [s.location for s in states],
        "stage": [stage(s).value for s in states],
        "picker": [s.picker for s in states],
        "units_open": [sum(line.open for line in s.lines) for s in states],
        "units_loose": [sum(line.loose for line in s.lines) for s in states],
    }


async def entries(
    store: PostgresStore, *, location: str | None, stage: str | None, after: int, limit: int
) -> list[Entry]:
    """A page of the work list above position ``after``, oldest first; None means any."""
    args = {"location": location, "stage": stage, "after": after, "limit": limit}
    async with store.connection() as connection:
        async with connection.cursor(row_factory=class_row(Entry)) as cursor:
            await cursor.execute(_LIST, args)
            return await cursor.fetchall()
