"""The whole system in memory: the services' real tables, writers and stores, without Kafka and clocks.

Every message goes the way it would go: committed with its checkpoint, given a position, handled by its consumers in
order. What comes of it are real logs, to be reconciled, and to be tampered with.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ops.reconcile.tables import table_of
from services.notifications.domain.messages import (
    CallWebhook,
    MailTaken,
    SendEmail,
    WebhookAnswered,
)
from services.order.effects import performers as payment_performers
from services.views.batch import Batch as ViewBatch
from services.views.domain.document import Document
from shared.events import (
    SERVICES,
    Allocation,
    Command,
    Customer,
    Event,
    LineQuantity,
    OrderLine,
    StockLine,
    catalogue,
)
from shared.events import fulfillment as f
from shared.events import inventory as i
from shared.events import order as o
from shared.events import returns as r
from shared.ledger.memory import MemoryStore
from shared.ledger.store import FeedRow, Mark, Meta, Partition, Record
from shared.ledger.timers import task_of
from shared.ledger.work import Outcome, Task, Unit
from shared.ledger.writer import Writer
from shared.payments import InProcessPayments
from shared.stream.relay import envelope

PARTITIONS = 2
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
VIEWS = "views"


class Sunk(msgspec.Struct):
    """One e-mail in the sink."""

    id: str
    to: str
    at: datetime
    received: int = 1


class World:
    """Services, provider, sink and views. Use `world()`."""

    def __init__(self) -> None:
        self.now = START
        self.stores = {name: MemoryStore() for name in SERVICES}
        self.writers = {
            name: Writer(
                table_of(name),
                store,
                partitions=PARTITIONS,
                clock=self._tick,
            )
            for name, store in self.stores.items()
        }
        self.payments = InProcessPayments.in_memory(clock=lambda: self.now)
        self.sink: dict[str, Sunk] = {}
        self.view_marks: dict[Partition, int] = {}
        self.documents: dict[str, Document] = {}
        self.timeline: list[Any] = []
        self.units: dict[tuple[str, str], list[int]] = {}
        self._performers: dict[str, Callable[[Any, str], Awaitable[Command]]] = {
            str(t.__struct_config__.tag): perform
            for t, perform in payment_performers(self.payments).items()
        }
        requests: tuple[type[msgspec.Struct], ...] = (
            *payment_performers(self.payments),
            SendEmail,
            CallWebhook,
        )
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {
            str(t.__struct_config__.tag): msgspec.json.Decoder(t) for t in requests
        }
        self._performers[str(SendEmail.__struct_config__.tag)] = self._mail
        self._performers[str(CallWebhook.__struct_config__.tag)] = self._webhook
        self._sent = 0
        #: Called after each step of the way, when much is still under way.
        self.watch: Callable[[], Awaitable[None]] | None = None

    def _tick(self) -> datetime:
        self.now += timedelta(milliseconds=5)
        return self.now

    async def _mail(self, mail: SendEmail, _: str) -> Command:
        id = f"{mail.notification_id}@oms.local"
        self.sink[id] = Sunk(id, mail.to, self.now)
        return MailTaken(
            order_id=mail.order_id, notification_id=mail.notification_id, message_id=f"<{id}>"
        )

    async def _webhook(self, call: CallWebhook, _: str) -> Command:
        return WebhookAnswered(webhook_id=call.webhook_id, endpoint_id=call.endpoint_id, status=204)

    async def tell(self, service: str, command: Command) -> Outcome:
        """A request from a person or a machine outside, over HTTP; then everything that follows from it."""
        self._sent += 1
        task = Task(message=command, id=f"request:r{self._sent}", actor="test")
        outcome = await self.writers[service].handle(task)
        await self.settle()
        return outcome

    async def channel(self, command: Command, id: str = "") -> None:
        """A message of a sales channel from its topic: it has no place in any feed."""
        self._sent += 1
        task = Task(message=command, id=id or f"shop-message-{self._sent}")
        await self.writers["order"].handle(task)
        await self.settle()

    async def settle(self) -> None:
        """Deliver, call and fire until nothing is left to do."""
        moved = True
        while moved:
            moved = False
            for name in SERVICES:
                for step in (self.deliver, self._call, self._fire):
                    if await step(name):
                        moved = True
                        if self.watch is not None:
                            await self.watch()
        self.read_views()

    async def deliver(self, consumer: str) -> bool:
        """Give one consumer all that it has not handled yet."""
        moved = False
        for topic in table_of(consumer).topics:
            producer = catalogue.sequenced_by(topic)
            if producer is None:
                continue
            for n in range(PARTITIONS):
                moved |= await self._deliver(consumer, producer, (topic, n))
        return moved

    async def _deliver(self, consumer: str, producer: str, partition: Partition) -> bool:
        tables = self.stores[consumer].tables
        mark = tables.checkpoints.setdefault(partition, Mark(0, 0))
        rows = [
            row
            for row in self.stores[producer].tables.feed
            if (row.topic, row.partition) == partition and row.position > mark.sequence
        ]
        if not rows:
            return False
        tasks = [record_task(row, producer, consumer) for row in rows]
        results = await self.writers[consumer].submit(Unit(tasks, {partition: mark}))
        for result in results:
            if isinstance(result, Exception):
                raise result
        return True

    async def _call(self, name: str) -> bool:
        owed = list(self.stores[name].tables.effects.values())
        for effect in owed:
            row = effect.row
            answer = await self._performers[row.type](
                self._decoders[row.type].decode(row.request), row.id
            )
            meta = msgspec.json.decode(row.meta, type=Meta)
            task = Task(
                message=answer,
                id=f"effect:{row.id}",
                correlation_id=meta.correlation,
                cause=meta.causation,
                effect=row.id,
            )
            await self.writers[name].handle(task)
        return bool(owed)

    async def _fire(self, name: str) -> bool:
        due = [t for t in self.stores[name].tables.timers.values() if t.due_at <= self.now]
        for timer in due:
            await self.writers[name].handle(task_of(timer, table_of(name)))
        return bool(due)

    def read_views(self) -> None:
        """Let the views read everything that was published."""
        for producer in SERVICES:
            for row in self.stores[producer].tables.feed:
                partition = (row.topic, row.partition)
                if not row.topic.endswith(".events"):
                    continue
                if row.position > self.view_marks.get(partition, 0):
                    self._view(producer, row)
                    self.view_marks[partition] = row.position

    def _view(self, producer: str, row: FeedRow) -> None:
        task = record_task(row, producer, VIEWS)
        batch = ViewBatch(self.documents, set())
        outcome = batch.settle(task)
        assert not outcome.parked, outcome.parked
        self.documents |= batch.documents
        self.timeline += batch.entries
        for key, sums in batch.movements.items():
            known = self.units.setdefault(key, [0, 0, 0])
            for n, change in enumerate(sums):
                known[n] += change


def record_task(row: FeedRow, producer: str, consumer: str) -> Task:
    """What a consumer makes of one record of a feed."""
    head = envelope(row, f"/oms/{producer}")
    service = "order" if consumer == VIEWS else consumer
    record = Record(
        row.topic, row.partition, row.position, row.key.encode(), row.data, head.headers()
    )
    return Task(
        message=table_of(service).codec.decode(row.type, row.data),
        id=head.id,
        correlation_id=head.correlation_id,
        causation_id=head.causation_id,
        time=head.time,
        partition=(row.topic, row.partition),
        mark=Mark(row.position, row.position),
        chained=True,
        record=record,
    )


@asynccontextmanager
async def running() -> AsyncIterator[World]:
    """A world whose writers run."""
    world = World()
    tasks = [asyncio.create_task(writer.run()) for writer in world.writers.values()]
    try:
        yield world
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def line(id: str, sku: str, quantity: int, price: int = 1_000) -> OrderLine:
    """An order line."""
    total = quantity * price
    return OrderLine(line_id=id, sku=sku, quantity=quantity, unit_price=price, total=total)


def units(id: str, sku: str, quantity: int) -> LineQuantity:
    """Some units of a line."""
    return LineQuantity(line_id=id, sku=sku, quantity=quantity)


class Shop:
    """Shoppers and warehouse workers of a world."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def stock(self, sku: str, location: str, quantity: int) -> None:
        """Goods arrive."""
        movement = i.ReceiveStock(
            movement_id=f"in-{sku}-{location}-{self.world.now:%H%M%S%f}",
            lines=(StockLine(sku=sku, location=location, quantity=quantity),),
        )
        await self.world.tell("inventory", movement)

    async def place(self, number: str, *lines: OrderLine, **fields: Any) -> str:
        """An order of the web shop; its id."""
        values = {"payment_method": "tok_ok", "currency": "GBP"} | fields
        command = o.PlaceOrder(
            channel="web",
            external_id=number,
            lines=lines,
            customer=Customer(name="Ada", email=f"ada+{number}@example.com"),
            **values,
        )
        await self.world.channel(command)
        return command.order_id

    async def ship(self, order_id: str, n: int = 1, short: int = 0, parcels: int = 1) -> None:
        """Pick, pack, ship and deliver one fulfillment, in some parcels; leave the last ``short`` units out."""
        id = f"{order_id}.f{n}"
        [opened] = self.events("fulfillment", f"fulfillment-{id}", f.FulfillmentOpened)
        ids: dict[str, Any] = {"fulfillment_id": id, "order_id": order_id}
        wanted = [(x.line_id, x.sku, x.quantity) for x in opened.lines]
        if short:
            line_id, sku, quantity = wanted[-1]
            wanted[-1] = (line_id, sku, quantity - short)
        picked = tuple(units(*x) for x in wanted if x[2])
        tell = self.world.tell
        await tell("fulfillment", f.StartPicking(**ids, picker="bo"))
        await tell("fulfillment", f.RecordPick(**ids, lines=picked, short_reason="not_found"))
        for p in range(1, parcels + 1):
            content = parcel(picked, p, parcels)
            if not content:
                continue
            package = f"{id}.p{p}"
            await tell("fulfillment", f.PackItems(**ids, package_id=package, lines=content))
            shipping = f.ShipPackage(
                **ids, package_id=package, carrier="post", tracking_number=f"T{p}"
            )
            await tell("fulfillment", shipping)
            await tell("fulfillment", f.ConfirmDelivery(**ids, package_id=package))

    async def send_back(
        self, order_id: str, *lines: LineQuantity, disposition: str = "restock", id: str = ""
    ) -> str:
        """Return, receive and inspect units of a line."""
        return_id = id or f"ret-{order_id[:8]}"
        ids = {"return_id": return_id, "order_id": order_id}
        asked = tuple(
            r.ReturnLine(line_id=x.line_id, sku=x.sku, quantity=x.quantity) for x in lines
        )
        judged = tuple(
            r.InspectedLine(
                line_id=x.line_id,
                sku=x.sku,
                quantity=x.quantity,
                disposition=disposition,  # type: ignore[arg-type]
            )
            for x in lines
        )
        tell = self.world.tell
        await tell("returns", r.RequestReturn(**ids, lines=asked))
        receive = r.ReceiveReturn(**ids, receipt_id="1", location="EAST", lines=lines)
        await tell("returns", receive)
        await tell("returns", r.InspectReturn(**ids, lines=judged))
        return return_id

    def events(self, service: str, stream: str, *types: type[Event]) -> list[Any]:
        """The events of a stream, of some types."""
        tables, codec = self.world.stores[service].tables, table_of(service).codec
        ids = tables.by_stream.get(stream, {}).values()
        rows = [tables.messages[id].row for id in ids]
        found = [codec.decode(row.type, row.data) for row in rows]
        return [m for m in found if not types or isinstance(m, types)]


def parcel(lines: tuple[LineQuantity, ...], n: int, parcels: int) -> tuple[LineQuantity, ...]:
    """The n-th of some parcels of these lines."""
    out = []
    for x in lines:
        quantity = x.quantity * n // parcels - x.quantity * (n - 1) // parcels
        if quantity:
            out.append(units(x.line_id, x.sku, quantity))
    return tuple(out)


__all__ = ["Allocation", "Shop", "World", "line", "running", "units"]
