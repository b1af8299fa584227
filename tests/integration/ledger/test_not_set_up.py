"""A database that lacks what this version needs: the messages are not to blame, and wait."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import psycopg
import pytest

from ops.stack import Stack, create_database
from shared.ledger.migrate import migrate
from shared.ledger.postgres import PostgresStore
from shared.ledger.store import Mark, Record, Unavailable
from shared.ledger.table import Projection
from shared.ledger.work import RecordTask, Unit
from shared.ledger.writer import Writer
from tests.ledgerkit import PARTITIONS, going, language, outgoing, tally

WORDS = language("tally")
P = (WORDS.commands, 0)
NOTE = "insert into notes (name) select unnest(%(names)b::text[])"


def record() -> RecordTask:
    message = WORDS.Add(name="a")
    out = outgoing(message, "r-0")
    record = Record(*P, 0, out.key, out.value, out.headers)
    return RecordTask(message=message, id="r-0", partition=P, mark=Mark(1, 0), record=record)


@pytest.mark.parametrize(
    ("lacks", "mend"),
    [
        (lambda _: None, lambda c: c.execute("create table notes (name text)")),
        (
            lambda c: c.execute("create table notes (other text)"),
            lambda c: c.execute("alter table notes add name text"),
        ),
    ],
    ids=["table", "column"],
)
async def test_a_migration_that_has_not_run_parks_nothing(
    stack: Stack,
    lacks: Callable[[psycopg.Connection], object],
    mend: Callable[[psycopg.Connection], object],
) -> None:
    address = create_database(stack.postgres, f"t_{uuid4().hex[:8]}", stack.data)
    migrate(address, None)
    table = tally(WORDS)
    table.projection = Projection(
        frozenset({WORDS.Added}),
        lambda messages, _: [(NOTE, {"names": [m.name for m in messages]})],  # type: ignore[attr-defined]
    )
    store = PostgresStore(address)
    await store.open()
    try:
        writer = Writer(table, store, partitions=PARTITIONS)
        with psycopg.connect(address, autocommit=True) as c:
            lacks(c)
            async with going(writer.run()):
                await store.checkpoints([P])
                with pytest.raises(Unavailable, match="notes"):
                    await writer.submit(Unit([record()], {P: Mark(0, 0)}))
                assert await store.parked_summary(10) == []
                mend(c)
                [outcome] = await writer.submit(Unit([record()], {P: Mark(0, 0)}))
            assert outcome.events  # type: ignore[union-attr]
            assert c.execute("select name from notes").fetchall() == [("a",)]
    finally:
        await store.close()


async def test_a_statement_that_a_pooler_has_forgotten_is_the_connections_fault(
    stack: Stack,
) -> None:
    address = create_database(stack.postgres, f"t_{uuid4().hex[:8]}", stack.data)
    migrate(address, None)
    store = PostgresStore(address, connections_max=1)
    await store.open()
    try:
        for _ in range(10):
            await store.published()  # often enough for the client to have it prepared
        async with store.connection() as c:
            # Told to the server alone: the client would understand the plain command.
            await c.execute("do $$ begin execute 'deallocate all'; end $$")
        with pytest.raises(Unavailable, match="prepared statement"):
            await store.published()
    finally:
        await store.close()
