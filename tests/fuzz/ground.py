"""The whole system as processes, with things in it that can be asked about: what every part of the fuzzing attacks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from ops.reconcile import Report, reconcile, sources_of
from ops.stack import Ports
from ops.stack.supervisor import Change
from ops.system import Layout, System, running
from shared.events import Message, OrderLine, encode
from shared.events.envelope import Envelope
from shared.events.order import PlaceOrder, order_id_for
from shared.ledger.batch import partition_of
from shared.stream.kafka import KafkaProducer
from shared.stream.port import Outgoing
from tests.ledgerkit import until
from tests.portrange import free_base

SKU, AUTOMATIC, SHELF = "FUZZ", "EAST", "SHELF"
#: A SKU that no hostile request names: whether it still sells shows that the others harm nobody else.
SOUND = "SOUND"
LINES = (OrderLine(line_id="1", sku=SOUND, quantity=1, unit_price=500, total=500),)
#: An order that is overtaken by thousands of hostile ones waits for its turn.
SECONDS_MAX = 60
EXTRA = {
    "fulfillment": {"OMS_AUTOMATIC_LOCATIONS": f'["{AUTOMATIC}"]'},
    "notifications": {"OMS_WEBHOOK_KEY": "fuzz-" * 8},
    # So that it listens to a warehouse; none of the orders goes there.
    "integrations": {"OMS_WMS_LOCATIONS": '["DOCK"]'},
}


@dataclass
class Ground:
    """A running system, what it did wrong so far, and ids of things that exist in it."""

    system: System
    http: httpx.AsyncClient
    restarts: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)

    def url(self, service: str) -> str:
        """The address of a service."""
        return self.system.layout.url(service)

    async def ask(
        self, method: str, service: str, path: str, role: str, body: Any = None
    ) -> httpx.Response:
        """A request as a role, under a fresh Idempotency-Key."""
        headers = self.system.keys.bearer(service, role) | {"Idempotency-Key": str(uuid4())}
        return await self.http.request(method, self.url(service) + path, json=body, headers=headers)

    async def publish(self, *messages: Message) -> None:
        """Put messages on their topics, as an outside producer does."""
        producer = KafkaProducer(self.system.stack.kafka)
        await producer.start()
        try:
            for m in messages:
                topic = m.route()
                assert topic is not None
                head = Envelope(id=str(uuid4()), type=m.tag(), source="/outside")
                place = (topic, partition_of(m.key, self.system.layout.partitions))
                await producer.publish(place, [Outgoing(m.key.encode(), encode(m), head.headers())])
        finally:
            await producer.stop()

    async def still_sells(self) -> list[str]:
        """An order over HTTP and one over the topic, each to its end; then every service's readiness and that none was
        started again. What is wrong, or nothing."""
        name = uuid4().hex[:12]
        wrong = []
        by_topic = PlaceOrder(**order(f"topic-{name}") | {"lines": LINES})
        answer = await self.ask(
            "POST", "order", "/orders", "channel:web", request(f"http-{name}", SOUND)
        )
        if answer.status_code != 201:
            wrong.append(f"an order was answered {answer.status_code} {answer.text[:200]}")
        await self.publish(by_topic)
        for id in (order_id_for("web", f"http-{name}"), by_topic.order_id):
            try:
                await until(lambda id=id: self._completed(id), SECONDS_MAX)
            except TimeoutError:
                shown = await self.ask("GET", "order", f"/orders/{id}", "agent")
                wrong.append(f"order {id} not completed in {SECONDS_MAX} s: {shown.text[:600]}")
        for service in self.system.layout.services:
            ready = await self.http.get(f"{self.url(service)}/readyz")
            if ready.status_code != 200:
                wrong.append(f"{service} is not ready: {ready.text[:300]}")
        return wrong + self.restarts

    async def _completed(self, order_id: str) -> bool:
        answer = await self.ask("GET", "order", f"/orders/{order_id}", "agent")
        if answer.status_code == 200 and answer.json()["status"] == "completed":
            return True
        await asyncio.sleep(0.1)
        return False

    async def reconciled(self) -> Report:
        """What `oms reconcile` finds once everything has arrived."""
        async with sources_of(self.system.layout.data) as sources:
            return await reconcile(sources, settle_seconds=60)


def order(external_id: str) -> dict[str, Any]:
    """What an order over HTTP and over the topic have in common."""
    return {
        "channel": "web",
        "external_id": external_id,
        "currency": "GBP",
        "payment_method": "tok_ok",
    }


def request(external_id: str, sku: str = SKU) -> dict[str, Any]:
    """The body of POST /orders for one unit."""
    line = {"line_id": "1", "sku": sku, "quantity": 1, "unit_price": 500}
    return {**order(external_id), "lines": [line]}


@asynccontextmanager
async def ground(data: Path) -> AsyncIterator[Ground]:
    """A fresh system over ``data``: stock at a location that ships by itself and at one where nobody picks, an order on
    that shelf, one that was delivered, and a return of it."""
    restarts: list[str] = []

    def note(change: Change) -> None:
        if change.state == "restarting":
            restarts.append(f"{change.name} was started again: {change.detail}")

    layout = Layout(data, port_base=free_base(), extra=EXTRA)
    async with (
        running(layout, ports=Ports.free(), on_change=note) as system,
        httpx.AsyncClient(trust_env=False, timeout=30) as http,
    ):
        made = Ground(system, http, restarts)
        await _furnish(made)
        yield made


async def _furnish(g: Ground) -> None:
    lines = [
        {"sku": SOUND, "location": AUTOMATIC, "quantity": 1_000_000},
        {"sku": SKU, "location": AUTOMATIC, "quantity": 1_000_000},
        {"sku": "KEPT", "location": SHELF, "quantity": 1_000},
    ]
    receipt = {"movement_id": "furnish", "lines": lines}
    answer = await g.ask("POST", "inventory", "/receipts", "warehouse", receipt)
    assert answer.status_code == 201, answer.text

    async def placed(external_id: str, sku: str) -> bool:
        """The order service hears of a SKU a moment after it was received."""
        body = request(external_id, sku)
        status = (await g.ask("POST", "order", "/orders", "channel:web", body)).status_code
        assert status in (201, 422), status
        return status == 201

    await until(lambda: placed("delivered", SKU), 30)
    await until(lambda: placed("shelved", "KEPT"), 30)
    delivered, shelved = (order_id_for("web", name) for name in ("delivered", "shelved"))
    units = {"order_id": delivered, "return_id": "R-1"}
    units |= {"lines": [{"line_id": "1", "sku": SKU, "quantity": 1}]}

    async def taken_back() -> bool:
        return (await g.ask("POST", "returns", "/returns", "agent", units)).status_code == 201

    await until(taken_back, 30)

    async def open_work() -> bool:
        items = (await g.ask("GET", "fulfillment", "/fulfillments", "warehouse")).json()["items"]
        g.known["fulfillment_id"] = items[0]["fulfillment_id"] if items else ""
        return bool(items)

    await until(open_work, 30)
    g.known |= {
        "order_id": shelved,
        "return_id": "R-1",
        "sku": SKU,
        "reservation_id": f"{shelved}.1",
        "stream": f"order-{shelved}",
        "channel": "web",
        "number": "shelved",
        "cursor": "books",
        "version": "1",
        "id": "nobody@example.org",
        "hold_id": "none",
        "endpoint_id": "none",
        "refusal_id": "none",
    }
