"""Two processes of one service that want each other's rows, by two explicit transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from ops.stack import Stack, create_database
from shared.ledger.migrate import migrate
from shared.ledger.postgres import PostgresStore
from shared.ledger.store import Conflict, EffectRow, TimerRef, TimerRow, Want
from tests.ledgerkit import snapshot, writes
from tests.spec import NOON

TIMER = TimerRow("a-1", "wake", NOON, "oms.x.wake.v1", b"{}", b"{}")


@pytest.fixture
async def store(stack: Stack) -> AsyncIterator[PostgresStore]:
    """A service's database with one stream and its timer."""
    address = create_database(stack.postgres, f"t_{uuid4().hex[:8]}", stack.data)
    migrate(address, None)
    opened = PostgresStore(address)
    await opened.open()
    async with opened.transaction() as tx:
        await tx.read(Want())
        await tx.write(writes(streams={"a-1": snapshot(1)}, timers={TIMER[:2]: TIMER}))
    yield opened
    await opened.close()


async def test_of_two_batches_that_wait_for_each_other_one_is_run_again(
    store: PostgresStore,
) -> None:
    """A timer fires in one process while another handles what cancels it: each holds what the other wants."""
    stream = Want(streams={"a-1"})
    fired = Want(streams={"a-1"}, timers={TimerRef(*TIMER[:3])})

    async def fire() -> str:
        try:
            async with store.transaction() as tx:
                await tx.read(fired)
                await tx.write(writes(timers={TIMER[:2]: None}))
        except Conflict:
            return "again"
        return "done"

    async def cancel() -> str:
        try:
            async with store.transaction() as tx:
                await tx.read(stream)
                firing = asyncio.ensure_future(fire())
                await _locked(store)
                await tx.write(writes(timers={TIMER[:2]: None}))
        except Conflict:
            return f"again, {await firing}"
        return f"done, {await firing}"

    assert await cancel() in ("done, again", "again, done")


async def test_leases_are_renewed_while_answers_come_in(store: PostgresStore) -> None:
    """Both concern several effects of one process. They wait for each other's, and never in a circle."""
    owed = [EffectRow(name, "a-1", "oms.x.ring.v1", b"{}", b"{}") for name in ("late", "early")]
    async with store.transaction() as tx:
        await tx.read(Want())
        await tx.write(writes(effects={row.id: row for row in owed}))

    async def answer() -> None:
        async with store.transaction() as tx:
            await tx.read(Want(effects={"early", "late"}))
            await tx.write(writes(effects_answered={"early", "late"}))

    async with store.transaction() as before:
        await before.read(Want(effects={"late"}))
        renewing = asyncio.ensure_future(store.renew_leases(["late", "early"], NOON))
        await _locked(store)
        answering = asyncio.ensure_future(answer())
        await _locked(store, 2)
    await asyncio.gather(renewing, answering)
    assert await store.effects_open(10) == []


async def _locked(store: PostgresStore, waiting: int = 1) -> None:
    """Once so many wait for a lock."""
    async with store.connection() as c:
        while True:
            cursor = await c.execute("select count(*) from pg_locks where not granted")
            if (await cursor.fetchall())[0][0] >= waiting:
                return
            await asyncio.sleep(0.01)


async def test_an_effect_that_waits_for_its_next_attempt_is_due_at_once_when_retried(
    store: PostgresStore,
) -> None:
    now = datetime.now(UTC)
    lease = now + timedelta(seconds=15)
    owed = [EffectRow(name, "a-1", "oms.x.ring.v1", b"{}", b"{}") for name in ("late", "under way")]
    rows = writes(effects={row.id: row for row in owed})
    rows.at, rows.leased_until = now, lease
    async with store.transaction() as tx:
        await tx.read(Want())
        await tx.write(rows)
    await store.postpone_effect("late", "no answer", now + timedelta(seconds=60), parked=False)
    assert await store.retry_effect("late")
    assert await store.retry_effect("under way")
    due = await store.lease_effects(datetime.now(UTC) + timedelta(seconds=1), lease, 10)
    assert [row.id for row in due] == ["late"], "what is under way is not performed twice"
