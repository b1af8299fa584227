"""Those who use the system: shoppers, agents, warehouse workers, carriers, and goods that arrive."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

from services.integrations.domain.messages import TakeCancellation, TakeOrder
from services.notifications.domain.messages import RegisterEndpoint
from services.returns.domain.messages import AskReturn
from shared.events import (
    Charge,
    Customer,
    LineQuantity,
    OrderLine,
    StockLine,
)
from shared.events import fulfillment as f
from shared.events import inventory as i
from shared.events import order as o
from shared.events import returns as r
from shared.ledger.parking import redrive
from shared.ledger.store import ParkedRow, Unavailable
from tests.simulation.asking import Asking

if TYPE_CHECKING:
    from tests.simulation.world import World

SKUS = ("TEA", "MUG", "POT")
PLACES = ("EAST", "WEST")
METHODS = (
    *["tok_ok"] * 8,
    "tok_declined",
    "tok_slow:9000",
    "tok_timeout_before",
    "tok_timeout_after_charge",
    "tok_capture_refused",
    "tok_timeout_after_capture",
    "tok_refund_refused",
)
#: When shoppers come, in seconds from the start.
OPEN_SECONDS = 25.0
#: How long a worker waits for a package to be released before it is left to others.
PATIENCE_SECONDS = 45.0
#: How often an agent looks at one order: a card that refuses every capture brings hold after hold.
LOOKS_MAX = 4
UNREADABLE = b'{"lines": 7'


class Workload:
    """Everybody outside; each acts by a generator of their own."""

    def __init__(self, world: World, orders: int) -> None:
        self._world = world
        self._orders = orders
        self._asking = Asking(world, self._random("asking"))
        self.answers = self._asking.answers
        #: Orders that somebody was told to be placed.
        self.told: set[str] = set()
        self._looks: Counter[str] = Counter()
        world.watch.on(f.FulfillmentOpened, self._opened)
        world.watch.on(o.HoldPlaced, self._held)
        world.watch.on(o.OrderDelivered, self._delivered)

    def _random(self, who: str) -> Random:
        return Random(f"{self._world.seed}:{who}")

    def begin(self) -> None:
        """Open the shop."""
        spawn = self._world.spawn
        spawn(self._goods())
        spawn(self._listen())
        for n in range(self._orders):
            spawn(self._shopper(n))
        if self._random("poison").random() < 0.3:
            spawn(self._poison())

    async def _listen(self) -> None:
        types = (o.OrderConfirmed.tag(), o.OrderShipped.tag())
        hook = RegisterEndpoint(endpoint_id="erp", url="https://erp.example.com/", types=types)
        await self._asking.ask("notifications", hook)

    # Goods

    async def _goods(self) -> None:
        """A first receipt of everything, then some more at times, each told twice now and then."""
        random = self._random("goods")
        share = max(2, self._orders // 4)
        receipts = [(0.0, sku, place, random.randint(0, share)) for sku in SKUS for place in PLACES]
        receipts += [
            (
                random.uniform(2, OPEN_SECONDS + 15),
                random.choice(SKUS),
                random.choice(PLACES),
                random.randint(1, share),
            )
            for _ in range(6)
        ]
        for n, (at, sku, place, quantity) in enumerate(sorted(receipts)):
            await asyncio.sleep(max(0.0, at - self._world.loop.now))
            if not quantity:
                await self._asking.ask("inventory", i.RegisterItem(sku=sku))
                continue
            line = StockLine(sku=sku, location=place, quantity=quantity)
            receipt = i.ReceiveStock(movement_id=f"in-{n}", lines=(line,))
            for _ in range(random.choice((1, 1, 2))):
                await self._asking.ask("inventory", receipt)
            if random.random() < 0.2:
                lost = StockLine(sku=sku, location=place, quantity=-1)
                count = i.AdjustStock(movement_id=f"count-{n}", lines=(lost,), reason="damaged")
                await self._asking.ask("inventory", count)

    # Shoppers

    def _wish(self, n: int, random: Random) -> o.PlaceOrder:
        lines = []
        for number, sku in enumerate(random.sample(SKUS, random.choice((1, 1, 2, 3))), 1):
            quantity, price = random.randint(1, 3), random.choice((333, 1_000, 1_499, 7, 0, 0))
            lines.append(
                OrderLine(
                    line_id=str(number),
                    sku=sku,
                    quantity=quantity,
                    unit_price=price,
                    total=quantity * price,
                )
            )
        charges = (
            Charge(kind="shipping", amount=499),
            Charge(kind="tax", amount=random.randint(0, 500)),
            Charge(kind="discount", amount=random.randint(0, 100)),
        )
        name = "nobody" if random.random() < 0.05 else f"ada{n}"
        return o.PlaceOrder(
            channel="web",
            external_id=f"W-{n}",
            currency="GBP",
            lines=tuple(lines),
            charges=charges if random.random() < 0.5 else (),
            customer=Customer(name="Ada", email=f"{name}@example.com"),
            payment_method=random.choice(METHODS),
            backorder=random.choice(("refuse", "wait")),
        )

    async def _shopper(self, n: int) -> None:
        random = self._random(f"shopper {n}")
        wish = self._wish(n, random)
        await asyncio.sleep(random.uniform(1.0, OPEN_SECONDS))
        match random.choice(("api", "api", "topic", "gateway", "twice", "both", "all")):
            case "api":
                await self._place(wish, f"key-{n}")
            case "gateway":
                await self._take(wish, f"key-{n}")
            case "topic":
                await self._asking.channel(wish)
            case "twice":  # an impatient shopper, under one key
                await asyncio.gather(*(self._place(wish, f"key-{n}") for _ in range(2)))
            case "both":  # the same order on two roads
                await asyncio.gather(self._asking.channel(wish), self._place(wish, f"key-{n}"))
            case _:  # and on all three
                await asyncio.gather(
                    self._asking.channel(wish),
                    self._place(wish, f"key-{n}"),
                    self._take(wish, f"gateway-{n}"),
                )
        if random.random() < 0.3:
            await self._change_of_mind(wish, random)

    async def _place(self, wish: o.PlaceOrder, key: str) -> None:
        await self._asking.ask("order", wish, key)
        self.told.add(wish.order_id)

    async def _take(self, wish: o.PlaceOrder, key: str) -> None:
        """By the gateway, which passes an order on once it is durable."""
        take = TakeOrder(source="gateway", reference=key, order=wish, kept=False)
        outcome = await self._asking.ask("integrations", take, key)
        if outcome.refused is None:
            self.told.add(wish.order_id)

    async def _change_of_mind(self, wish: o.PlaceOrder, random: Random) -> None:
        await asyncio.sleep(random.choice((0.0, random.uniform(0, 2), random.uniform(0, 20))))
        for _ in range(random.choice((1, 1, 2))):
            road = random.random()
            cancel = o.RequestCancellation(channel="web", external_id=wish.external_id)
            if road < 0.3:
                await self._asking.channel(cancel)
            elif road < 0.5:
                take = TakeCancellation(
                    source="gateway", reference=wish.external_id, request=cancel
                )
                await self._asking.ask("integrations", take)
            else:
                command = o.CancelOrder(order_id=wish.order_id, reason="changed my mind")
                await self._asking.ask("order", command)

    async def _poison(self) -> None:
        """A record that nobody can read, then a good one of the same key: it waits until a person has looked."""
        random = self._random("poison")
        await asyncio.sleep(random.uniform(1.0, OPEN_SECONDS))
        wish = self._wish(self._orders, random)
        await self._asking.channel(wish, value=UNREADABLE)
        await asyncio.sleep(random.uniform(0.0, 4.0))
        await self._asking.channel(wish)
        while len(self._parked(wish)) < 2:
            if f"order-{wish.order_id}" in self._world.services["order"].tables.streams:
                self._world.violation("an order overtook a parked message of its own key")
                return
            await asyncio.sleep(1.0)
        self._world.spawn(self._operate(wish), awaited=False)

    def _parked(self, wish: o.PlaceOrder) -> dict[int, ParkedRow]:
        parked, at = self._world.services["order"].tables.parked, (wish.route(), wish.key.encode())
        return {n: row for n, (row, _) in parked.items() if (row.topic, row.key) == at}

    async def _operate(self, wish: o.PlaceOrder) -> None:
        """A person who gives up what is unreadable, and redrives the rest; copies of it may come again."""
        random = self._random("operator")
        while True:
            await asyncio.sleep(random.uniform(0.5, 3.0))
            process = self._world.services["order"].front()
            if process is None:
                continue
            try:
                async with asyncio.timeout(10):
                    for id, row in self._parked(wish).items():
                        if row.value == UNREADABLE:
                            await process.store.discard(id, "agent", "unreadable")
                    topic, key = str(wish.route()), wish.key.encode()
                    await redrive(process.table, process.store, process.writer, topic, key)
            except (Unavailable, TimeoutError):
                continue

    # Agents

    def _held(self, event: o.HoldPlaced) -> None:
        random = self._random(event.hold_id)
        self._looks[event.order_id] += 1
        if random.random() < 0.5 and self._looks[event.order_id] <= LOOKS_MAX:
            self._world.spawn(self._look_at(event, random))

    async def _look_at(self, event: o.HoldPlaced, random: Random) -> None:
        await asyncio.sleep(random.uniform(0.5, 10.0))
        command = o.ReleaseHold(order_id=event.order_id, hold_id=event.hold_id, note="looked at")
        await self._asking.ask("order", command, actor="agent")

    # The warehouse

    def _opened(self, event: f.FulfillmentOpened) -> None:
        if event.location == "EAST":
            self._world.spawn(self._work(event))

    async def _work(self, opened: f.FulfillmentOpened) -> None:
        """Pick, pack and send one fulfillment, in one parcel or two, short now and then."""
        random = self._random(opened.fulfillment_id)
        id, order_id = opened.fulfillment_id, opened.order_id
        await asyncio.sleep(random.uniform(0.1, 6.0))
        picked = list(opened.lines)
        if random.random() < 0.2:
            last = picked.pop()
            if last.quantity > 1:
                picked.append(_units(last, last.quantity - 1))
        start = f.StartPicking(fulfillment_id=id, order_id=order_id, picker="bo")
        pick = f.RecordPick(
            fulfillment_id=id,
            order_id=order_id,
            lines=tuple(picked),
            short_reason="not_found",
            pick_id="1",
        )
        for command in (start, pick):
            if (await self._asking.ask("fulfillment", command)).refused:
                return
            await asyncio.sleep(random.uniform(0.1, 3.0))
        parcels = [picked[:1], picked[1:]] if random.random() < 0.5 else [picked]
        for number, content in enumerate(filter(None, parcels), 1):
            package = f"{id}.p{number}"
            pack = f.PackItems(
                fulfillment_id=id, order_id=order_id, package_id=package, lines=tuple(content)
            )
            if (await self._asking.ask("fulfillment", pack)).refused:
                return
            self._world.spawn(self._send(opened, package, random.uniform(0.1, 4.0)))

    async def _send(self, opened: f.FulfillmentOpened, package: str, seconds: float) -> None:
        """Hand a parcel to the carrier once it is released, and later to the shopper."""
        id, order_id = opened.fulfillment_id, opened.order_id
        ship = f.ShipPackage(
            fulfillment_id=id,
            order_id=order_id,
            package_id=package,
            carrier="post",
            tracking_number=f"T-{package}",
        )
        until = self._world.loop.now + PATIENCE_SECONDS
        while refused := (await self._asking.ask("fulfillment", ship)).refused:
            if refused.code != "not_released" or self._world.loop.now > until:
                return
            await asyncio.sleep(1.0)
        await asyncio.sleep(seconds)
        arrived = f.ConfirmDelivery(fulfillment_id=id, order_id=order_id, package_id=package)
        for _ in range(2 if seconds < 1.0 else 1):
            await self._asking.ask("fulfillment", arrived)

    # Returns

    def _delivered(self, event: o.OrderDelivered) -> None:
        random = self._random(f"return {event.package_id}")
        if random.random() < 0.4:
            self._world.spawn(self._send_back(event, random))

    async def _send_back(self, event: o.OrderDelivered, random: Random) -> None:
        """A parcel comes back, in part or whole, and is looked at."""
        await asyncio.sleep(random.uniform(0.1, 5.0))
        return_id, order_id = f"ret-{event.package_id}", event.order_id
        back = [_units(x, random.randint(1, x.quantity)) for x in event.lines]
        asked = tuple(r.ReturnLine(line_id=x.line_id, sku=x.sku, quantity=x.quantity) for x in back)
        request = AskReturn(return_id=return_id, order_id=order_id, lines=asked)
        if (await self._asking.ask("returns", request, f"key-{return_id}")).refused:
            return  # asked before returns has heard of the parcel, or of what is left of it
        disposition = random.choice(("restock", "restock", "scrap", "missing"))
        steps: list[r.ReturnCommand] = []
        if disposition != "missing":
            steps.append(
                r.ReceiveReturn(
                    return_id=return_id,
                    order_id=order_id,
                    receipt_id="1",
                    location="EAST",
                    lines=tuple(back),
                )
            )
        steps.append(
            r.InspectReturn(
                return_id=return_id,
                order_id=order_id,
                lines=tuple(
                    r.InspectedLine(
                        line_id=x.line_id,
                        sku=x.sku,
                        quantity=x.quantity,
                        disposition=disposition,  # type: ignore[arg-type]
                    )
                    for x in back
                ),
            )
        )
        for step in steps:
            await self._asking.ask("returns", step)
            await asyncio.sleep(random.uniform(0.0, 2.0))


def _units(x: LineQuantity, quantity: int) -> LineQuantity:
    return LineQuantity(line_id=x.line_id, sku=x.sku, quantity=quantity)
