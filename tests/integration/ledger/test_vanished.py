"""The road to the database dies without a word: both ends give up by themselves, and what was locked is free again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ops.stack import Stack
from ops.stack.ports import free_ports
from shared.ledger import postgres
from shared.ledger.store import Unavailable
from tests.chaos.road import Road
from tests.integration.processes import place

LOCK = "select position from head for update"


async def vanishing(store: postgres.PostgresStore, road: Road) -> None:
    """Lock a row, and lose the road."""
    async with store.connection() as c:
        await c.execute("begin")
        await c.execute(LOCK)
        await road.deafen()
        await c.execute("select 1")


async def test_a_transaction_whose_client_is_gone_holds_nobody_up(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "ANSWER_SECONDS_MAX", 1)
    monkeypatch.setattr(postgres, "IDLE_SECONDS_MAX", 2)
    async with place(stack, tmp_path) as at:
        dsn = await at.database()
        road = Road(free_ports(1)[0], int(str(conninfo_to_dict(dsn)["port"])))
        await road.open()
        try:
            far = await at.store(make_conninfo(dsn, port=road.port))
            with pytest.raises(Unavailable):
                await vanishing(far, road)
            await road.hear()
            monkeypatch.setattr(postgres, "ANSWER_SECONDS_MAX", 10)
            near = await at.store(dsn)
            async with asyncio.timeout(8), near.connection() as c:
                await c.execute(LOCK)
            async with asyncio.timeout(8), far.connection() as c:
                await c.execute("select 1")
        finally:
            await road.close()
