"""Many shoppers, one SKU, through POST /orders, two services and two topics: every unit is promised once.

``OMS_HOT_SKU=3000`` makes it 3,000 attempts on 1,500 units.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from tests.integration.order.world import Shopper, World, holds, order

ATTEMPTS = int(os.environ.get("OMS_HOT_SKU", "600"))
UNITS = ATTEMPTS // 2
SHOPPERS = 32
SECONDS_MAX = 60 + ATTEMPTS / 20


@pytest.fixture
async def both(world: World) -> AsyncIterator[World]:
    """Inventory runs only here: elsewhere it would answer for stock that the tests only speak of."""
    await world.ready()
    await world.ready("inventory")
    yield world
    assert await world.stop("inventory") == 0


async def test_exactly_as_many_are_granted_as_there_are(both: World) -> None:
    world = both
    async with httpx.AsyncClient(base_url=world.url("inventory"), trust_env=False) as http:
        headers = world.keys.bearer("inventory", "warehouse")
        for path, body in (
            ("/items", {"sku": "HOT"}),
            (
                "/receipts",
                {"movement_id": "hot", "lines": [_units("east", UNITS - 7), _units("west", 7)]},
            ),
        ):
            answer = await http.post(path, json=body, headers=headers | {"idempotency-key": path})
            assert answer.status_code == 201, answer.text
    await holds(lambda: world.count("select count(*) from items where sku = 'HOT'") == 1)

    queue = iter(range(ATTEMPTS))
    line = {"line_id": "1", "sku": "HOT", "quantity": 1, "unit_price": 500}

    async def shop(shopper: Shopper) -> None:
        for n in queue:
            body = msgspec.json.encode(order(f"hot-{n}", lines=[line]))
            status, content = await shopper.place(body, f"hot-{n}")
            assert status == 201, content

    async with world.shoppers(SHOPPERS) as shoppers:
        await asyncio.gather(*map(shop, shoppers))

    def settled() -> Counter[str]:
        sql = """select type from messages where stream = any(
                   select stream from messages where type = 'oms.order.placed.v1'
                   and convert_from(data, 'UTF8') like '%"HOT"%')"""
        return Counter(type.split(".")[2] for (type,) in world.rows(sql))

    def ended() -> bool:
        found = settled()
        return found["confirmed"] + found["rejected"] == ATTEMPTS

    await holds(ended, SECONDS_MAX)
    found = settled()
    assert (found["reserved"], found["confirmed"], found["rejected"]) == (
        UNITS,
        UNITS,
        ATTEMPTS - UNITS,
    )
    granted = world.count(
        """select count(*) from messages where type = 'oms.inventory.reserved.v1'
           and convert_from(data, 'UTF8') like '%"HOT"%'""",
        service="inventory",
    )
    assert granted == UNITS
    stock = await _stock(world)
    assert (stock["on_hand"], stock["allocated"], stock["available"]) == (UNITS, UNITS, 0)


def _units(location: str, quantity: int) -> dict[str, object]:
    return {"sku": "HOT", "location": location, "quantity": quantity}


async def _stock(world: World) -> dict[str, int]:
    async with httpx.AsyncClient(base_url=world.url("inventory"), trust_env=False) as http:
        answer = await http.get("/stock/HOT", headers=world.keys.bearer("inventory", "agent"))
        found: dict[str, int] = answer.json()
        return found
