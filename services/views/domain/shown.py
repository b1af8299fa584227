"""An order as people and systems look at it: the parts of its document put together.

The shape follows UCP's order (2026-04-08) where it has a word for it: a line's ``quantity`` is
``{total, fulfilled}``, amounts are minor units of the order's ISO 4217 currency. Times are UTC."""

from datetime import datetime

import msgspec

from shared.events import Address, Charge, Customer


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what is shown."""


class Status(Shown, frozen=True, kw_only=True):
    """The axes of an order, and whether it waits for a person or is being cancelled."""

    order: str
    payment: str
    fulfillment: str
    returns: str
    on_hold: bool
    cancelling: bool


class Quantity(Shown, frozen=True, kw_only=True):
    """Units of a line: ``total`` still wanted (ordered less cancelled), ``fulfilled`` of them
    sent."""

    total: int
    fulfilled: int


class Quantities(Shown, frozen=True, kw_only=True):
    """Where the units of a line are; they add up to what was ordered."""

    open: int
    reserved: int
    backordered: int
    picked: int
    packed: int
    shipped: int
    delivered: int
    cancelled: int
    return_requested: int
    returned: int


class LineView(Shown, frozen=True, kw_only=True):
    """One line. ``payable`` is its total with its share of the order's charges; ``paid`` is what
    was captured of that with the packages that its units are in. Both add up to the order's total
    and captures."""

    line_id: str
    sku: str
    description: str
    ordered: int
    quantity: Quantity
    quantities: Quantities
    unit_price: int
    exact_unit_price: str | None
    total: int
    payable: int
    paid: int


class ItemView(Shown, frozen=True, kw_only=True):
    """Some units of a line, with its words."""

    line_id: str
    sku: str
    description: str
    quantity: int
    note: str = ""


class MoneyView(Shown, frozen=True, kw_only=True):
    """What the order costs, and what became of the money. ``to_capture`` is authorised and not yet
    taken."""

    currency: str
    lines: int
    charges: tuple[Charge, ...]
    total: int
    authorised: int
    captured: int
    voided: int
    to_capture: int
    refunded: int
    refund_pending: int


class ShipmentView(Shown, frozen=True, kw_only=True):
    """One package, as the order and the warehouse know it. ``shipped_at`` and ``delivered_at`` are
    the carrier's times where it gave them."""

    package_id: str
    fulfillment_id: str
    state: str
    location: str
    carrier: str
    tracking_number: str
    items: tuple[ItemView, ...]
    captured: int
    refusal: str
    packed_at: datetime | None
    paid_at: datetime | None
    released_at: datetime | None
    shipped_at: datetime | None
    delivered_at: datetime | None


class FulfillmentView(Shown, frozen=True, kw_only=True):
    """One location's share of the order."""

    fulfillment_id: str
    location: str
    state: str
    items: tuple[ItemView, ...]
    picker: str
    short: tuple[ItemView, ...]
    reason: str
    opened_at: datetime | None


class PaymentView(Shown, frozen=True, kw_only=True):
    """One payment; amounts in minor units."""

    payment_id: str
    provider_ref: str
    authorised: int
    captured: int
    refunded: int
    voided: int
    declined: str
    at: datetime | None


class RefundView(Shown, frozen=True, kw_only=True):
    """Money owed back: granted, paid or failed."""

    refund_id: str
    payment_id: str
    return_id: str
    amount: int
    state: str
    reason: str
    at: datetime | None


class HoldView(Shown, frozen=True, kw_only=True):
    """Why the order waits or waited for a person."""

    hold_id: str
    kind: str
    reason: str
    placed_at: datetime | None
    released_at: datetime | None
    released_by: str
    note: str


class PromiseView(Shown, frozen=True, kw_only=True):
    """Units of a line promised from a location."""

    line_id: str
    sku: str
    location: str
    quantity: int


class NoticeView(Shown, frozen=True, kw_only=True):
    """One message to the customer: requested, sent or failed."""

    notification_id: str
    template: str
    state: str
    reason: str
    at: datetime | None


class ReservationView(Shown, frozen=True, kw_only=True):
    """One promise of stock: what it still holds, and where; what is missing."""

    reservation_id: str
    state: str
    promised: tuple[PromiseView, ...]
    missing: tuple[ItemView, ...]
    expires_at: datetime | None
    reason: str


class ReturnView(Shown, frozen=True, kw_only=True):
    """One return, with what is owed or was paid for it."""

    return_id: str
    state: str
    items: tuple[ItemView, ...]
    received: int
    location: str
    dispositions: tuple[ItemView, ...]
    refund: RefundView | None
    reason: str
    requested_at: datetime | None
    received_at: datetime | None
    inspected_at: datetime | None
    ended_at: datetime | None


class OrderView(Shown, frozen=True, kw_only=True):
    """An order, whole."""

    id: str
    version: int
    number: str
    channel: str
    status: Status
    reason: str
    cancellation_refused: str
    placed_at: datetime | None
    recorded_at: datetime | None
    confirmed_at: datetime | None
    ended_at: datetime | None
    updated_at: datetime | None
    customer: Customer
    ship_to: Address
    payment_method: str
    lines: tuple[LineView, ...]
    money: MoneyView
    payments: tuple[PaymentView, ...]
    refunds: tuple[RefundView, ...]
    holds: tuple[HoldView, ...]
    reservations: tuple[ReservationView, ...]
    fulfillments: tuple[FulfillmentView, ...]
    shipments: tuple[ShipmentView, ...]
    returns: tuple[ReturnView, ...]
    notices: tuple[NoticeView, ...]
    oddities: tuple[str, ...]


class Summary(Shown, frozen=True, kw_only=True):
    """An order in a list."""

    id: str
    version: int
    number: str
    channel: str
    status: Status
    placed_at: datetime | None
    customer_name: str
    customer_email: str
    units: int
    total: int
    currency: str
