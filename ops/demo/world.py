"""Everything around the services during a demo: shoppers, warehouses, customers, and an ear on every topic."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Any, Self

from ops.cli.client import Running, get
from ops.cli.codes import CliError, Exit
from ops.demo.catalogue import EXTERNAL
from ops.demo.customers import Customers
from ops.demo.external import ExternalWarehouse
from ops.demo.listen import Listener, listening
from ops.demo.outside import OutsideProducer
from ops.demo.plan import Plan, Planned
from ops.demo.shoppers import Shoppers
from ops.demo.tracker import Tracker
from ops.demo.warehouse import Step, Warehouse
from shared.events.inventory import ReceiveStock, RegisterItem

#: Without any event for so long, what is unfinished stays unfinished.
STALLED_S = 60.0
REGISTERED_WITHIN_S = 60.0
QUIET_WITHIN_S = 30.0
EVENT_SOURCED = (
    "order",
    "inventory",
    "fulfillment",
    "returns",
    "notifications",
    "integrations",
)


@dataclass
class World:
    """The outside of one run, listening and answering as long as it is entered."""

    running: Running
    plan: Plan
    tracker: Tracker
    producer: OutsideProducer
    listener: Listener
    customers: Customers
    shoppers: Shoppers
    warehouse: Warehouse
    external: ExternalWarehouse
    start: Callable[[Coroutine[Any, Any, None]], None]
    heard_at: float = field(default_factory=monotonic)
    seconds: float = 0.0

    async def open_shop(self) -> None:
        """Register what is sold and receive the opening stock; returns once inventory has said so."""
        for product in self.plan.products():
            await self.producer.send(RegisterItem(sku=product.sku, description=product.description))
        for location, lines in self.plan.opening_stock().items():
            await self.producer.send(
                ReceiveStock(
                    movement_id=f"opening-{self.plan.run}-{location}",
                    lines=tuple(lines),
                    reference="opening stock",
                )
            )
        await self.producer.flush()
        stocked = {x.sku for lines in self.plan.opening_stock().values() for x in lines}
        rare = {p.sku for p in self.plan.products()} - stocked
        await self._until(lambda: stocked | rare <= self.tracker.skus, REGISTERED_WITHIN_S)

    async def _until(self, reached: Callable[[], bool], seconds: float) -> None:
        deadline = monotonic() + seconds
        while not reached():
            if monotonic() > deadline:
                raise CliError(
                    Exit.PROBLEM,
                    f"inventory did not confirm the opening stock within {seconds:.0f} s: see "
                    f"{self.running.data}/logs/inventory.log and `oms parked list`",
                )
            await asyncio.sleep(0.02)

    async def play(self, rate: float, progress: Callable[[], None]) -> None:
        """Place every order and wait until each has ended, or nothing has moved for a minute."""
        began = monotonic()
        placing = asyncio.ensure_future(self.shoppers.place_all(self.plan.orders, rate))
        version, moved = -1, monotonic()
        try:
            while not (placing.done() and self.tracker.finished):
                progress()
                if placing.done():
                    placing.result()
                if self.tracker.version != version or not placing.done():
                    version, moved = self.tracker.version, monotonic()
                if monotonic() - moved > STALLED_S:
                    break
                await asyncio.sleep(0.05)
        finally:
            placing.cancel()
            await asyncio.wait((placing,))
        self.seconds = monotonic() - began
        await self.quiet()
        progress()

    async def quiet(self) -> None:
        """Return once no call to the outside is owed, the views have read everything and nothing is said any more; or
        when that takes too long, which reconcile will then tell about."""
        deadline = monotonic() + QUIET_WITHIN_S
        while monotonic() < deadline:
            with suppress(CliError):  # a service may be restarting
                if monotonic() - self.heard_at > 0.5 and not await self._owed():
                    return
            await asyncio.sleep(0.2)

    async def _owed(self) -> bool:
        for service in EVENT_SOURCED:
            async with self.running.http(service, "ops") as http:
                effects = (await get(http, "/effects"))["items"]
                if any(not effect["parked"] for effect in effects):
                    return True
        async with self.running.http("views", "ops") as http:
            versions = (await get(http, "/projections"))["items"]
        return any(version["lag"] for version in versions)

    async def listen(self) -> None:
        """Hear every event, and let everybody react, until cancelled."""
        while True:
            for event, at in await self.listener.poll():
                self.heard_at = monotonic()
                progress = self.tracker.apply(event, at)
                for step in self.warehouse.react(event):
                    self.start(self._work(step))
                self.external.hear(event)
                if progress is not None:
                    self.customers.hear(event, progress.planned)

    async def _work(self, step: Step) -> None:
        await asyncio.sleep(step.delay_s)
        await self.producer.send(step.command, actor="wms")


@asynccontextmanager
async def world(running: Running, plan: Plan) -> AsyncIterator[World]:
    """The outside of one run, at work until left. What fails in it ends the body."""
    tracker = Tracker(plan)
    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(OutsideProducer(running.kafka, "/outside/demo"))
        listener = await stack.enter_async_context(listening(running.kafka))
        orders = await stack.enter_async_context(running.http("order", "agent"))
        helpdesk = await stack.enter_async_context(running.http("returns", "agent"))
        receiving = await stack.enter_async_context(running.http("returns", "warehouse"))
        jobs = await stack.enter_async_context(_Jobs())

        def planned(order_id: str) -> Planned | None:
            progress = tracker.orders.get(order_id)
            return progress.planned if progress else None

        there = World(
            running=running,
            plan=plan,
            tracker=tracker,
            producer=producer,
            listener=listener,
            customers=Customers(plan, producer, orders, helpdesk, receiving, jobs.start),
            shoppers=Shoppers(running, producer, running.data / "inbox"),
            warehouse=Warehouse(planned, EXTERNAL),
            external=ExternalWarehouse(producer, planned, jobs.start),
            start=jobs.start,
        )
        jobs.start(there.listen())
        yield there


class _Jobs:
    """Tasks beside the body: the first failure ends it, and leaving ends them."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, job: Coroutine[Any, Any, None]) -> None:
        task = self._group.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(kind, error, trace)
