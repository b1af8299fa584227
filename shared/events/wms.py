"""The handshake with an external warehouse: what it is asked, and what it answers.

Requests are events of this house on ``oms.wms.requests``; answers are a warehouse system's own messages on
``oms.wms.answers``, deduplicated by what they are about (a fulfillment, a pick, a package), never by an id of the message.
"""

from typing import ClassVar

from msgspec import UNSET, UnsetType

from shared.events.message import Address, Command, Event, Instant, LineQuantity


class WmsEvent(Event, frozen=True, kw_only=True):
    """What passed between us and the warehouse about one fulfillment: stream ``wmsorder-<fulfillment_id>``."""

    fulfillment_id: str
    order_id: str

    @property
    def subject(self) -> str:
        return f"wmsorder-{self.fulfillment_id}"

    @property
    def key(self) -> str:
        return self.order_id


class WmsRequest(WmsEvent, frozen=True, kw_only=True):
    """Something that the warehouse is asked or told."""

    location: str

    @classmethod
    def route(cls) -> str | None:
        return "oms.wms.requests"


class FulfillmentSubmitted(
    WmsRequest, frozen=True, kw_only=True, tag="oms.wms.fulfillment_submitted.v1"
):
    """Please pick and pack these units. SUBMITTED: answer with accepted or rejected."""

    lines: tuple[LineQuantity, ...]
    ship_to: Address


class PackageCleared(WmsRequest, frozen=True, kw_only=True, tag="oms.wms.package_cleared.v1"):
    """The package is paid for: hand it to the carrier. ``package`` is the warehouse's own name for it."""

    package: str


class WmsCancellationRequested(
    WmsRequest, frozen=True, kw_only=True, tag="oms.wms.cancellation_requested.v1"
):
    """Please stop, and put back what was picked: answer with cancellation accepted or rejected."""

    reason: str


class WmsAnswer(Command, frozen=True, kw_only=True):
    """Something that the warehouse says about one fulfillment."""

    fulfillment_id: str
    order_id: str

    @classmethod
    def route(cls) -> str | None:
        return "oms.wms.answers"

    @property
    def subject(self) -> str:
        return f"wmsorder-{self.fulfillment_id}"

    @property
    def key(self) -> str:
        return self.order_id


class ReportAccepted(WmsAnswer, frozen=True, kw_only=True, tag="oms.wms.accepted.v1"):
    """It will be picked. ``reference`` is the warehouse's own number."""

    reference: str = ""


class ReportRejected(WmsAnswer, frozen=True, kw_only=True, tag="oms.wms.rejected.v1"):
    """It cannot be picked there: nothing will be sent."""

    reason: str


class ReportPicked(WmsAnswer, frozen=True, kw_only=True, tag="oms.wms.picked.v1"):
    """What was found; ``final`` says that the rest is not there."""

    pick_id: str
    lines: tuple[LineQuantity, ...]
    final: bool = True
    short_reason: str = ""


class ReportPacked(WmsAnswer, frozen=True, kw_only=True, tag="oms.wms.packed.v1"):
    """Picked units are in a package, which waits until it is cleared."""

    package: str
    lines: tuple[LineQuantity, ...]


class ReportShipped(WmsAnswer, frozen=True, kw_only=True, tag="oms.wms.shipped.v1"):
    """The carrier took a cleared package: the record of what left. ``shipped_at`` is the warehouse's time of it."""

    package: str
    carrier: str
    tracking_number: str
    lines: tuple[LineQuantity, ...]
    shipped_at: Instant | UnsetType = UNSET


class ReportDelivered(WmsAnswer, frozen=True, kw_only=True, tag="oms.wms.delivered.v1"):
    """The carrier says that a package arrived."""

    package: str
    delivered_at: Instant | None = None


class ReportCancellationAccepted(
    WmsAnswer, frozen=True, kw_only=True, tag="oms.wms.cancellation_accepted.v1"
):
    """It has stopped, and what was picked is back on the shelf."""


class ReportCancellationRejected(
    WmsAnswer, frozen=True, kw_only=True, tag="oms.wms.cancellation_rejected.v1"
):
    """It could not be stopped."""

    reason: str


class PrivateWmsEvent(WmsEvent, frozen=True, kw_only=True):
    """An answer that was taken; what follows from it travels as commands to the fulfillment service."""

    private: ClassVar[bool] = True


class FulfillmentAccepted(
    PrivateWmsEvent, frozen=True, kw_only=True, tag="oms.wms.fulfillment_accepted.v1"
):
    """ACCEPTED."""

    reference: str


class FulfillmentRejected(
    PrivateWmsEvent, frozen=True, kw_only=True, tag="oms.wms.fulfillment_rejected.v1"
):
    """REJECTED."""

    reason: str


class PickTaken(PrivateWmsEvent, frozen=True, kw_only=True, tag="oms.wms.pick_taken.v1"):
    """A pick was reported."""

    pick_id: str
    lines: tuple[LineQuantity, ...]
    final: bool
    short_reason: str


class PackageTaken(PrivateWmsEvent, frozen=True, kw_only=True, tag="oms.wms.package_taken.v1"):
    """A package was reported packed."""

    package: str
    lines: tuple[LineQuantity, ...]


class PackageLeft(PrivateWmsEvent, frozen=True, kw_only=True, tag="oms.wms.package_left.v1"):
    """A package was reported shipped."""

    package: str
    carrier: str
    tracking_number: str


class PackageArrived(PrivateWmsEvent, frozen=True, kw_only=True, tag="oms.wms.package_arrived.v1"):
    """A package was reported delivered."""

    package: str
    delivered_at: Instant | None


class CancellationSettled(
    PrivateWmsEvent, frozen=True, kw_only=True, tag="oms.wms.cancellation_settled.v1"
):
    """The warehouse stopped, or (``reason`` not empty) could not: then a person must look for the goods."""

    reason: str = ""
