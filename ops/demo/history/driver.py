"""Lives a history through: places its orders, brings back what was brought back, and waits for every end.

Bounded: a window of orders is under way at any time, and nothing is kept of an order that has ended but a number.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

import httpx

from ops.cli.client import Running, patiently, problem
from ops.cli.codes import CliError, Exit
from ops.demo.history import journey, translate
from ops.demo.history.source import Source
from ops.demo.history.survey import Survey
from ops.demo.listen import Listener
from ops.demo.outside import OutsideProducer
from ops.importer.records import (
    Cancellation,
    Credit,
    HistoricOrder,
    Item,
    Journey,
    RefusedOrder,
    Return,
    StockMovement,
)
from shared.events import Command, Event
from shared.events import fulfillment as f
from shared.events import inventory as i
from shared.events import order as o
from shared.events import returns as r
from shared.service.ids import new_id

WINDOW = 1_500
#: Silence about something that was sent: it may have happened in an earlier import, so its service is asked.
SILENT_S = 1.5
STALLED_S = 90.0
ASKED_AT_ONCE = 16
ENDED = {"completed": "completed", "cancelled": "cancelled", "rejected": "refused"}


@dataclass(slots=True)
class Order:
    """An order under way. ``heard`` is when anything was last heard of it, or it was sent; ``new`` when this import
    placed it; ``over`` how it ended, if its service says that it did. ``credits`` wait for its end. ``journey`` is what
    the source says of its goods, and ``parcels`` are those that have yet to leave for it."""

    heard: float
    new: bool = False
    over: str = ""
    credits: list[Credit] = field(default_factory=list)
    journey: Journey | None = None
    parcels: int = 0

    @property
    def rests(self) -> str:
        """Where the source leaves an order that has not ended; empty where it has."""
        end = self.journey.end if self.journey else ""
        return end if end in ("open", "in transit") else ""


@dataclass(slots=True)
class Returning:
    """A return under way, likewise; ``asked`` is when it was last asked for."""

    credit: Credit
    heard: float
    asked: float = 0.0
    new: bool = False
    over: str = ""


@dataclass
class Driver:
    """``count`` has what came of everything; ``known`` was there before."""

    running: Running
    source: Source
    survey: Survey
    location: str
    producer: OutsideProducer
    listener: Listener
    count: Counter[str] = field(default_factory=Counter)
    money: Counter[str] = field(default_factory=Counter)
    orders: dict[str, Order] = field(default_factory=dict)
    returns: dict[str, Returning] = field(default_factory=dict)
    returned: set[str] = field(default_factory=set)
    moved: float = field(default_factory=monotonic)
    _answers: list[Command] = field(default_factory=list)

    async def stock_up(self) -> None:
        """Receive the opening stock; each receipt is durable when it is answered."""
        async with self.running.http("inventory", "warehouse") as http:
            for receipt in self.survey.receipts(self.source.channel, self.location):
                body = {
                    "movement_id": receipt.movement_id,
                    "reference": receipt.reference,
                    "lines": [
                        {"sku": x.sku, "location": x.location, "quantity": x.quantity}
                        for x in receipt.lines
                    ],
                }
                headers = {"Idempotency-Key": receipt.movement_id}
                response = await patiently(
                    partial(http.post, "/receipts", json=body, headers=headers, timeout=60)
                )
                if response.is_error:
                    raise CliError(Exit.PROBLEM, f"opening stock: {problem(response)}")

    async def live(self, progress: Callable[[], None]) -> None:
        """Send everything and return when all of it has ended, or nothing has moved for a while."""
        sending = asyncio.ensure_future(self._send_all())
        asking = asyncio.ensure_future(self._ask())
        try:
            while not (sending.done() and not self.orders and not self.returns):
                for job in (sending, asking):
                    if job.done():
                        job.result()
                for heard in await self.listener.poll(0.05):
                    self._hear(heard.event)
                await self._answer()
                progress()
                if monotonic() - self.moved > STALLED_S:
                    break
        finally:
            for job in (sending, asking):
                job.cancel()
            await asyncio.wait((sending, asking))
        progress()

    @property
    def unfinished(self) -> int:
        """Orders and returns that have not ended."""
        return len(self.orders) + len(self.returns)

    async def _send_all(self) -> None:
        async for record in self.source.records():
            while len(self.orders) >= WINDOW or len(self.returns) >= WINDOW:
                await asyncio.sleep(0.01)
            match record:
                case Item():
                    await self.producer.send(translate.item(record), actor="import")
                case HistoricOrder():
                    await self._place(record)
                case RefusedOrder():
                    await self._refuse(record)
                case StockMovement() if record.stocked:
                    await self.producer.send(translate.movement(record, self.location))
                    self.count["movements sent"] += 1
                case Cancellation() | Return():
                    self._credit(record)
                case _:
                    pass  # in the importer's books, and nothing that an order service is told
        await self.producer.flush()

    async def _place(self, record: HistoricOrder) -> None:
        command = translate.order(record)
        parcels = len({x.location for x in record.lines})
        self.orders[command.order_id] = Order(monotonic(), journey=record.journey, parcels=parcels)
        self.count["orders"] += 1
        await self.producer.send(command, actor="import")
        if record.external_id in self.survey.cancelled:
            await self.producer.send(translate.cancellation(record), actor="import")

    async def _refuse(self, record: RefusedOrder) -> None:
        """Have it kept for a person."""
        async with self.running.http("integrations", "ops") as http:
            body = translate.refusal(record)
            # A fresh key: the question is whether it is new now, not what was answered in an earlier import.
            headers = {"Idempotency-Key": new_id()}
            response = await patiently(partial(http.post, "/refused", json=body, headers=headers))
        if response.is_error:
            raise CliError(Exit.PROBLEM, f"{record.key()}: {problem(response)}")
        self.count["refused inputs"] += 1
        self.count["refused inputs new"] += response.json()["new"]
        self.moved = monotonic()

    def _credit(self, record: Credit) -> None:
        """Send it back once the order has arrived; a whole cancellation is under way already."""
        if isinstance(record, Cancellation) and record.order_external_id in self.survey.cancelled:
            self.count["credits as cancellations"] += 1
            return
        self.count["credits as returns"] += 1
        going = self.orders.get(translate.order_id(record))
        if going is not None:
            going.credits.append(record)
        else:
            self._bring_back(record)

    def _bring_back(self, record: Credit) -> None:
        self.returns[translate.return_id(record)] = Returning(record, monotonic())

    async def _answer(self) -> None:
        """Send what events called for, and ask for returns that are new or of which nothing was heard: the returns
        service may not have known yet that the order has left."""
        answers, self._answers = self._answers, []
        for command in answers:
            await self.producer.send(command, actor="import")
        now = monotonic()
        for going in list(self.returns.values()):  # it changes while we send
            if not going.new and now - going.asked > SILENT_S / 2:
                going.asked = now
                await self.producer.send(translate.request(going.credit), actor="import")

    def _hear(self, event: Event) -> None:
        if isinstance(event, r.ReturnEvent):
            self._hear_return(event)
            return
        if isinstance(event, i.StockReceived | i.StockAdjusted):
            if event.movement_id.startswith(f"{self.source.channel}:movement:"):
                self.count["movements new"] += 1
                self.moved = monotonic()
            return
        going = self.orders.get(getattr(event, "order_id", ""))
        if going is None or not isinstance(event, o.OrderEvent | f.FulfillmentEvent):
            return
        going.heard = self.moved = monotonic()
        if isinstance(event, f.FulfillmentEvent):
            if going.journey is not None:
                self._answers += journey.steps(event, going.journey)
            return
        match event:
            case o.OrderPlaced():
                going.new = True
                self.count["orders new"] += 1
                self.money["ordered"] += event.total
            case o.PaymentCaptured():
                self.money["captured"] += event.amount.amount
            case o.OrderConfirmed() if going.rests == "open":
                self._ended(event.order_id, "open")
            case o.OrderShipped() if going.rests == "in transit":
                going.parcels -= 1
                if not going.parcels:
                    self._ended(event.order_id, "in transit")
            case o.OrderCompleted():
                self._ended(event.order_id, "completed")
            case o.OrderCancelled():
                self._ended(event.order_id, "cancelled")
            case o.OrderRejected():
                self._ended(event.order_id, "refused")
            case _:
                pass

    def _ended(self, order_id: str, how: str) -> None:
        going = self.orders.pop(order_id)
        self.count[how] += 1
        self.count["orders known"] += not going.new
        for credit in going.credits:
            self._bring_back(credit)

    def _hear_return(self, event: r.ReturnEvent) -> None:
        going = self.returns.get(event.return_id)
        if going is None:
            return
        going.heard = self.moved = monotonic()
        match event:
            case r.ReturnRequested():
                going.new = True
                self.count["returns new"] += 1
            case r.ReturnApproved():
                self._answers.append(translate.receipt(going.credit, self.location))
            case r.ReturnReceived():
                self._answers.append(translate.inspection(going.credit))
            case r.ReturnSettled():
                self.money["refunded"] += event.amount.amount
                self._settled(event.return_id)
            case _:
                pass

    def _settled(self, return_id: str) -> None:
        going = self.returns.pop(return_id)
        self.count["returns settled"] += 1
        self.count["returns known"] += not going.new
        self.returned.add(translate.order_id(going.credit))

    async def _ask(self) -> None:
        """Ask about what nothing is heard of; what has ended before is known and done."""
        async with (
            self.running.http("order", "ops") as orders,
            self.running.http("returns", "ops") as returns,
            self.running.http("fulfillment", "ops") as warehouse,
        ):
            while True:
                await asyncio.sleep(SILENT_S / 3)
                await _in_turns(self.orders, lambda id: self._ask_order(orders, warehouse, id))
                await _in_turns(self.returns, lambda id: self._ask_return(returns, id))

    async def _ask_order(
        self, http: httpx.AsyncClient, warehouse: httpx.AsyncClient, order_id: str
    ) -> bool:
        going = self.orders.get(order_id)
        if (
            going is not None and going.over
        ):  # it has, and not now: its events would have come meanwhile
            self.moved = monotonic()
            self._ended(order_id, going.over)
            return True
        response = await patiently(partial(http.get, f"/orders/{order_id}"))
        going = self.orders.get(order_id)
        if not response.is_success or going is None or going.new:
            return False
        shown = response.json()
        going.over = ENDED.get(shown["status"], "")
        going.heard = self.moved = monotonic()
        if shown["status"] == "confirmed" and going.journey is not None:
            going.over = _rests_at(going, shown)
            if not going.over:  # an import that was interrupted
                await self._resume(warehouse, going.journey, shown["fulfillments"])
        return True

    async def _resume(
        self, warehouse: httpx.AsyncClient, going: Journey, fulfillments: Iterable[str]
    ) -> None:
        for id in fulfillments:
            response = await patiently(partial(warehouse.get, f"/fulfillments/{id}"))
            if response.is_success:
                self._answers += journey.resumed(response.json(), going)

    async def _ask_return(self, http: httpx.AsyncClient, return_id: str) -> bool:
        going = self.returns.get(return_id)
        if going is not None and going.over:
            self.moved = monotonic()
            self._settled(return_id)
            return True
        response = await patiently(partial(http.get, f"/returns/{return_id}"))
        going = self.returns.get(return_id)
        if not response.is_success or going is None or going.new:
            return False
        going.heard = self.moved = monotonic()
        match response.json()["status"]:
            case "SETTLED":
                going.over = "settled"
            case "APPROVED" | "PARTIALLY_RECEIVED":  # an import that was interrupted
                self._answers.append(translate.receipt(going.credit, self.location))
            case "RECEIVED":
                self._answers.append(translate.inspection(going.credit))
            case _:
                pass  # it goes on by itself, or waits for a person
        return True


def _rests_at(going: Order, shown: dict[str, Any]) -> str:
    """Where a confirmed order rests, if it has come as far as the source says."""
    if going.rests == "in transit":
        left = sum(status == "shipped" for status in shown["packages"].values())
        return going.rests if left == len(shown["fulfillments"]) else ""
    return going.rests


async def _in_turns(
    going: Mapping[str, Order | Returning], ask: Callable[[str], Coroutine[Any, Any, bool]]
) -> None:
    """Ask about what is silent, the oldest first, as long as the answers tell something: when the services have merely
    not come to it yet, asking on would only hold them up."""
    now = monotonic()
    silent = [id for id, x in going.items() if not x.new and now - x.heard > SILENT_S]
    for start in range(0, len(silent), ASKED_AT_ONCE):
        told = await asyncio.gather(*(ask(id) for id in silent[start : start + ASKED_AT_ONCE]))
        if not any(told):
            return
