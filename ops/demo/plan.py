"""Every order of a run, decided beforehand from a seed: what is bought, how it goes, and where it must end."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from ops.demo import stories
from ops.demo.catalogue import (
    ANNOUNCED,
    AT,
    LIMITED,
    PRODUCTS,
    SOLD_OUT,
    STAFFED,
    Product,
    scarce,
)
from ops.demo.stories import Story, shared_out
from shared.events import Address, Charge, Customer, OrderLine, StockLine
from shared.events.order import PlaceOrder

#: Sales channels and the road that each takes.
WEB, SHOP, MARKETPLACE = "web", "shop", "marketplace"
CHANNELS = {WEB: "REST", SHOP: "topic", MARKETPLACE: "file"}
_CHANNEL_WEIGHTS = (5, 3, 2)
#: Orders that wait for the same receipt.
WAITING_TOGETHER = 4
#: One order in so many is sent twice, as networks do.
TWICE_EVERY = 25

_NAMES = ("Alex", "Bina", "Chidi", "Dana", "Ewan", "Fatima", "Grace", "Hugo", "Isla", "Jonas")
_SURNAMES = ("Ahmed", "Brown", "Campbell", "Evans", "Fraser", "Hughes", "Khan", "Murphy", "Patel")
_TOWNS = (
    ("Leeds", "LS1 4AP"),
    ("Bristol", "BS1 5TR"),
    ("Cardiff", "CF10 1EP"),
    ("York", "YO1 9TL"),
)


@dataclass(frozen=True, slots=True)
class Planned:
    """One order. ``pace`` stretches the warehouse's working times; ``twice`` is sent twice."""

    number: int
    story: Story
    command: PlaceOrder
    pace: float
    twice: bool

    @property
    def order_id(self) -> str:
        """The id that the order service will give it."""
        return self.command.order_id


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run. ``awaited`` maps a limited SKU to the orders that wait for it."""

    run: str
    seed: int
    orders: tuple[Planned, ...]
    awaited: dict[str, tuple[str, ...]]

    def opening_stock(self) -> dict[str, list[StockLine]]:
        """What each location needs for the run, with a margin; limited goods arrive later."""
        wanted: Counter[str] = Counter()
        for order in self.orders:
            for line in order.command.lines:
                wanted[line.sku] += line.quantity
        stock: dict[str, list[StockLine]] = defaultdict(list)
        for product in PRODUCTS:
            quantity = wanted[product.sku] + wanted[product.sku] // 10 + 25
            stock[product.location].append(
                StockLine(sku=product.sku, location=product.location, quantity=quantity)
            )
        return dict(stock)

    def receipts(self) -> dict[str, StockLine]:
        """What arrives of each limited SKU: exactly what its orders wait for."""
        wanted: Counter[str] = Counter()
        for order in self.orders:
            for line in order.command.lines:
                if line.sku in self.awaited:
                    wanted[line.sku] += line.quantity
        return {
            sku: StockLine(sku=sku, location=STAFFED[0], quantity=n) for sku, n in wanted.items()
        }

    def products(self) -> list[Product]:
        """Everything that must be registered before the first order."""
        known = {p.sku for p in PRODUCTS}
        rare = {
            line.sku: Product(line.sku, line.description, line.unit_price, STAFFED[0])
            for order in self.orders
            for line in order.command.lines
            if line.sku not in known
        }
        return [*PRODUCTS, *rare.values()]


def make_plan(orders: int, seed: int, run: str) -> Plan:
    """The plan of a run: the same arguments give the same plan. ``run`` keeps the numbers of runs apart."""
    random = Random(f"{seed}/{orders}")  # noqa: S311 - a plan must repeat, not surprise
    told = shared_out(orders)
    random.shuffle(told)
    awaited: dict[str, list[str]] = defaultdict(list)
    planned = []
    for number, story in enumerate(told, 1):
        order = _planned(random, number, story, run, waiting=sum(map(len, awaited.values())))
        if story is stories.BACKORDER:
            awaited[order.command.lines[0].sku].append(order.order_id)
        planned.append(order)
    return Plan(run, seed, tuple(planned), {sku: tuple(ids) for sku, ids in awaited.items()})


def _planned(random: Random, number: int, story: Story, run: str, waiting: int) -> Planned:
    channel = random.choices(tuple(CHANNELS), _CHANNEL_WEIGHTS)[0]
    lines = _lines(random, story, run, waiting)
    command = PlaceOrder(
        channel=channel,
        external_id=f"{run}-{number:05}",
        currency="EUR" if channel == MARKETPLACE else "GBP",
        lines=lines,
        charges=_charges(random, sum(line.total for line in lines)),
        customer=_customer(random, number),
        ship_to=_address(random),
        payment_method=story.token,
        backorder="wait" if story.waits else "refuse",
    )
    pace = random.uniform(0.5, 2.0)
    return Planned(number, story, command, pace, twice=random.randrange(TWICE_EVERY) == 0)


def _lines(random: Random, story: Story, run: str, waiting: int) -> tuple[OrderLine, ...]:
    home = random.choice(STAFFED)
    match story:
        case stories.BACKORDER:
            chosen = [scarce(LIMITED, run, 1 + waiting // WAITING_TOGETHER)]
        case stories.SOLD_OUT:
            chosen = [scarce(SOLD_OUT, run), random.choice(AT[home])]
        case stories.GIVES_UP:
            chosen = [scarce(ANNOUNCED, run)]
        case stories.AUTOMATIC:
            chosen = random.sample(AT["AUTO"], random.randint(1, 2))
        case stories.SPLIT:
            other = random.choice([x for x in STAFFED if x != home])
            chosen = [random.choice(AT[home]), random.choice(AT[other])]
        case _:
            chosen = random.sample(AT[home], random.randint(1, 3))
    several = story in (stories.PARCELS, stories.SHORT)
    return tuple(
        _line(n, product, random.randint(2, 4) if several else random.choice((1, 1, 1, 2, 3)))
        for n, product in enumerate(chosen, 1)
    )


def _line(number: int, product: Product, quantity: int) -> OrderLine:
    return OrderLine(
        line_id=str(number),
        sku=product.sku,
        quantity=quantity,
        unit_price=product.price,
        total=quantity * product.price,
        description=product.description,
    )


def _charges(random: Random, goods: int) -> tuple[Charge, ...]:
    charges = [Charge(kind="tax", amount=goods // 5, description="VAT 20 %")]
    if goods < 5_000:
        charges.append(Charge(kind="shipping", amount=395, description="Standard delivery"))
    if random.randrange(5) == 0:
        charges.append(Charge(kind="discount", amount=goods // 10, description="WELCOME10"))
    return tuple(charges)


def _customer(random: Random, number: int) -> Customer:
    name = f"{random.choice(_NAMES)} {random.choice(_SURNAMES)}"
    email = f"{name.lower().replace(' ', '.')}.{number}@example.com"
    return Customer(customer_id=f"C{random.randint(1000, 9999)}", name=name, email=email)


def _address(random: Random) -> Address:
    town, code = random.choice(_TOWNS)
    return Address(
        line1=f"{random.randint(1, 150)} High Street", city=town, postal_code=code, country="GB"
    )


def by_story(orders: Iterable[Planned]) -> dict[Story, Sequence[Planned]]:
    """The orders of each story, in the stories' order."""
    found: dict[Story, list[Planned]] = {story: [] for story in stories.STORIES}
    for order in orders:
        found[order.story].append(order)
    return {story: told for story, told in found.items() if told}
