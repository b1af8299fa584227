"""A warehouse system and a carrier: they answer what fulfillment publishes, after some working time."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import NamedTuple

from ops.demo import stories
from ops.demo.catalogue import AUTOMATIC
from ops.demo.plan import Planned
from shared.events import Command, Event, LineQuantity
from shared.events import fulfillment as f

CARRIERS = ("Royal Mail", "DPD", "Evri")
_PICKERS = ("Priya", "Tom", "Zofia", "Liam")

#: Working times in seconds, before an order's own pace.
WALK_S, PICK_S, PACK_S, COLLECT_S, DRIVE_S = 0.05, 0.1, 0.08, 0.15, 0.2
#: A second parcel is packed so much later than the first.
SECOND_PARCEL_S = 0.4

Lines = tuple[LineQuantity, ...]


class Step(NamedTuple):
    """A command that is sent after ``delay_s``."""

    delay_s: float
    command: Command


@dataclass(slots=True)
class _Job:
    """A fulfillment under way at a staffed location; ``parcels`` are those still to arrive."""

    lines: Lines
    parcels: int = 0


class Warehouse:
    """Reacts to events of staffed locations but ``external``, until each fulfillment's last parcel has arrived.

    ``planned`` tells what a shelf or a packer has in store for an order; an order that is not of the plan (a visitor's
    own) is handled like any other.
    """

    def __init__(self, planned: Callable[[str], Planned | None], external: str = "") -> None:
        self._planned = planned
        self._elsewhere = {AUTOMATIC, external}
        self._jobs: dict[str, _Job] = {}

    def react(self, event: Event) -> list[Step]:
        """The next steps after an event."""
        if isinstance(event, f.FulfillmentOpened) and event.location not in self._elsewhere:
            self._jobs[event.fulfillment_id] = _Job(event.lines)
        if not isinstance(event, f.FulfillmentEvent) or event.fulfillment_id not in self._jobs:
            return []
        planned = self._planned(event.order_id)
        pace = planned.pace if planned else 1.0
        steps = self._steps(self._jobs[event.fulfillment_id], event, planned)
        return [Step(step.delay_s * pace, step.command) for step in steps]

    def _steps(self, job: _Job, event: f.FulfillmentEvent, planned: Planned | None) -> list[Step]:
        story = planned.story if planned else stories.STRAIGHT
        match event:
            case f.FulfillmentOpened():
                return [Step(WALK_S, _start(event))]
            case f.PickingStarted():
                return [Step(PICK_S, _pick(event, job.lines, short=story is stories.SHORT))]
            case f.ItemsPicked() if event.lines:
                parcels = halves(event.lines) if story is stories.PARCELS else [event.lines]
                job.parcels = len(parcels)
                return _pack(event, parcels)
            case f.PackageReleased():
                return [Step(COLLECT_S, _ship(event))]
            case f.Shipped():
                return [Step(DRIVE_S, _deliver(event))]
            case f.Delivered() if job.parcels > 1:
                job.parcels -= 1
            case f.Delivered() | f.FulfillmentCancelled() | f.ItemsPicked():
                del self._jobs[event.fulfillment_id]
        return []


def _start(event: f.FulfillmentOpened) -> f.StartPicking:
    picker = Random(event.fulfillment_id).choice(_PICKERS)  # noqa: S311 - whoever is free
    return f.StartPicking(
        fulfillment_id=event.fulfillment_id, order_id=event.order_id, picker=picker
    )


def _pick(event: f.PickingStarted, lines: Lines, *, short: bool) -> f.RecordPick:
    return f.RecordPick(
        fulfillment_id=event.fulfillment_id,
        order_id=event.order_id,
        lines=one_less(lines) if short else lines,
        short_reason="not on the shelf" if short else "",
        pick_id=f"{event.fulfillment_id}.pick1",
    )


def _pack(event: f.ItemsPicked, parcels: list[Lines]) -> list[Step]:
    return [
        Step(
            PACK_S + n * SECOND_PARCEL_S,
            f.PackItems(
                fulfillment_id=event.fulfillment_id,
                order_id=event.order_id,
                package_id=f"{event.fulfillment_id}.p{n + 1}",
                lines=lines,
            ),
        )
        for n, lines in enumerate(parcels)
    ]


def _ship(event: f.PackageReleased) -> f.ShipPackage:
    carrier, number = consignment(event.package_id)
    return f.ShipPackage(
        fulfillment_id=event.fulfillment_id,
        order_id=event.order_id,
        package_id=event.package_id,
        carrier=carrier,
        tracking_number=number,
    )


def consignment(package_id: str) -> tuple[str, str]:
    """Who takes a package, and the number that it has there."""
    digest = sha256(package_id.encode()).digest()
    carrier = CARRIERS[digest[0] % len(CARRIERS)]
    return carrier, f"{carrier[:2].upper()}{int.from_bytes(digest[1:6]):013}GB"


def _deliver(event: f.Shipped) -> f.ConfirmDelivery:
    return f.ConfirmDelivery(
        fulfillment_id=event.fulfillment_id, order_id=event.order_id, package_id=event.package_id
    )


def one_less(lines: Lines) -> Lines:
    """The lines without one unit of the first."""
    first, *rest = lines
    left = LineQuantity(line_id=first.line_id, sku=first.sku, quantity=first.quantity - 1)
    return (left, *rest) if left.quantity else tuple(rest)


def halves(lines: Lines) -> list[Lines]:
    """The units in two parcels, as even as they go; one parcel for a single unit."""
    units = [x for x in lines for _ in range(x.quantity)]
    middle = (len(units) + 1) // 2
    return [_counted(part) for part in (units[:middle], units[middle:]) if part]


def _counted(units: list[LineQuantity]) -> Lines:
    counts: dict[tuple[str, str], int] = {}
    for x in units:
        counts[x.line_id, x.sku] = counts.get((x.line_id, x.sku), 0) + 1
    return tuple(
        LineQuantity(line_id=line_id, sku=sku, quantity=n) for (line_id, sku), n in counts.items()
    )
