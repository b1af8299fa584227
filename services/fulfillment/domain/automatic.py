"""Locations that confirm by themselves: an automated warehouse, a drop-shipper, a demonstration.

There every unit is found, one package holds everything, and a released package leaves and arrives
at once.
"""

from hashlib import sha256

import msgspec

from services.fulfillment.domain import packages, picking
from services.fulfillment.domain.state import Fulfillment
from shared.events import Context, Items
from shared.events.fulfillment import (
    CreateFulfillment,
    Delivered,
    FulfillmentOpened,
    ItemsPicked,
    PackagePacked,
    PackageReleased,
    PickingStarted,
    ReleasePackage,
    Shipped,
)

PICKER = CARRIER = "auto"
EVERY_LOCATION = "*"


def tracking_number(package_id: str) -> str:
    """The same for the same package, so that repeating the decision repeats its bytes."""
    return f"AUTO{sha256(package_id.encode()).hexdigest()[:16].upper()}"


class Automatic(msgspec.Struct, frozen=True):
    """Decides for `CreateFulfillment` and `ReleasePackage`, going on at automatic ``locations``.

    ``*`` among the locations stands for all of them.
    """

    locations: frozenset[str] = frozenset()

    def confirms(self, location: str) -> bool:
        """Whether a location confirms by itself."""
        return location in self.locations or EVERY_LOCATION in self.locations

    def create(self, state: Fulfillment, command: CreateFulfillment, context: Context) -> Items:
        """Open; at an automatic location also pick and pack everything, in ``<id>.p1``."""
        items = picking.create(state, command, context)
        match items:
            case [FulfillmentOpened() as opened] if self.confirms(opened.location):
                return [*items, *_picked_and_packed(opened)]
            case _:
                return items

    def release(self, state: Fulfillment, command: ReleasePackage, context: Context) -> Items:
        """Release; from an automatic location the package also leaves and arrives."""
        items = packages.release(state, command, context)
        match items:
            case [PackageReleased() as released] if self.confirms(state.location):
                return [*items, *_shipped_and_delivered(state, released, context)]
            case _:
                return items


def _picked_and_packed(opened: FulfillmentOpened) -> Items:
    fulfillment_id, order_id, lines = opened.fulfillment_id, opened.order_id, opened.lines
    return [
        PickingStarted(fulfillment_id=fulfillment_id, order_id=order_id, picker=PICKER),
        ItemsPicked(fulfillment_id=fulfillment_id, order_id=order_id, lines=lines),
        PackagePacked(
            fulfillment_id=fulfillment_id,
            order_id=order_id,
            package_id=f"{fulfillment_id}.p1",
            lines=lines,
        ),
    ]


def _shipped_and_delivered(
    state: Fulfillment, released: PackageReleased, context: Context
) -> Items:
    lines = state.packages[released.package_id].lines
    return [
        Shipped(
            fulfillment_id=released.fulfillment_id,
            order_id=released.order_id,
            package_id=released.package_id,
            location=state.location,
            lines=lines,
            carrier=CARRIER,
            tracking_number=tracking_number(released.package_id),
        ),
        Delivered(
            fulfillment_id=released.fulfillment_id,
            order_id=released.order_id,
            package_id=released.package_id,
            lines=lines,
            delivered_at=context.now,
        ),
    ]
