"""The state of one order: a fold of its events, on every axis that decisions need."""

from hashlib import blake2b
from typing import Literal

import msgspec

from shared.events import Address, Allocation, BackorderPolicy, LineQuantity, OrderLine
from shared.events.order import OrderPlaced, PlaceOrder

Status = Literal["new", "placed", "confirmed", "completed", "rejected", "cancelled"]
ReservationStatus = Literal["none", "requested", "backordered", "held", "committed", "ended"]
PackageStatus = Literal["packed", "refused", "captured", "shipped", "delivered"]
FulfillmentStatus = Literal["open", "stopped"]

#: Among an order's packages, what stands for the fees of an order without goods.
FEES = ""


class Line(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One line: what its units cost and give back in all (minor units), and how many are where."""

    sku: str
    quantity: int
    payable: int
    refundable: int
    packed: int = 0
    delivered: int = 0
    cancelled: int = 0
    returned: int = 0


class Payment(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The order's payment at the provider, in minor units."""

    payment_id: str
    provider_ref: str
    authorised: int
    captured: int = 0
    refunded: int = 0
    voided: bool = False


class Package(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A packed package; ``attempts`` counts the captures that were asked for."""

    fulfillment_id: str
    lines: tuple[LineQuantity, ...]
    amount: int
    status: PackageStatus = "packed"
    attempts: int = 1


class Order(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One order. ``cancelling`` is the reason while a cancellation is under way; ``rejection`` the reason of one."""

    status: Status = "new"
    order_id: str = ""
    channel: str = ""
    external_id: str = ""
    currency: str = ""
    total: int = 0
    fingerprint: str = ""
    lines: dict[str, Line] = {}
    ship_to: Address = Address()
    payment_method: str = ""
    backorder: BackorderPolicy = "refuse"
    reservation: ReservationStatus = "none"
    reservation_attempts: int = 0
    allocations: tuple[Allocation, ...] = ()
    authorising: bool = False
    payment: Payment | None = None
    fulfillments: dict[str, FulfillmentStatus] = {}
    packages: dict[str, Package] = {}
    cancelling: str = ""
    rejection: str = ""
    holds: dict[str, str] = {}
    holds_placed: int = 0
    returns: dict[str, int] = {}
    refunds_open: tuple[str, ...] = ()

    @property
    def reservation_id(self) -> str:
        """The id of the latest reservation."""
        return f"{self.order_id}.{self.reservation_attempts}"

    def capture_id(self, package_id: str) -> str:
        """The id of the latest capture for a package: a refusal is final for its id, so each attempt has its own."""
        name = f"{self.order_id}.fees" if package_id == FEES else package_id
        return f"{name}.c{self.packages[package_id].attempts}"

    @property
    def ended(self) -> bool:
        """Whether the order ended without being confirmed or by cancellation."""
        return self.status in ("rejected", "cancelled")

    @property
    def settled(self) -> bool:
        """Whether nothing is left to send: every unit has arrived or was cancelled."""
        return all(x.delivered + x.cancelled == x.quantity for x in self.lines.values())

    def quantities(self) -> tuple[LineQuantity, ...]:
        """Every line with its whole quantity."""
        return tuple(
            LineQuantity(line_id=id, sku=line.sku, quantity=line.quantity)
            for id, line in self.lines.items()
        )


def fingerprint(order: PlaceOrder | OrderPlaced) -> str:
    """What makes two requests under one external id the same order: lines, charges, money, customer, address."""
    parts: tuple[tuple[OrderLine, ...], object, str, object, object] = (
        order.lines,
        order.charges,
        order.currency,
        order.customer,
        order.ship_to,
    )
    return blake2b(msgspec.json.encode(parts), digest_size=12).hexdigest()


def fulfillments_of(order_id: str, allocations: tuple[Allocation, ...]) -> dict[str, str]:
    """One fulfillment per location: its id to the location, numbered in the locations' order."""
    locations = sorted({a.location for a in allocations})
    return {f"{order_id}.f{n}": location for n, location in enumerate(locations, start=1)}
