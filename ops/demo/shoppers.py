"""Shoppers on three channels: they place the planned orders at a steady rate."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx

from ops.cli.client import Running, patiently, problem
from ops.demo.orderfiles import as_csv, as_jsonl, document, drop
from ops.demo.outside import OutsideProducer
from ops.demo.plan import MARKETPLACE, SHOP, WEB, Planned
from shared.events.order import PlaceOrder

CONCURRENT_MAX = 24
#: Orders of the file channel gather for so long, or until so many.
FILE_EVERY_S, FILE_ORDERS_MAX = 0.6, 40
#: How long the gateway is asked again about a request that it is still busy with.
BUSY_S = 15.0


@dataclass
class Shoppers:
    """Places orders. ``posted_ms`` are the times of answers to the gateway, ``failures`` what went wrong."""

    running: Running
    producer: OutsideProducer
    folder: Path
    posted_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    files: int = 0

    async def place_all(self, orders: Sequence[Planned], rate: float) -> None:
        """Place every order, ``rate`` a second, each through its channel; returns when all have been sent."""
        gathered: list[PlaceOrder] = []
        again: list[PlaceOrder] = []  # sent once more with the next file, not beside the first
        gathering_since = perf_counter()
        gate = asyncio.Semaphore(CONCURRENT_MAX)
        began = perf_counter()
        async with (
            self.running.http("integrations", "channel:web") as http,
            asyncio.TaskGroup() as posts,
        ):
            for n, order in enumerate(orders):
                await _until(began + n / rate)
                match order.command.channel:
                    case str(channel) if channel == WEB:
                        await gate.acquire()
                        posted = posts.create_task(self._post(http, order))
                        posted.add_done_callback(lambda _: gate.release())
                    case str(channel) if channel == SHOP:
                        await self.producer.send(order.command, twice=order.twice)
                    case _:
                        gathered.append(order.command)
                        again += [order.command] * order.twice
                waited = perf_counter() - gathering_since
                if gathered and (waited > FILE_EVERY_S or len(gathered) >= FILE_ORDERS_MAX):
                    await self._drop(gathered)
                    gathered, again, gathering_since = again, [], perf_counter()
            for rest in (gathered, again):
                if rest:
                    await self._drop(rest)
        await self.producer.flush()

    async def _post(self, http: httpx.AsyncClient, order: Planned) -> None:
        body = document(order.command)
        headers = {"Idempotency-Key": order.command.external_id}
        first = await self._answered(http, body, headers)
        if order.twice and first is not None:
            again = await self._answered(http, body, headers)
            if again != first:
                self.failures.append(f"{order.command.external_id}: {again} after {first}")

    async def _answered(
        self, http: httpx.AsyncClient, body: dict[str, Any], headers: dict[str, str]
    ) -> Any:
        deadline = perf_counter() + BUSY_S
        while True:
            began = perf_counter()
            path = f"/channels/{WEB}/orders"
            response = await patiently(partial(http.post, path, json=body, headers=headers))
            if response.status_code == 202:
                self.posted_ms.append((perf_counter() - began) * 1000)
                return response.json()["order_id"]
            if not _busy(response) or perf_counter() > deadline:
                self.failures.append(f"{body['number']}: {problem(response)}")
                return None
            await asyncio.sleep(0.1)

    async def _drop(self, orders: list[PlaceOrder]) -> None:
        self.files += 1
        csv = self.files % 2 == 0
        text = as_csv(orders) if csv else as_jsonl(orders)
        name = f"{self.files:04}-{orders[0].external_id}.{'csv' if csv else 'jsonl'}"
        await asyncio.to_thread(drop, self.folder / MARKETPLACE, name, text)


def _busy(response: httpx.Response) -> bool:
    """Whether the same request is still being processed."""
    if response.status_code != 409:
        return False
    return str(response.json().get("type", "")).endswith("in-flight")


async def _until(moment: float) -> None:
    """Sleep until a moment of `perf_counter`; a late one is not waited for, so that the rate holds on average."""
    left = moment - perf_counter()
    if left > 0:
        await asyncio.sleep(left)
