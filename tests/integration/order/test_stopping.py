"""SIGTERM under load: every answer that was given holds, and the process ends by itself in time."""

from __future__ import annotations

import asyncio
import time

import msgspec

from shared.events.order import order_id_for
from tests.integration.order.world import Shopper, World, order

ENDS_WITHIN_SECONDS = 10.0
SHOPPERS = 16


async def test_sigterm_under_load_loses_no_answered_order(world: World) -> None:
    await world.ready()
    answered: list[str] = []
    refused: list[int] = []

    async def shop(shopper: Shopper, number: int) -> None:
        for turn in range(100_000):
            name = f"term-{number}-{turn}"
            try:
                status, _ = await shopper.place(msgspec.json.encode(order(name)), name)
            except (OSError, EOFError):
                return  # closed without an answer: the key may be sent again
            if status == 201:
                answered.append(name)
            else:
                refused.append(status)

    async with world.shoppers(SHOPPERS) as shoppers:
        load = [asyncio.create_task(shop(s, n)) for n, s in enumerate(shoppers)]
        while len(answered) < 200:
            await asyncio.sleep(0.05)
        started = time.monotonic()
        status = await world.stop()
        seconds = time.monotonic() - started
        await asyncio.gather(*load)
    assert status == 0
    assert seconds < ENDS_WITHIN_SECONDS
    assert set(refused) <= {503}
    placed = world.rows("select stream from messages where type = 'oms.order.placed.v1'")
    streams = {stream for (stream,) in placed}
    lost = [name for name in answered if f"order-{order_id_for('web', name)}" not in streams]
    assert lost == []

    await world.start()
    async with world.client() as client:
        for name in answered[-20:]:
            again = await client.place(order(name), key=name)
            assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
