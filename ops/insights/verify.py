"""Compares what the insights say with a recount of the topics."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, NamedTuple

import httpx

from ops.cli.client import get
from ops.insights.recount import Recount, SaleKey


class Difference(NamedTuple):
    """A figure of which the service says something else than the topics."""

    what: str
    topics: str
    insights: str


async def compare(http: httpx.AsyncClient, counted: Recount) -> tuple[int, list[Difference]]:
    """How many figures were compared, and those that differ. Windows that the service no longer keeps are left out."""
    differences: list[Difference] = []
    compared = 0
    for size in ("day", "hour", "minute"):
        said: dict[SaleKey, tuple[int, int]] = {}
        async for row in _pages(http, "/sales", window=size):
            start = int(datetime.fromisoformat(row["start"]).timestamp())
            key = (size, start, row["sku"], row["channel"], row["currency"])
            said[key] = (row["units"], row["revenue"])
        oldest = _kept_from(size, min((key[1] for key in said), default=0))
        wanted = {
            key: (units, counted.revenue[key])
            for key, units in counted.units.items()
            if key[0] == size and key[1] >= oldest
        }
        compared += len(wanted)
        differences += [
            Difference(" ".join(map(str, key)), str(wanted.get(key)), str(said.get(key)))
            for key in sorted(wanted.keys() | said.keys())
            if wanted.get(key) != said.get(key)
        ]
    available = {row["sku"]: row["available"] async for row in _pages(http, "/stock-cover")}
    compared += len(available)
    differences += [
        Difference(f"available {sku}", str(counted.available[sku]), str(available.get(sku)))
        for sku in sorted(available.keys() | counted.available.keys())
        if counted.available[sku] != available.get(sku, 0)
    ]
    return compared, differences


def _kept_from(size: str, first_said: int) -> int:
    """Days are kept for ever; of the others the service says from which window on."""
    return -(2**62) if size == "day" else first_said


async def _pages(http: httpx.AsyncClient, path: str, **query: str) -> AsyncIterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        asked = query | {"limit": "500"} | ({"cursor": cursor} if cursor else {})
        page = await get(http, path, **asked)
        for row in page["items"]:
            yield row
        cursor = page["next"]
        if cursor is None:
            return
