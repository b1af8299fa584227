"""A recorded journey, lived through again: what happened to the goods, and when it was."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import UNSET
from msgspec.structs import replace

from ops.demo.history.journey import CARRIER, TRACKING, resumed, steps
from ops.importer.records import Journey
from shared.events import Address, LineQuantity
from shared.events import fulfillment as f

LEFT, CAME = datetime(2018, 3, 6, tzinfo=UTC), datetime(2018, 3, 9, tzinfo=UTC)
JOURNEY = Journey(end="delivered", status="delivered", handed_over_at=LEFT, delivered_at=CAME)
ABOUT = {"fulfillment_id": "o.f1", "order_id": "o"}
LINES = (LineQuantity(line_id="1", sku="A", quantity=2),)
PACKAGE = {"package_id": "o.f1.p1"}
OPENED = f.FulfillmentOpened(**ABOUT, location="s", lines=LINES, ship_to=Address())
RELEASED = f.PackageReleased(**ABOUT, **PACKAGE)
SHIPPED = f.Shipped(
    **ABOUT, **PACKAGE, location="s", lines=LINES, carrier=CARRIER, tracking_number=TRACKING
)
PREPARED = [
    f.StartPicking(**ABOUT, picker="import"),
    f.RecordPick(**ABOUT, lines=LINES, pick_id="o.f1.pick1"),
    f.PackItems(**ABOUT, **PACKAGE, lines=LINES),
]
SHIP = f.ShipPackage(**ABOUT, **PACKAGE, carrier=CARRIER, tracking_number=TRACKING, shipped_at=LEFT)
DELIVER = f.ConfirmDelivery(**ABOUT, **PACKAGE, delivered_at=CAME)


def test_goods_are_packed_leave_and_arrive_when_they_did() -> None:
    assert steps(OPENED, JOURNEY) == PREPARED
    assert steps(RELEASED, JOURNEY) == [SHIP]
    assert steps(SHIPPED, JOURNEY) == [DELIVER]


def test_a_journey_stops_where_its_source_does() -> None:
    on_the_way = replace(JOURNEY, end="in transit", delivered_at=None)
    assert steps(RELEASED, on_the_way) == [SHIP]
    assert steps(SHIPPED, on_the_way) == []
    waiting = replace(JOURNEY, end="open", handed_over_at=None, delivered_at=None)
    assert steps(OPENED, waiting) == []


def test_a_time_that_is_missing_is_not_made_up() -> None:
    timeless = replace(JOURNEY, handed_over_at=None, delivered_at=None)
    assert steps(RELEASED, timeless) == [replace(SHIP, shipped_at=UNSET)]
    assert steps(SHIPPED, timeless) == [replace(DELIVER, delivered_at=None)]


def test_an_interrupted_journey_goes_on_where_it_stands() -> None:
    line = {"line_id": "1", "sku": "A", "ordered": 2}
    shown = {**ABOUT, "status": "PICKING", "lines": [line], "packages": []}
    assert resumed(shown, JOURNEY) == PREPARED
    for status, expected in (("packed", []), ("released", [SHIP]), ("shipped", [DELIVER])):
        package = {**PACKAGE, "status": status}
        assert resumed({**shown, "status": "PACKED", "packages": [package]}, JOURNEY) == expected
    assert resumed(shown, replace(JOURNEY, end="open")) == []
