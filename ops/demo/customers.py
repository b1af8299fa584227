"""What customers do after they have ordered, and the supplier who ends a stock-out: all through public interfaces."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx

from ops.cli.client import patiently, problem
from ops.demo import stories
from ops.demo.outside import OutsideProducer
from ops.demo.plan import WEB, Plan, Planned
from shared.events import Event, StockLine
from shared.events import fulfillment as f
from shared.events import inventory as i
from shared.events import order as o
from shared.events import returns as r

#: How long a shopper waits for goods before giving up, and a supplier needs.
PATIENCE_S, SUPPLY_S = 0.5, 0.8
#: The returns service learns of a shipment from the topic: asking a moment too early is answered with a conflict.
RETRY_S, RETRIES_MAX = 0.2, 100

Start = Callable[[Coroutine[Any, Any, None]], None]


@dataclass
class Customers:
    """Reacts to events with cancellations, returns and receipts. ``start`` runs a coroutine beside the run."""

    plan: Plan
    producer: OutsideProducer
    orders: httpx.AsyncClient
    returns: httpx.AsyncClient
    warehouse: httpx.AsyncClient
    start: Start
    retries_max: int = RETRIES_MAX
    failures: list[str] = field(default_factory=list)
    too_late: int = 0
    _waiting: set[str] = field(default_factory=set)
    _locations: dict[str, str] = field(default_factory=dict)
    _supplied: set[str] = field(default_factory=set)
    _receipts: dict[str, StockLine] = field(init=False)

    def __post_init__(self) -> None:
        self._receipts = self.plan.receipts()

    def hear(self, event: Event, planned: Planned) -> None:
        """React to an event of a planned order."""
        story = planned.story
        match event:
            case o.OrderPlaced() if story is stories.REGRETS:
                self.start(self._cancel(planned, 0.0))
            case f.PickingStarted() if story is stories.REGRETS_LATE:
                self.start(self._cancel(planned, 0.0))
            case o.OrderBackordered() if story is stories.GIVES_UP:
                self.start(self._cancel(planned, PATIENCE_S))
            case o.OrderBackordered() if story is stories.BACKORDER:
                self._waiting.add(event.order_id)
                self._supply(planned)
            case o.OrderShipped() if story in stories.RETURNING:
                self._locations[event.order_id] = event.location
            case o.OrderCompleted() if story in stories.RETURNING:
                self.start(self._send_back(planned))
            case r.ReturnApproved():
                self.start(self._receive(event))
            case r.ReturnReceived():
                self.start(self._inspect(event, planned))

    async def _cancel(self, planned: Planned, patience_s: float) -> None:
        """Through the help desk for web orders, by message for the other channels."""
        await asyncio.sleep(patience_s)
        command = planned.command
        if command.channel != WEB:
            request = o.RequestCancellation(
                channel=command.channel, external_id=command.external_id, reason="changed my mind"
            )
            await self.producer.send(request)
            return
        response = await patiently(
            lambda: self.orders.post(
                f"/orders/{planned.order_id}/cancel",
                json={"reason": "changed my mind"},
                headers={"Idempotency-Key": f"cancel-{command.external_id}"},
            )
        )
        if response.status_code == 409:
            self.too_late += 1
        elif response.is_error:
            self.failures.append(f"cancel {command.external_id}: {problem(response)}")

    def _supply(self, planned: Planned) -> None:
        """Once every order of a limited SKU waits for it, it arrives."""
        sku = planned.command.lines[0].sku
        if sku not in self._supplied and self._waiting.issuperset(self.plan.awaited[sku]):
            self._supplied.add(sku)
            self.start(self._deliver(self._receipts[sku]))

    async def _deliver(self, line: StockLine) -> None:
        await asyncio.sleep(SUPPLY_S)
        await self.producer.send(
            i.ReceiveStock(movement_id=f"supply-{line.sku}", lines=(line,), reference="supplier")
        )

    async def _send_back(self, planned: Planned) -> None:
        first = planned.command.lines[0]
        quantity = first.quantity if planned.story is stories.RETURN else 1
        line = {"line_id": first.line_id, "sku": first.sku, "quantity": quantity}
        body = {
            "order_id": planned.order_id,
            "return_id": f"{planned.order_id}.r1",
            "lines": [{**line, "reason": "does not fit"}],
        }
        await self._post(self.returns, "/returns", body, f"return-{planned.command.external_id}")

    async def _receive(self, event: r.ReturnApproved) -> None:
        shown = await patiently(lambda: self.returns.get(f"/returns/{event.return_id}"))
        if shown.is_error:
            self.failures.append(f"GET /returns/{event.return_id}: {problem(shown)}")
            return
        asked = shown.json()["lines"]
        body = {
            "receipt_id": f"{event.return_id}.receipt1",
            "location": self._locations[event.order_id],
            "lines": [
                {"line_id": x["line_id"], "sku": x["sku"], "quantity": x["requested"]}
                for x in asked
            ],
        }
        key = f"receive-{event.return_id}"
        await self._post(self.warehouse, f"/returns/{event.return_id}/receive", body, key)

    async def _inspect(self, event: r.ReturnReceived, planned: Planned) -> None:
        disposition = "restock" if planned.story is stories.RETURN else "scrap"
        body = {
            "lines": [
                {
                    "line_id": x.line_id,
                    "sku": x.sku,
                    "quantity": x.quantity,
                    "disposition": disposition,
                }
                for x in event.lines
            ]
        }
        key = f"inspect-{event.return_id}"
        await self._post(self.warehouse, f"/returns/{event.return_id}/inspect", body, key)

    async def _post(self, http: httpx.AsyncClient, path: str, body: Any, key: str) -> None:
        """POST; a conflict is tried again, since what it waits for is on its way."""
        said = ""
        for attempt in range(self.retries_max):
            # Another key for each attempt: a key's answer, refusals included, is kept.
            headers = {"Idempotency-Key": f"{key}-{attempt}"}
            response = await patiently(partial(http.post, path, json=body, headers=headers))
            if response.is_success:
                return
            said = problem(response)
            if response.status_code != 409:
                break
            await asyncio.sleep(RETRY_S)
        self.failures.append(f"POST {path}: {said}")
