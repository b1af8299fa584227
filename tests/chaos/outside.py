"""Everybody outside during the chaos: shoppers at a steady rate, agents, a warehouse, carriers.

They are good clients: they ask again under the same key, and send again what the order service's log does not show. What
they know of the world they read from the services' feeds, which outlive any broker.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from ops.cli.client import problem
from ops.cli.codes import CliError
from ops.demo.customers import Customers
from ops.demo.orderfiles import document
from ops.demo.plan import SHOP, WEB, Plan, Planned
from ops.demo.tracker import Tracker
from ops.demo.warehouse import Step, Warehouse
from ops.system import System
from shared.events import Command, Event, StockLine, decode, read_headers
from shared.events import fulfillment as f
from shared.events import inventory as i
from shared.events import order as o
from shared.service.ids import new_id
from shared.stream.kafka import KafkaProducer
from shared.stream.port import BrokerLost
from tests.chaos.patient import client
from tests.ledgerkit import home, outgoing

FOLLOWED = ("order", "inventory", "fulfillment", "returns")
LOOK_EVERY_S = 0.4
PAGE = 500
#: A return is asked for until the returns service has heard of the shipment: longer than it may be behind.
CUSTOMERS_RETRIES_MAX = 1_000
#: A record that led to nothing for so long is sent again: the broker may have lost it. Longer each time, because the
#: services may only be behind.
SEND_AGAIN_S, SEND_AGAIN_LONGEST_S = 8.0, 16.0
#: Where the warehouse says what.
STEPS: dict[type[Command], str] = {
    f.StartPicking: "start",
    f.RecordPick: "pick",
    f.PackItems: "pack",
    f.ShipPackage: "ship",
    f.ConfirmDelivery: "deliver",
}


@dataclass(slots=True)
class Sample:
    """One accepted order: when it was due (seconds since the start) and how long until it was accepted."""

    order_id: str
    at_s: float
    took_s: float
    road: str


@dataclass
class Outside:
    """See the module. Times are of `time.monotonic`."""

    system: System
    plan: Plan
    tracker: Tracker = field(init=False)
    accepted: dict[str, float] = field(default_factory=dict)
    confirmed_due: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    retries: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)
    _jobs: set[asyncio.Task[None]] = field(default_factory=set)
    _clients: dict[tuple[str, str], httpx.AsyncClient] = field(default_factory=dict)
    _producer: KafkaProducer | None = None
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.tracker = Tracker(self.plan)
        planned = {p.order_id: p for p in self.plan.orders}
        self._warehouse = Warehouse(planned.get)
        self._customers = Customers(
            self.plan,
            self,  # type: ignore[arg-type] - it sends what they say
            self._client("order", "agent"),
            self._client("returns", "agent"),
            self._client("returns", "warehouse"),
            self.start,
            CUSTOMERS_RETRIES_MAX,
        )
        for service in FOLLOWED:
            self.start(self._follow(service))

    async def close(self) -> None:
        """Go home."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        for one in self._clients.values():
            await one.aclose()
        if self._producer is not None:
            await self._producer.stop()

    def start(self, job: Coroutine[Any, Any, None]) -> None:
        """Do something beside the rest; what goes wrong is noted."""
        task = asyncio.create_task(self._noted(job))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _noted(self, job: Coroutine[Any, Any, None]) -> None:
        try:
            await job
        except (CliError, httpx.HTTPError) as error:
            self.failures.append(repr(error))

    # what they know

    async def _follow(self, service: str) -> None:
        """Read its feed, all topics with one cursor."""
        headers = {"Authorization": f"Bearer {self.system.keys.service}"}
        url, topic, after = self.system.layout.url(service), f"oms.{service}.events", 0
        async with client(url, headers, self.retries) as http:
            while True:
                answer = await http.get("/feed", params={"after": after, "limit": PAGE})
                answer.raise_for_status()
                page = msgspec.json.decode(answer.content)["items"]
                for item in page:
                    after = item["position"]
                    if item["topic"] == topic:
                        self._hear(item)
                if len(page) < PAGE:
                    await asyncio.sleep(LOOK_EVERY_S)

    def _hear(self, item: dict[str, Any]) -> None:
        envelope = read_headers([(name, value.encode()) for name, value in item["headers"]])
        event = decode(envelope.type, item["data"].encode())
        assert isinstance(event, Event)
        assert envelope.time is not None
        progress = self.tracker.apply(event, envelope.time)
        if isinstance(event, o.OrderConfirmed) and progress is not None:
            self._flowed(event.order_id)
        for step in self._warehouse.react(event):
            self.start(self._work(step))
        if progress is not None:
            self._customers.hear(event, progress.planned)

    def finished(self) -> bool:
        """Whether every accepted order has ended."""
        return not self.open_orders()

    def open_orders(self) -> list[str]:
        """Accepted orders that have not ended, and where they are."""
        orders = self.tracker.orders
        return [f"{id}: {orders[id].now}" for id in self.accepted if orders[id].end is None]

    @property
    def gave_up(self) -> list[str]:
        """What went wrong for somebody outside, for good."""
        return [*self.failures, *self._customers.failures]

    # what they do

    async def open_shop(self) -> None:
        """Register what is sold and receive the opening stock."""
        stock = self.plan.opening_stock()
        for location, lines in stock.items():
            await self._receive(f"opening-{location}", lines)
        stocked = {line.sku for lines in stock.values() for line in lines}
        for product in self.plan.products():
            if product.sku not in stocked:
                body = {"sku": product.sku, "description": product.description}
                await self._post("inventory", "warehouse", "/items", body, f"item-{product.sku}")

    async def place_all(self, rate: float) -> None:
        """Start to place every order at its time, whatever became of the others: an open loop."""
        self.began = time.monotonic()
        for n, planned in enumerate(self.plan.orders):
            due = self.began + n / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.start(self._place(planned, due))

    async def _place(self, planned: Planned, due: float) -> None:
        command = planned.command
        road = {WEB: "gateway", SHOP: "topic"}.get(command.channel, "order API")
        if command.channel == SHOP:
            await self._send_until(
                command,
                lambda: self._known(planned.order_id),
                lambda: self._took(planned, due, road),
            )
            return
        for _ in range(1 + planned.twice):
            if command.channel == WEB:
                answer = await self._post(
                    "integrations", f"channel:{WEB}", f"/channels/{WEB}/orders", document(command),
                    command.external_id,
                )  # fmt: skip
            else:
                answer = await self._post(
                    "order", f"channel:{command.channel}", "/orders", _stated(command), command.external_id
                )  # fmt: skip
            if answer is not None and answer.json()["order_id"] == planned.order_id:
                self._took(planned, due, road)
            else:
                self.failures.append(f"{command.external_id} was not accepted under its id")

    def _took(self, planned: Planned, due: float, road: str) -> None:
        if planned.order_id not in self.accepted:
            now = time.monotonic()
            self.accepted[planned.order_id] = due
            self.samples.append(Sample(planned.order_id, due - self.began, now - due, road))
            self._flowed(planned.order_id)

    def _flowed(self, order_id: str) -> None:
        """Note the latest order that was both accepted and confirmed."""
        due = self.accepted.get(order_id, 0.0)
        if self.tracker.orders[order_id].confirmed_at is not None:
            self.confirmed_due = max(self.confirmed_due, due)

    def _known(self, order_id: str) -> bool:
        progress = self.tracker.orders[order_id]
        return progress.placed_at is not None or progress.end is not None

    async def send(self, command: Command, *, actor: str = "", twice: bool = False) -> None:
        """What customers and suppliers send (`ops.demo.outside.OutsideProducer`)."""
        match command:
            case o.RequestCancellation():
                id = o.order_id_for(command.channel, command.external_id)
                self.start(
                    self._send_until(command, lambda: self.tracker.orders[id].end is not None)
                )
            case i.ReceiveStock():
                await self._receive(command.movement_id, list(command.lines))
            case _:
                raise AssertionError(f"nobody here sends {command.tag()}")

    async def _receive(self, movement: str, lines: list[StockLine]) -> None:
        body = {
            "movement_id": movement,
            "lines": [
                {"sku": x.sku, "location": x.location, "quantity": x.quantity} for x in lines
            ],
        }
        await self._post("inventory", "warehouse", "/receipts", body, movement)

    async def _work(self, step: Step) -> None:
        await asyncio.sleep(step.delay_s)
        body = msgspec.to_builtins(step.command)
        id = body.pop("fulfillment_id")
        del body["type"], body["order_id"]
        path = f"/fulfillments/{id}/{STEPS[type(step.command)]}"
        await self._post("fulfillment", "warehouse", path, body, new_id(), may_refuse=True)

    async def _post(
        self, service: str, role: str, path: str, body: Any, key: str, *, may_refuse: bool = False
    ) -> httpx.Response | None:
        """A request that was done, or None where it was refused."""
        headers = {"Idempotency-Key": key}
        answer = await self._client(service, role).post(path, json=body, headers=headers)
        if answer.is_success:
            return answer
        if may_refuse and answer.status_code == 409:
            self.refused[path.rsplit("/", 1)[-1]] += 1
        else:
            self.failures.append(f"POST {service}{path}: {problem(answer)}")
        return None

    async def _send_until(
        self,
        command: Command,
        done: Callable[[], bool],
        acknowledged: Callable[[], None] = lambda: None,
    ) -> None:
        """Put a command on its topic until its outcome shows."""
        due, wait_s = 0.0, SEND_AGAIN_S
        while not done():
            if time.monotonic() > due:
                self.retries["sent to the topic again"] += due > 0
                try:
                    await self._publish(command)
                    acknowledged()
                except BrokerLost:
                    self.retries["broker away"] += 1
                due = time.monotonic() + wait_s * random.uniform(0.8, 1.2)
                wait_s = min(wait_s * 1.5, SEND_AGAIN_LONGEST_S)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _publish(self, command: Command) -> None:
        async with self._sending:
            if self._producer is None:
                producer = KafkaProducer(self.system.stack.kafka)
                await producer.start()
                self._producer = producer
            record = outgoing(command, new_id(), source="/outside/chaos")
            try:
                await self._producer.publish(home(command), [record])
            except BrokerLost:
                old, self._producer = self._producer, None
                await old.stop()
                raise

    def _client(self, service: str, role: str) -> httpx.AsyncClient:
        made = self._clients.get((service, role))
        if made is None:
            headers = self.system.keys.bearer(service, role)
            made = client(self.system.layout.url(service), headers, self.retries)
            self._clients[service, role] = made
        return made


def _stated(command: o.PlaceOrder) -> dict[str, Any]:
    """The command as the order service's API takes it."""
    body: dict[str, Any] = msgspec.to_builtins(command)
    taken = ("channel", "external_id", "currency", "charges", "customer", "ship_to", "payment_method", "backorder")  # fmt: skip
    fields = ("line_id", "sku", "quantity", "unit_price", "description")
    lines = [{name: line[name] for name in fields} for line in body["lines"]]
    return {**{name: body[name] for name in taken}, "lines": lines}
