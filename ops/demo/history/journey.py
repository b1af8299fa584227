"""The warehouse and the carrier of a history that says what became of its goods: they do what was recorded, and say when
it was."""

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET

from ops.importer.records import Journey
from shared.events import Command, LineQuantity
from shared.events import fulfillment as f

#: The source names no carrier and no number.
CARRIER, TRACKING = "not recorded", ""


def leaves(journey: Journey) -> bool:
    """Whether the goods were handed to a carrier."""
    return journey.end in ("delivered", "in transit")


def steps(event: f.FulfillmentEvent, journey: Journey) -> list[Command]:
    """What happens next to one fulfillment after an event."""
    match event:
        case f.FulfillmentOpened() if leaves(journey):
            return _prepare(event.fulfillment_id, event.order_id, event.lines)
        case f.PackageReleased() if leaves(journey):
            return [_ship(event.fulfillment_id, event.order_id, event.package_id, journey)]
        case f.Shipped() if journey.end == "delivered":
            return [_deliver(event.fulfillment_id, event.order_id, event.package_id, journey)]
        case _:
            return []


def resumed(shown: dict[str, Any], journey: Journey) -> list[Command]:
    """What happens next to a fulfillment as its service shows it: the events of an interrupted import are not heard
    again. What was done before is done once, however often it is asked for."""
    id, order_id = shown["fulfillment_id"], shown["order_id"]
    if not leaves(journey):
        return []
    if shown["status"] in ("OPEN", "PICKING", "PICKED"):
        return _prepare(
            id,
            order_id,
            [
                LineQuantity(line_id=x["line_id"], sku=x["sku"], quantity=x["ordered"])
                for x in shown["lines"]
            ],
        )
    out: list[Command] = []
    for package in shown["packages"]:
        if package["status"] == "released":
            out.append(_ship(id, order_id, package["package_id"], journey))
        elif package["status"] == "shipped" and journey.end == "delivered":
            out.append(_deliver(id, order_id, package["package_id"], journey))
    return out


def _prepare(id: str, order_id: str, lines: Iterable[LineQuantity]) -> list[Command]:
    units = tuple(lines)
    return [
        f.StartPicking(fulfillment_id=id, order_id=order_id, picker="import"),
        f.RecordPick(fulfillment_id=id, order_id=order_id, lines=units, pick_id=f"{id}.pick1"),
        f.PackItems(fulfillment_id=id, order_id=order_id, package_id=f"{id}.p1", lines=units),
    ]


def _ship(id: str, order_id: str, package_id: str, journey: Journey) -> f.ShipPackage:
    return f.ShipPackage(
        fulfillment_id=id,
        order_id=order_id,
        package_id=package_id,
        carrier=CARRIER,
        tracking_number=TRACKING,
        shipped_at=journey.handed_over_at or UNSET,
    )


def _deliver(id: str, order_id: str, package_id: str, journey: Journey) -> f.ConfirmDelivery:
    return f.ConfirmDelivery(
        fulfillment_id=id,
        order_id=order_id,
        package_id=package_id,
        delivered_at=journey.delivered_at,
    )
