"""The state of one fulfillment order, and how its events fold into it.

How far the whole has come is not stored: `stage` reads it off the quantities and the packages, so
that the two cannot disagree.
"""

from enum import StrEnum
from typing import assert_never

import msgspec

from shared.events import LineQuantity
from shared.events.fulfillment import (
    Delivered,
    FulfillmentCancellationRefused,
    FulfillmentCancelled,
    FulfillmentOpened,
    ItemsPicked,
    PackagePacked,
    PackageReleased,
    PickingStarted,
    Shipped,
)

Happened = (
    FulfillmentOpened
    | PickingStarted
    | ItemsPicked
    | PackagePacked
    | PackageReleased
    | Shipped
    | Delivered
    | FulfillmentCancelled
    | FulfillmentCancellationRefused
)


class Stage(StrEnum):
    """How far a fulfillment order has come, by what is left to do."""

    UNKNOWN = "UNKNOWN"
    OPEN = "OPEN"
    PICKING = "PICKING"
    PICKED = "PICKED"
    PACKED = "PACKED"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    #: Ended: every unit was short, so nothing will be sent.
    INCOMPLETE = "INCOMPLETE"
    CANCELLED = "CANCELLED"


class PackageStage(StrEnum):
    """How far one package has come."""

    PACKED = "packed"
    RELEASED = "released"
    SHIPPED = "shipped"
    DELIVERED = "delivered"


class Line(msgspec.Struct, frozen=True, array_like=True):
    """Units of one order line: ordered = open + picked + short, and packed is a part of picked."""

    line_id: str
    sku: str
    ordered: int
    picked: int = 0
    short: int = 0
    packed: int = 0

    @property
    def open(self) -> int:
        """Units that a picker still has to look for."""
        return self.ordered - self.picked - self.short

    @property
    def loose(self) -> int:
        """Units picked and not yet in a package."""
        return self.picked - self.packed


class Package(msgspec.Struct, frozen=True, array_like=True):
    """What one package holds and where it stands."""

    lines: tuple[LineQuantity, ...]
    stage: PackageStage = PackageStage.PACKED
    carrier: str = ""
    tracking_number: str = ""


class Fulfillment(msgspec.Struct, frozen=True, array_like=True):
    """One fulfillment order.

    ``picker`` is None until picking starts; ``picks`` is what each pick id has counted.
    """

    order_id: str = ""
    location: str = ""
    lines: tuple[Line, ...] = ()
    picker: str | None = None
    picks: dict[str, tuple[LineQuantity, ...]] = {}
    packages: dict[str, Package] = {}
    cancelled: bool = False


#: A line's units are told apart by SKU too: a bundle's line has units of several.
Key = tuple[str, str]


def tally(lines: tuple[LineQuantity, ...]) -> dict[Key, int]:
    """Units by line and SKU, repeated entries added up."""
    units: dict[Key, int] = {}
    for line in lines:
        key = (line.line_id, line.sku)
        units[key] = units.get(key, 0) + line.quantity
    return units


def as_lines(units: dict[Key, int]) -> tuple[LineQuantity, ...]:
    """The reverse of `tally`."""
    return tuple(
        LineQuantity(line_id=line_id, sku=sku, quantity=quantity)
        for (line_id, sku), quantity in units.items()
    )


def stage(state: Fulfillment) -> Stage:
    """How far the fulfillment order has come: the earliest work that is left."""
    if state.cancelled:
        return Stage.CANCELLED
    if not state.lines:
        return Stage.UNKNOWN
    if any(line.open for line in state.lines):
        return Stage.OPEN if state.picker is None else Stage.PICKING
    if not any(line.picked for line in state.lines):
        return Stage.INCOMPLETE
    if any(line.loose for line in state.lines):
        return Stage.PICKED
    stages = {package.stage for package in state.packages.values()}
    if stages & {PackageStage.PACKED, PackageStage.RELEASED}:
        return Stage.PACKED
    return Stage.SHIPPED if PackageStage.SHIPPED in stages else Stage.DELIVERED


def initial() -> Fulfillment:
    """A fulfillment order that nobody has heard of."""
    return Fulfillment()


def evolve(state: Fulfillment, event: Happened) -> Fulfillment:
    """The state after one more event."""
    match event:
        case FulfillmentOpened():
            lines = tuple(Line(*key, ordered=n) for key, n in tally(event.lines).items())
            return Fulfillment(order_id=event.order_id, location=event.location, lines=lines)
        case PickingStarted():
            return msgspec.structs.replace(state, picker=event.picker)
        case ItemsPicked():
            counted = {event.pick_id: event.lines} if event.pick_id else {}
            picks = {**state.picks, **counted}
            lines = _picked(state.lines, tally(event.lines), tally(event.short))
            return msgspec.structs.replace(state, lines=lines, picks=picks)
        case PackagePacked():
            lines = _packed(state.lines, tally(event.lines))
            package = Package(event.lines)
            packages = {**state.packages, event.package_id: package}
            return msgspec.structs.replace(state, lines=lines, packages=packages)
        case PackageReleased():
            return _moved(state, event.package_id, stage=PackageStage.RELEASED)
        case Shipped():
            return _moved(
                state,
                event.package_id,
                stage=PackageStage.SHIPPED,
                carrier=event.carrier,
                tracking_number=event.tracking_number,
            )
        case Delivered():
            return _moved(state, event.package_id, stage=PackageStage.DELIVERED)
        case FulfillmentCancelled():
            lines = tuple(msgspec.structs.replace(line, packed=0) for line in state.lines)
            return msgspec.structs.replace(
                state, order_id=event.order_id, lines=lines, packages={}, cancelled=True
            )
        case FulfillmentCancellationRefused():
            return state
    assert_never(event)


def _picked(
    lines: tuple[Line, ...], picked: dict[Key, int], short: dict[Key, int]
) -> tuple[Line, ...]:
    return tuple(
        msgspec.structs.replace(
            line,
            picked=line.picked + picked.get((line.line_id, line.sku), 0),
            short=line.short + short.get((line.line_id, line.sku), 0),
        )
        for line in lines
    )


def _packed(lines: tuple[Line, ...], packed: dict[Key, int]) -> tuple[Line, ...]:
    return tuple(
        msgspec.structs.replace(line, packed=line.packed + packed.get((line.line_id, line.sku), 0))
        for line in lines
    )


def _moved(state: Fulfillment, package_id: str, **changes: object) -> Fulfillment:
    package = msgspec.structs.replace(state.packages[package_id], **changes)
    return msgspec.structs.replace(state, packages={**state.packages, package_id: package})
