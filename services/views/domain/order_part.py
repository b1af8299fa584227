"""The order's own story, as its service told it; `order_folds` and `order_money` say how it comes about.

Every unit of a line is in exactly one quantity, at every event: open, reserved, backordered,
packed, shipped, delivered or cancelled. Units only move between them, so they always add up to what
was ordered."""

from datetime import datetime

from services.views.domain.units import Part, Units
from shared.events import Address, Charge, Customer


class Line(Part, frozen=True, array_like=True, kw_only=True):
    """One order line. ``total`` is minor units; ``paid`` counts units whose package was
    captured."""

    line_id: str
    sku: str
    ordered: int
    unit_price: int
    total: int
    open: int = 0
    reserved: int = 0
    backordered: int = 0
    packed: int = 0
    shipped: int = 0
    delivered: int = 0
    cancelled: int = 0
    paid: int = 0
    exact_unit_price: str | None = None
    description: str = ""


class Package(Part, frozen=True, array_like=True, kw_only=True):
    """One package as the order knows it. ``capture`` is what its units cost, ``captured`` what was
    taken (minor units)."""

    package_id: str
    fulfillment_id: str = ""
    lines: tuple[Units, ...] = ()
    capture: int = 0
    captured: int = 0
    location: str = ""
    carrier: str = ""
    tracking: str = ""
    packed_at: datetime | None = None
    paid_at: datetime | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    refusal: str = ""
    stopped: bool = False


def new_package(id: str) -> Package:
    """One of which nothing is known yet."""
    return Package(package_id=id)


class Payment(Part, frozen=True, array_like=True, kw_only=True):
    """One payment; amounts in minor units of the order's currency."""

    payment_id: str
    provider_ref: str = ""
    authorised: int = 0
    captured: int = 0
    refunded: int = 0
    voided: int = 0
    declined: str = ""
    at: datetime | None = None


class Refund(Part, frozen=True, array_like=True, kw_only=True):
    """Money owed back: granted, then paid or failed."""

    refund_id: str
    payment_id: str = ""
    return_id: str = ""
    amount: int = 0
    state: str = "granted"
    reason: str = ""
    at: datetime | None = None


class Hold(Part, frozen=True, array_like=True, kw_only=True):
    """Why the order waits for a person, and who let it go on."""

    hold_id: str
    kind: str = ""
    reason: str = ""
    placed_at: datetime | None = None
    released_at: datetime | None = None
    released_by: str = ""
    note: str = ""


class OrderPart(Part, frozen=True, array_like=True, kw_only=True):
    """See the module. ``status`` is empty until the order was seen placed."""

    status: str = ""
    reason: str = ""
    channel: str = ""
    number: str = ""
    currency: str = ""
    total: int = 0
    lines: tuple[Line, ...] = ()
    charges: tuple[Charge, ...] = ()
    customer: Customer = Customer()
    ship_to: Address = Address()
    payment_method: str = ""
    backorder: str = ""
    placed_at: datetime | None = None
    recorded_at: datetime | None = None
    confirmed_at: datetime | None = None
    ended_at: datetime | None = None
    cancelling: str = ""
    cancel_refused: str = ""
    packages: tuple[Package, ...] = ()
    payments: tuple[Payment, ...] = ()
    refunds: tuple[Refund, ...] = ()
    holds: tuple[Hold, ...] = ()
    fees_captured: int = 0
    oddities: tuple[str, ...] = ()
