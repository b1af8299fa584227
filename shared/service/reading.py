"""Reading states without locking them, for questions that decide nothing."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from shared.events.envelope import rfc3339
from shared.ledger.postgres import PostgresStore
from shared.ledger.store import Meta, Unavailable
from shared.ledger.table import Table
from shared.service.problems import Problem

_STATES = "select id, version, schema, state from streams where id = any(%(ids)b::text[])"


class Read(NamedTuple):
    """A stream's state and the version that it is of."""

    version: int
    state: Any


async def read_states(
    table: Table, store: PostgresStore, streams: Iterable[str]
) -> dict[str, Read]:
    """The states of those of the streams that exist, in one query.

    Raises `Problem` 503 when the database does not answer.
    """
    try:
        async with store.connection() as c:
            cursor = await c.cursor(binary=True).execute(_STATES, {"ids": sorted(set(streams))})
            rows = await cursor.fetchall()
        return {row[0]: await _read(table, store, *row) for row in rows}
    except Unavailable as error:
        raise Problem(
            503,
            "unavailable",
            "Service unavailable",
            detail="The database does not answer; nothing was changed. Ask again in a moment.",
            retry_after_s=1,
        ) from error


async def read_state(table: Table, store: PostgresStore, stream: str, unknown: Problem) -> Read:
    """The state of one stream. Raises ``unknown`` where there is none; see `read_states`."""
    found = await read_states(table, store, [stream])
    if stream not in found:
        raise unknown
    return found[stream]


class Story(NamedTuple):
    """A stream's state, its events, and each event's type, time, actor and cause for showing."""

    state: Any
    events: list[Any]
    history: list[dict[str, Any]]


async def read_story(table: Table, store: PostgresStore, stream: str, unknown: Problem) -> Story:
    """A stream folded from its log. Raises ``unknown`` where it has no events."""
    category = table.category(stream)
    state = category.initial()
    events, history = [], []
    for _, tag, at, meta, data in await store.stream(stream):
        event: Any = table.codec.decode(tag, data)
        state = category.evolve(state, event)
        events.append(event)
        asked = msgspec.json.decode(meta, type=Meta)
        actor = getattr(event, "actor", "") or asked.actor
        history.append({"type": tag, "at": rfc3339(at), "actor": actor, "cause": asked.causation})
    if not events:
        raise unknown
    return Story(state, events, history)


async def _read(
    table: Table, store: PostgresStore, stream: str, version: int, schema: int, data: bytes
) -> Read:
    category = table.category(stream)
    if schema == category.schema:
        return Read(version, table.decode_state(stream, data))
    # A snapshot of an older shape, not written since the upgrade: the events are the truth.
    state = category.initial()
    events = await store.stream(stream)
    for _, tag, _, _, event in events:
        state = category.evolve(state, table.codec.decode(tag, event))
    return Read(events[-1][0], state)
