"""The fulfillment service's language: one fulfillment order per location, in packages."""

from msgspec import UNSET, UnsetType

from shared.events.message import Address, Command, Event, Instant, LineQuantity, Request


class FulfillmentCommand(Command, frozen=True, kw_only=True):
    """A command to one fulfillment order."""

    fulfillment_id: str
    order_id: str

    @property
    def subject(self) -> str:
        return f"fulfillment-{self.fulfillment_id}"

    @property
    def key(self) -> str:
        return self.order_id


class FulfillmentRequest(FulfillmentCommand, frozen=True, kw_only=True):
    """What the order service asks of one fulfillment order."""

    @classmethod
    def route(cls) -> str:
        return Request.route()


class CreateFulfillment(
    FulfillmentRequest, frozen=True, kw_only=True, tag="oms.fulfillment.create.v1"
):
    """Send these lines from this location."""

    location: str
    lines: tuple[LineQuantity, ...]
    ship_to: Address


class StartPicking(
    FulfillmentCommand, frozen=True, kw_only=True, tag="oms.fulfillment.start_picking.v1"
):
    """A picker takes the fulfillment."""

    picker: str = ""


class RecordPick(FulfillmentCommand, frozen=True, kw_only=True, tag="oms.fulfillment.pick.v1"):
    """What the picker found; ``final`` says that the rest is not there (a short pick).

    ``pick_id``, where given, makes a repeated report count once.
    """

    lines: tuple[LineQuantity, ...]
    final: bool = True
    short_reason: str = ""
    pick_id: str = ""


class PackItems(FulfillmentCommand, frozen=True, kw_only=True, tag="oms.fulfillment.pack.v1"):
    """Put picked units into one package."""

    package_id: str
    lines: tuple[LineQuantity, ...]


class ReleasePackage(
    FulfillmentRequest, frozen=True, kw_only=True, tag="oms.fulfillment.release_package.v1"
):
    """The package is paid for: it may leave."""

    package_id: str


class ShipPackage(FulfillmentCommand, frozen=True, kw_only=True, tag="oms.fulfillment.ship.v1"):
    """The carrier took the package; ``shipped_at`` is the carrier's time, where it is told later."""

    package_id: str
    carrier: str
    tracking_number: str
    shipped_at: Instant | UnsetType = UNSET


class ConfirmDelivery(
    FulfillmentCommand, frozen=True, kw_only=True, tag="oms.fulfillment.deliver.v1"
):
    """The carrier says that the package arrived."""

    package_id: str
    delivered_at: Instant | None = None


class CancelFulfillment(
    FulfillmentRequest, frozen=True, kw_only=True, tag="oms.fulfillment.cancel.v1"
):
    """Stop, unless a package has been released or has left."""

    reason: str


class FulfillmentEvent(Event, frozen=True, kw_only=True):
    """Something that happened to one fulfillment order: stream ``fulfillment-<fulfillment_id>``."""

    fulfillment_id: str
    order_id: str

    @property
    def subject(self) -> str:
        return f"fulfillment-{self.fulfillment_id}"

    @property
    def key(self) -> str:
        return self.order_id


class FulfillmentOpened(
    FulfillmentEvent, frozen=True, kw_only=True, tag="oms.fulfillment.opened.v1"
):
    """OPEN: the location can pick it."""

    location: str
    lines: tuple[LineQuantity, ...]
    ship_to: Address


class PickingStarted(
    FulfillmentEvent, frozen=True, kw_only=True, tag="oms.fulfillment.picking_started.v1"
):
    """PICKING."""

    picker: str


class ItemsPicked(FulfillmentEvent, frozen=True, kw_only=True, tag="oms.fulfillment.picked.v1"):
    """PICKED when nothing is left to pick. ``short`` units were not there and will not be sent.

    When nothing was picked at all (``lines`` empty, everything ``short``) the fulfillment has ended
    with this event.
    """

    lines: tuple[LineQuantity, ...]
    short: tuple[LineQuantity, ...] = ()
    short_reason: str = ""
    pick_id: str = ""


class PackagePacked(FulfillmentEvent, frozen=True, kw_only=True, tag="oms.fulfillment.packed.v1"):
    """A package stands ready, and waits until it is paid for."""

    package_id: str
    lines: tuple[LineQuantity, ...]


class PackageReleased(
    FulfillmentEvent, frozen=True, kw_only=True, tag="oms.fulfillment.package_released.v1"
):
    """The package may leave."""

    package_id: str


class Shipped(FulfillmentEvent, frozen=True, kw_only=True, tag="oms.fulfillment.shipped.v1"):
    """The package left the location. One per package, ever. ``shipped_at`` is the carrier's time, where it differs."""

    package_id: str
    location: str
    lines: tuple[LineQuantity, ...]
    carrier: str
    tracking_number: str
    shipped_at: Instant | UnsetType = UNSET


class Delivered(FulfillmentEvent, frozen=True, kw_only=True, tag="oms.fulfillment.delivered.v1"):
    """The package arrived. ``delivered_at`` is the carrier's time."""

    package_id: str
    lines: tuple[LineQuantity, ...]
    delivered_at: Instant


class FulfillmentCancelled(
    FulfillmentEvent, frozen=True, kw_only=True, tag="oms.fulfillment.cancelled.v1"
):
    """CANCELLED before anything left; packages, if any, were unpacked."""

    reason: str


class FulfillmentCancellationRefused(
    FulfillmentEvent, frozen=True, kw_only=True, tag="oms.fulfillment.cancellation_refused.v1"
):
    """Too late to stop: a package was released or has left."""

    reason: str
