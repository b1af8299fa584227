"""One SKU that everybody wants, on the real inventory: 32 clients, 3,000 attempts, 1,500 units, two writers."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ops.stack import Stack
from services.inventory.handlers import TABLE
from shared.events import StockLine
from shared.events.inventory import ReceiveStock, StockReserved
from shared.ledger.refold import refold
from shared.ledger.work import Task
from shared.ledger.writer import Writer
from tests.integration.processes import place, rows
from tests.ledgerkit import PARTITIONS, going
from tests.unit.inventory.language import reserve

CLIENTS, ATTEMPTS, UNITS = 32, 3_000, 1_500


async def test_exactly_as_many_are_granted_as_there_are(stack: Stack, tmp_path: Path) -> None:
    async with place(stack, tmp_path) as at:
        dsn = await at.database()
        stores = [await at.store(dsn) for _ in range(2)]
        writers = [Writer(TABLE, store, partitions=PARTITIONS) for store in stores]
        granted = 0
        attempts = iter(range(ATTEMPTS))

        async def client(number: int) -> None:
            nonlocal granted
            for attempt in attempts:
                message = reserve(f"o{attempt}.1", "HOT", 1)
                outcome = await writers[number % 2].handle(Task(message, id=f"m-{attempt}"))
                granted += any(isinstance(event, StockReserved) for event in outcome.events)

        async with going(*(writer.run() for writer in writers)):
            stock = StockLine(sku="HOT", location="A", quantity=UNITS)
            receipt = ReceiveStock(movement_id="m-1", lines=(stock,))
            await writers[0].handle(Task(receipt, id="receipt"))
            await asyncio.gather(*(client(n) for n in range(CLIENTS)))
        assert granted == UNITS
        reserved = "select count(*) from messages where type = 'oms.inventory.reserved.v1'"
        assert await asyncio.to_thread(rows, dsn, reserved) == [(UNITS,)]
        assert [d async for d in refold(TABLE, stores[0])] == []
