"""The list of refused inputs: a projection, written with the events that it shows."""

from typing import Any

from psycopg.rows import dict_row

from shared.events import Message, States
from shared.events.envelope import rfc3339
from shared.events.integrations import InputRefused, InputResubmitted
from shared.ledger.postgres import PostgresStore
from shared.ledger.table import Projection, Statement

_KEEP = """
insert into refused (refusal_id, source, channel, reference, reason, detail, payload)
values (%(refusal_id)s, %(source)s, %(channel)s, %(reference)s, %(reason)s, %(detail)s, %(payload)s)
on conflict (refusal_id) do update set reason = excluded.reason, detail = excluded.detail,
    payload = excluded.payload"""
_CLOSE = "update refused set resubmitted = true where refusal_id = %(refusal_id)s"
_COLUMNS = "refusal_id, source, channel, reference, reason, detail, refused_at, resubmitted"
_LIST = f"""
select number, {_COLUMNS} from refused
where number > %(after)b and (not resubmitted or %(all)b) and (source = %(source)s or %(source)s = '')
order by number limit %(limit)b"""  # noqa: S608 - constants
_SHOW = f"select {_COLUMNS}, payload from refused where refusal_id = %(id)s"  # noqa: S608


def _statements(messages: list[Message], states: States) -> list[Statement]:
    out: list[Statement] = []
    for m in messages:
        if isinstance(m, InputRefused):
            fields = ("refusal_id", "source", "channel", "reference", "reason", "detail", "payload")
            out.append((_KEEP, {f: getattr(m, f) for f in fields}))
        elif isinstance(m, InputResubmitted):
            out.append((_CLOSE, {"refusal_id": m.refusal_id}))
    return out


REFUSED = Projection(frozenset({InputRefused, InputResubmitted}), _statements)


async def refused_page(
    store: PostgresStore, *, source: str, everything: bool, after: int, limit: int
) -> list[dict[str, Any]]:
    """Refused inputs in the order in which they came, without payload; with ``everything`` the resubmitted ones as well."""
    args = {"source": source, "all": everything, "after": after, "limit": limit}
    async with store.connection() as c:
        cursor = await c.cursor(row_factory=dict_row).execute(_LIST, args)
        return [_shown(row) for row in await cursor.fetchall()]


async def refused_input(store: PostgresStore, refusal_id: str) -> dict[str, Any] | None:
    """One refused input with its payload."""
    async with store.connection() as c:
        cursor = await c.cursor(row_factory=dict_row).execute(_SHOW, {"id": refusal_id})
        found = await cursor.fetchone()
    return None if found is None else _shown(found)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"refused_at": rfc3339(row["refused_at"])}
