"""What the warehouses told about one order: its fulfillments and parcels, folded from
``oms.fulfillment.events``."""

from datetime import datetime
from typing import Any

import msgspec

from services.views.domain.units import Part, Units, change, find, units
from shared.events import fulfillment as f

replace = msgspec.structs.replace


class Parcel(Part, frozen=True, array_like=True, kw_only=True):
    """One package as the warehouse and the carrier know it."""

    package_id: str
    fulfillment_id: str = ""
    lines: tuple[Units, ...] = ()
    location: str = ""
    carrier: str = ""
    tracking: str = ""
    packed_at: datetime | None = None
    released_at: datetime | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    arrived_at: datetime | None = None


class Fulfillment(Part, frozen=True, array_like=True, kw_only=True):
    """One location's share of the order."""

    fulfillment_id: str
    state: str = "open"
    location: str = ""
    lines: tuple[Units, ...] = ()
    picker: str = ""
    picked: tuple[Units, ...] = ()
    short: tuple[Units, ...] = ()
    short_reason: str = ""
    reason: str = ""
    opened_at: datetime | None = None
    picking_at: datetime | None = None
    picked_at: datetime | None = None


class FulfillmentPart(Part, frozen=True, array_like=True, kw_only=True):
    """See the module."""

    fulfillments: tuple[Fulfillment, ...] = ()
    parcels: tuple[Parcel, ...] = ()


def _fulfillment(id: str) -> Fulfillment:
    return Fulfillment(fulfillment_id=id)


def _parcel(id: str) -> Parcel:
    return Parcel(package_id=id)


def _with(part: FulfillmentPart, id: str, **changes: Any) -> FulfillmentPart:
    return replace(part, fulfillments=change(part.fulfillments, id, _fulfillment, **changes))


def _with_parcel(part: FulfillmentPart, id: str, **changes: Any) -> FulfillmentPart:
    return replace(part, parcels=change(part.parcels, id, _parcel, **changes))


def _opened(part: FulfillmentPart, e: f.FulfillmentOpened, at: datetime) -> FulfillmentPart:
    lines = units(e.lines)
    return _with(
        part, e.fulfillment_id, state="open", location=e.location, lines=lines, opened_at=at
    )


def _picking(part: FulfillmentPart, e: f.PickingStarted, at: datetime) -> FulfillmentPart:
    return _with(part, e.fulfillment_id, state="picking", picker=e.picker, picking_at=at)


def _picked(part: FulfillmentPart, e: f.ItemsPicked, at: datetime) -> FulfillmentPart:
    known = find(part.fulfillments, e.fulfillment_id) or _fulfillment(e.fulfillment_id)
    return _with(
        part,
        e.fulfillment_id,
        state="picked",
        picked=(*known.picked, *units(e.lines)),
        short=(*known.short, *units(e.short)),
        short_reason=e.short_reason or known.short_reason,
        picked_at=at,
    )


def _packed(part: FulfillmentPart, e: f.PackagePacked, at: datetime) -> FulfillmentPart:
    part = _with_parcel(
        part,
        e.package_id,
        fulfillment_id=e.fulfillment_id,
        lines=units(e.lines),
        packed_at=at,
    )
    return _with(part, e.fulfillment_id, state="packed")


def _released(part: FulfillmentPart, e: f.PackageReleased, at: datetime) -> FulfillmentPart:
    return _with_parcel(part, e.package_id, fulfillment_id=e.fulfillment_id, released_at=at)


def _shipped(part: FulfillmentPart, e: f.Shipped, at: datetime) -> FulfillmentPart:
    part = _with_parcel(
        part,
        e.package_id,
        fulfillment_id=e.fulfillment_id,
        lines=units(e.lines),
        location=e.location,
        carrier=e.carrier,
        tracking=e.tracking_number,
        shipped_at=e.shipped_at or at,
    )
    return _with(part, e.fulfillment_id, state="shipped")


def _delivered(part: FulfillmentPart, e: f.Delivered, at: datetime) -> FulfillmentPart:
    part = _with_parcel(
        part,
        e.package_id,
        fulfillment_id=e.fulfillment_id,
        delivered_at=at,
        arrived_at=e.delivered_at,
    )
    return _with(part, e.fulfillment_id, state="delivered")


def _cancelled(part: FulfillmentPart, e: f.FulfillmentCancelled, at: datetime) -> FulfillmentPart:
    return _with(part, e.fulfillment_id, state="cancelled", reason=e.reason)


def _refused(
    part: FulfillmentPart, e: f.FulfillmentCancellationRefused, at: datetime
) -> FulfillmentPart:
    return _with(part, e.fulfillment_id, reason=f"not stopped: {e.reason}")


#: How each event of a fulfillment changes the part.
FOLDS: dict[type, Any] = {
    f.FulfillmentOpened: _opened,
    f.PickingStarted: _picking,
    f.ItemsPicked: _picked,
    f.PackagePacked: _packed,
    f.PackageReleased: _released,
    f.Shipped: _shipped,
    f.Delivered: _delivered,
    f.FulfillmentCancelled: _cancelled,
    f.FulfillmentCancellationRefused: _refused,
}
