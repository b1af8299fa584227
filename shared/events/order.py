"""The order service's language: what channels and agents ask of it, and what happened to an order.

Every event here belongs to the stream ``order-<order_id>`` and is keyed by the order's id.
"""

from functools import lru_cache
from typing import Literal
from uuid import UUID, uuid5

from msgspec import UNSET, UnsetType

from shared.events.message import (
    Address,
    Allocation,
    BackorderPolicy,
    Charge,
    Command,
    Customer,
    Event,
    Instant,
    LineQuantity,
    Money,
    OrderLine,
    Tender,
)

_ORDERS = UUID("5d7b1b2e-6f0c-5c3f-9a35-6b6f0f6d2a11")


@lru_cache(maxsize=4096)  # asked for several times while one order is placed
def order_id_for(channel: str, external_id: str) -> str:
    """The id of a channel's order: the same text for the same order, wherever it is computed (UUID version 5)."""
    return str(uuid5(_ORDERS, f"{channel}\x1f{external_id}"))


class ChannelCommand(Command, frozen=True, kw_only=True):
    """What a sales channel asks, naming the order in its own words: its name and its own number for the order.

    The order's id follows from both (`order_id_for`), so the same order sent twice, or on two roads, is one order.
    """

    channel: str
    external_id: str

    @classmethod
    def route(cls) -> str:
        return "oms.channel.orders"

    @property
    def order_id(self) -> str:
        """The id of the order that is meant."""
        return order_id_for(self.channel, self.external_id)

    @property
    def subject(self) -> str:
        return f"order-{self.order_id}"

    @property
    def key(self) -> str:
        return f"{self.channel}/{self.external_id}"


class PlaceOrder(ChannelCommand, frozen=True, kw_only=True, tag="oms.channel.place_order.v1"):
    """A channel asks for an order. ``placed_at`` is the business time that the shopper saw; without it, the time of
    arrival counts. ``tenders`` are the payments that the channel names, where it does: they come to the order's total,
    which is authorised as one by ``payment_method``."""

    currency: str
    lines: tuple[OrderLine, ...]
    charges: tuple[Charge, ...] = ()
    customer: Customer = Customer()
    ship_to: Address = Address()
    payment_method: str = ""
    backorder: BackorderPolicy = "refuse"
    placed_at: Instant | None = None
    tenders: tuple[Tender, ...] | UnsetType = UNSET


class RequestCancellation(
    ChannelCommand, frozen=True, kw_only=True, tag="oms.channel.cancel_order.v1"
):
    """The shopper changed their mind, through a channel."""

    reason: str = "customer"


class OrderCommand(Command, frozen=True, kw_only=True):
    """A command to one order."""

    order_id: str

    @property
    def subject(self) -> str:
        return f"order-{self.order_id}"

    @property
    def key(self) -> str:
        return self.order_id


class CancelOrder(OrderCommand, frozen=True, kw_only=True, tag="oms.order.cancel.v1"):
    """Cancel whatever has not been captured or shipped; refused once goods have left."""

    reason: str
    actor: str = ""


class ReleaseHold(OrderCommand, frozen=True, kw_only=True, tag="oms.order.release_hold.v1"):
    """A person has looked at a held order: go on with it."""

    hold_id: str
    actor: str = ""
    note: str = ""


class OrderEvent(Event, frozen=True, kw_only=True):
    """Something that happened to one order."""

    order_id: str

    @property
    def subject(self) -> str:
        return f"order-{self.order_id}"

    @property
    def key(self) -> str:
        return self.order_id


class OrderPlaced(OrderEvent, frozen=True, kw_only=True, tag="oms.order.placed.v1"):
    """An order was accepted for processing. ``total`` = lines + tax + shipping + fees - discount, minor units."""

    channel: str
    external_id: str
    currency: str
    lines: tuple[OrderLine, ...]
    charges: tuple[Charge, ...]
    total: int
    customer: Customer
    ship_to: Address
    payment_method: str
    backorder: BackorderPolicy
    placed_at: Instant
    tenders: tuple[Tender, ...] | UnsetType = UNSET


class OrderRejected(OrderEvent, frozen=True, kw_only=True, tag="oms.order.rejected.v1"):
    """The order ended before it was confirmed: no stock, no payment, or unusable."""

    reason: Literal["out_of_stock", "unknown_sku", "payment_declined", "invalid", "expired"]
    detail: str = ""


class OrderReserved(OrderEvent, frozen=True, kw_only=True, tag="oms.order.reserved.v1"):
    """Inventory granted every unit until ``expires_at``."""

    reservation_id: str
    allocations: tuple[Allocation, ...]
    expires_at: Instant


class OrderBackordered(OrderEvent, frozen=True, kw_only=True, tag="oms.order.backordered.v1"):
    """Inventory put the order in line for stock that is yet to come."""

    reservation_id: str


class ReservationLost(OrderEvent, frozen=True, kw_only=True, tag="oms.order.reservation_lost.v1"):
    """A reservation ended before the order could commit it; a new one is asked for, or the order ends."""

    reservation_id: str
    reason: str


class PaymentAuthorised(
    OrderEvent, frozen=True, kw_only=True, tag="oms.order.payment_authorised.v1"
):
    """The provider guarantees the amount; nothing is taken yet."""

    payment_id: str
    provider_ref: str
    amount: Money


class PaymentDeclined(OrderEvent, frozen=True, kw_only=True, tag="oms.order.payment_declined.v1"):
    """The provider said no."""

    payment_id: str
    code: str


class OrderConfirmed(OrderEvent, frozen=True, kw_only=True, tag="oms.order.confirmed.v1"):
    """Stock and payment are both granted: the promise to the shopper stands."""

    channel: str
    external_id: str
    total: Money


class OrderPacked(OrderEvent, frozen=True, kw_only=True, tag="oms.order.packed.v1"):
    """A package stands ready; ``capture`` is what its units cost, to be taken before it leaves."""

    fulfillment_id: str
    package_id: str
    lines: tuple[LineQuantity, ...]
    capture: Money


class PaymentCaptured(OrderEvent, frozen=True, kw_only=True, tag="oms.order.payment_captured.v1"):
    """Money was taken for one package, or for the fees of an order without goods (empty ``package_id``)."""

    payment_id: str
    capture_id: str
    package_id: str
    amount: Money


class CaptureRefused(OrderEvent, frozen=True, kw_only=True, tag="oms.order.capture_refused.v1"):
    """The provider would not take the money; the package waits behind a payment hold."""

    payment_id: str
    capture_id: str
    package_id: str
    reason: str


class OrderShipped(OrderEvent, frozen=True, kw_only=True, tag="oms.order.shipped.v1"):
    """One package left."""

    fulfillment_id: str
    package_id: str
    location: str
    lines: tuple[LineQuantity, ...]
    carrier: str
    tracking_number: str


class OrderDelivered(OrderEvent, frozen=True, kw_only=True, tag="oms.order.delivered.v1"):
    """One package arrived."""

    fulfillment_id: str
    package_id: str
    lines: tuple[LineQuantity, ...]


class LinesCancelled(OrderEvent, frozen=True, kw_only=True, tag="oms.order.lines_cancelled.v1"):
    """Some units will not be sent (a short pick); they are not charged."""

    fulfillment_id: str
    lines: tuple[LineQuantity, ...]
    reason: str


class OrderCompleted(OrderEvent, frozen=True, kw_only=True, tag="oms.order.completed.v1"):
    """Everything that was to be sent has arrived and is paid."""


class CancellationRequested(
    OrderEvent, frozen=True, kw_only=True, tag="oms.order.cancellation_requested.v1"
):
    """Cancelling has begun: stock, warehouse and payment are being undone."""

    reason: str
    actor: str


class CancellationRefused(
    OrderEvent, frozen=True, kw_only=True, tag="oms.order.cancellation_refused.v1"
):
    """Too late: goods have left or money was taken. A return is the way back."""

    reason: str
    actor: str


class FulfillmentStopped(
    OrderEvent, frozen=True, kw_only=True, tag="oms.order.fulfillment_stopped.v1"
):
    """The warehouse agreed not to send one fulfillment."""

    fulfillment_id: str


class ReservationReturned(
    OrderEvent, frozen=True, kw_only=True, tag="oms.order.reservation_returned.v1"
):
    """Inventory gave the order's units back to stock."""

    reservation_id: str


class PaymentVoided(OrderEvent, frozen=True, kw_only=True, tag="oms.order.payment_voided.v1"):
    """The rest of an authorisation was given up."""

    payment_id: str


class OrderCancelled(OrderEvent, frozen=True, kw_only=True, tag="oms.order.cancelled.v1"):
    """The order ended by cancellation: no stock held, no money kept."""

    reason: str


class ReturnAccepted(OrderEvent, frozen=True, kw_only=True, tag="oms.order.return_accepted.v1"):
    """Returned units were inspected; ``refund`` is owed for them."""

    return_id: str
    refund_id: str
    lines: tuple[LineQuantity, ...]
    refund: Money


class RefundIssued(OrderEvent, frozen=True, kw_only=True, tag="oms.order.refund_issued.v1"):
    """The provider paid back."""

    refund_id: str
    payment_id: str
    return_id: str
    amount: Money


class RefundFailed(OrderEvent, frozen=True, kw_only=True, tag="oms.order.refund_failed.v1"):
    """The provider refused the refund; a person must pay it by other means."""

    refund_id: str
    payment_id: str
    return_id: str
    reason: str


class HoldPlaced(OrderEvent, frozen=True, kw_only=True, tag="oms.order.hold_placed.v1"):
    """The order waits for a person."""

    hold_id: str
    kind: Literal["payment", "stock", "fulfillment", "manual"]
    reason: str


class HoldReleased(OrderEvent, frozen=True, kw_only=True, tag="oms.order.hold_released.v1"):
    """A person let the order go on."""

    hold_id: str
    actor: str
    note: str
