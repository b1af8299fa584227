"""A partner that is away: ``python -m benchmarks.partner_down [--seconds 300] [--rate 20]``.

Orders of two lines are placed over HTTP at a steady rate, and go the whole way to their delivery. For the first part a
reader of the documents for accounting follows them by its cursor; then it is away for as long; then it comes back. Shown
are the latency of ``POST /orders`` with and without the reader, how far behind it was, how long it took to catch up, and
that it got every document once, in order. Exit status 1 when it did not.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
from rich.console import Console

from benchmarks import load
from benchmarks.post_load import Spec, request
from benchmarks.statistics import summary
from benchmarks.testbed import HOST, Bed, Services, cancel_on_signals, open_bed, until
from shared.stream.kafka import KafkaProducer

SERVICES = ("order", "inventory", "fulfillment", "integrations")
DOCUMENTS_PER_ORDER = 2
PAGE = 200
out = Console(stderr=True)


class Accounting:
    """A reader of the documents, with a cursor at the service and a memory of what it got."""

    def __init__(self, bed: Bed) -> None:
        headers = bed.keys.bearer("integrations", "auditor")
        url = bed.layout.url("integrations")
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False)
        self.positions: list[int] = []
        self.numbers: list[str] = []

    async def read(self) -> int:
        """One page, acknowledged; how many documents it held."""
        answer = await self._http.get("/erp/cursors/accounting/documents", params={"limit": PAGE})
        page: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
        if page:
            self.positions += [d["position"] for d in page]
            self.numbers += [d["number"] for d in page]
            await self._http.post(
                "/erp/cursors/accounting/acknowledge",
                json={"position": page[-1]["position"]},
                headers={"Idempotency-Key": str(uuid4())},
            )
        return len(page)

    async def follow(self) -> None:
        """Read until cancelled."""
        while True:
            if not await self.read():
                await asyncio.sleep(0.2)

    async def close(self) -> None:
        """Close the connection."""
        await self._http.aclose()


async def place(bed: Bed, prefix: str, seconds: float, rate: float) -> list[float]:
    """Place orders at a rate, whatever the answers take; latencies in milliseconds from when each was due."""
    spec = Spec(
        host=HOST,
        port=bed.layout.port("order"),
        key=bed.keys.key("order", f"channel:{load.CHANNEL}"),
        connections=0,
        warm_up_s=0,
        seconds=seconds,
        prefix=prefix,
        channel=load.CHANNEL,
        skus=load.SKUS,
    )
    url = bed.layout.url("order")
    latencies: list[float] = []
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:

        async def one(number: int, due: float) -> None:
            head, _, body = request(spec, number).partition(b"\r\n\r\n")
            headers = dict(h.split(": ", 1) for h in head.decode().split("\r\n")[1:])
            answer = await http.post("/orders", content=body, headers=headers)
            assert answer.status_code == 201, answer.text
            latencies.append((time.perf_counter() - due) * 1000)

        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(seconds * rate)):
                due = started + number / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(one(number, due))
    return latencies


async def measure(bed: Bed, services: Services, seconds: float, rate: float) -> dict[str, Any]:
    """The whole run; see the module."""
    producer = KafkaProducer(bed.stack.kafka)
    await producer.start()
    try:
        await load.stock_up(bed, producer, services)
    finally:
        await producer.stop()
    accounting = Accounting(bed)
    completed = "select count(*) from messages where type = 'oms.order.completed.v1'"
    issued = "select count(*) from erp_documents"

    def done(orders: int) -> Callable[[], Any]:
        async def all_there() -> bool:
            return (
                await bed.number("order", completed) >= orders
                and await bed.number("integrations", issued) >= orders * DOCUMENTS_PER_ORDER
            )

        return all_there

    try:
        await place(bed, "warm-", 10, rate)
        orders = int(10 * rate)
        await until(done(orders), "warm-up", timeout_s=120, services=services)
        following = asyncio.create_task(accounting.follow())
        there = await place(bed, "there-", seconds, rate)
        orders += len(there)
        await until(done(orders), "orders with the reader", timeout_s=300, services=services)
        following.cancel()
        await asyncio.wait([following])
        while await accounting.read():
            pass
        before = len(accounting.positions)
        away = await place(bed, "away-", seconds, rate)
        orders += len(away)
        await until(done(orders), "orders without the reader", timeout_s=300, services=services)
        behind = await bed.number("integrations", issued) - before
        returned = time.perf_counter()
        while await accounting.read():
            pass
        caught_up_s = time.perf_counter() - returned
    finally:
        await accounting.close()
    expected = list(range(1, orders * DOCUMENTS_PER_ORDER + 1))
    return {
        "orders": orders,
        "rate_per_s": rate,
        "seconds_away": seconds,
        "post_ms_with_reader": summary(there),
        "post_ms_reader_away": summary(away),
        "documents_missed": behind,
        "caught_up_s": round(caught_up_s, 2),
        "documents": len(accounting.positions),
        "once_in_order": accounting.positions == expected
        and len(set(accounting.numbers)) == len(expected),
    }


async def main(seconds: float, rate: float) -> int:
    """Run it and print the figures as JSON; returns the exit status."""
    cancel_on_signals()
    async with open_bed(SERVICES) as bed, bed.services(*SERVICES) as services:
        out.print(f"two parts of {seconds:.0f} s at {rate:.0f} orders/s")
        figures = await measure(bed, services, seconds, rate)
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0 if figures["once_in_order"] else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="of each part (300)")
    parser.add_argument("--rate", type=float, default=20.0, help="orders a second (20)")
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.seconds, given.rate)))
