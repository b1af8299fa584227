"""What adapters ask of this service. These never travel."""

from datetime import datetime

from shared.events import Command
from shared.events.integrations import refusal_id_for
from shared.events.order import PlaceOrder, RequestCancellation, order_id_for
from shared.events.returns import RequestReturn


class Inbound(Command, frozen=True, kw_only=True):
    """What an adapter read: from which ``source``, where in it (``reference``), and the ``payload`` as it came.

    ``said_at`` is the channel's own time of what it says, where it has one: older words never overrule newer ones.
    ``resubmits`` names the refused input that this is a second reading of. ``identity`` is what makes two inputs the same
    to a person, where it is not their place and their words.
    """

    source: str
    reference: str
    payload: str = ""
    said_at: datetime | None = None
    resubmits: str = ""
    identity: str = ""

    @classmethod
    def route(cls) -> str | None:
        return None

    @property
    def refusal_id(self) -> str:
        """The id under which this input is kept if it is not taken."""
        if self.resubmits:
            return self.resubmits
        if self.identity:
            return refusal_id_for(self.source, self.identity, "")
        return refusal_id_for(self.source, self.reference, self.payload)

    @property
    def refusal(self) -> str:
        """The stream of that."""
        return f"refusal-{self.refusal_id}"


class OrderInbound(Inbound, frozen=True, kw_only=True):
    """An input about one order of a channel."""

    @property
    def order_id(self) -> str:
        """The order that is meant."""
        raise NotImplementedError(type(self).__name__)

    @property
    def subject(self) -> str:
        return f"channelorder-{self.order_id}"

    @property
    def key(self) -> str:
        return self.order_id


class TakeOrder(OrderInbound, frozen=True, kw_only=True, tag="oms.integrations.take_order.v1"):
    """An adapter understood an order. ``kept`` says that nobody waits for an answer: a refusal must not be lost."""

    order: PlaceOrder
    kept: bool = True

    @property
    def order_id(self) -> str:
        return self.order.order_id


class RefuseNewOrder(
    OrderInbound, frozen=True, kw_only=True, tag="oms.integrations.refuse_new_order.v1"
):
    """An adapter understood an order that must not be placed as it stands; of one that went on before, nothing is said."""

    channel: str
    external_id: str
    reason: str
    detail: str

    @property
    def order_id(self) -> str:
        return order_id_for(self.channel, self.external_id)


class TakeCancellation(
    OrderInbound, frozen=True, kw_only=True, tag="oms.integrations.take_cancellation.v1"
):
    """An adapter understood that an order is taken back."""

    request: RequestCancellation

    @property
    def order_id(self) -> str:
        return self.request.order_id


class TakeReturn(OrderInbound, frozen=True, kw_only=True, tag="oms.integrations.take_return.v1"):
    """An adapter understood that goods of an order come back. ``channel`` is whose order it is."""

    channel: str
    request: RequestReturn

    @property
    def order_id(self) -> str:
        return self.request.order_id


class TakeDelivery(
    OrderInbound, frozen=True, kw_only=True, tag="oms.integrations.take_delivery.v1"
):
    """An adapter understood what is said of an order's parcel: that it is under way, or that it arrived at
    ``delivered_at``."""

    channel: str
    external_id: str
    tracking_number: str
    delivered_at: datetime | None = None

    @property
    def order_id(self) -> str:
        return order_id_for(self.channel, self.external_id)


class RefuseInput(Inbound, frozen=True, kw_only=True, tag="oms.integrations.refuse_input.v1"):
    """An adapter could not use an input."""

    channel: str
    reason: str
    detail: str

    @property
    def subject(self) -> str:
        return self.refusal

    @property
    def key(self) -> str:
        return self.refusal_id


class CloseRefusal(Inbound, frozen=True, kw_only=True, tag="oms.integrations.close_refusal.v1"):
    """What was in the refused input ``resubmits`` has been read again in parts, each of which was settled on its own."""

    @property
    def subject(self) -> str:
        return self.refusal

    @property
    def key(self) -> str:
        return self.refusal_id


INTERNAL = (
    TakeOrder,
    RefuseNewOrder,
    TakeCancellation,
    TakeReturn,
    TakeDelivery,
    RefuseInput,
    CloseRefusal,
)
