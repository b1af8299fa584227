"""The simulated warehouse answers each event once, with what a real one would report."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ops.demo import stories
from ops.demo.plan import Planned, make_plan
from ops.demo.warehouse import Warehouse, halves, one_less
from shared.events import Address, LineQuantity
from shared.events import fulfillment as f

NOW = datetime(2030, 1, 1, tzinfo=UTC)
IDS: dict[str, Any] = {"fulfillment_id": "o.f1", "order_id": "o"}
LINES = (
    LineQuantity(line_id="1", sku="A", quantity=2),
    LineQuantity(line_id="2", sku="B", quantity=1),
)


def told(story: stories.Story) -> Planned:
    return next(o for o in make_plan(200, 1, "R").orders if o.story is story)


def opened(location: str = "LON") -> f.FulfillmentOpened:
    return f.FulfillmentOpened(**IDS, location=location, lines=LINES, ship_to=Address())


def warehouse(story: stories.Story | None = None) -> Warehouse:
    planned = told(story) if story else None
    return Warehouse(lambda _: planned)


def commands(w: Warehouse, event: f.FulfillmentEvent) -> list[object]:
    return [step.command for step in w.react(event)]


def test_one_parcel_goes_all_the_way() -> None:
    w = warehouse()
    (start,) = commands(w, opened())
    assert isinstance(start, f.StartPicking)
    assert commands(w, f.PickingStarted(**IDS, picker=start.picker)) == [
        f.RecordPick(**IDS, lines=LINES, pick_id="o.f1.pick1")
    ]
    assert commands(w, f.ItemsPicked(**IDS, lines=LINES)) == [
        f.PackItems(**IDS, package_id="o.f1.p1", lines=LINES)
    ]
    assert commands(w, f.PackagePacked(**IDS, package_id="o.f1.p1", lines=LINES)) == []
    (ship,) = commands(w, f.PackageReleased(**IDS, package_id="o.f1.p1"))
    assert isinstance(ship, f.ShipPackage)
    left = f.Shipped(
        **IDS,
        package_id="o.f1.p1",
        location="LON",
        lines=LINES,
        carrier=ship.carrier,
        tracking_number=ship.tracking_number,
    )
    assert commands(w, left) == [f.ConfirmDelivery(**IDS, package_id="o.f1.p1")]
    arrived = f.Delivered(**IDS, package_id="o.f1.p1", lines=LINES, delivered_at=NOW)
    assert commands(w, arrived) == []
    assert commands(w, left) == [], "a fulfillment that is done is forgotten"


def test_two_parcels_are_packed_one_after_the_other() -> None:
    w = warehouse(stories.PARCELS)
    w.react(opened())
    first, second = w.react(f.ItemsPicked(**IDS, lines=LINES))
    assert first.delay_s < second.delay_s
    packed = [step.command for step in (first, second)]
    assert [p.package_id for p in packed if isinstance(p, f.PackItems)] == ["o.f1.p1", "o.f1.p2"]


def test_a_short_pick_misses_one_unit_and_says_so() -> None:
    w = warehouse(stories.SHORT)
    w.react(opened())
    (pick,) = commands(w, f.PickingStarted(**IDS, picker="Tom"))
    assert isinstance(pick, f.RecordPick)
    assert sum(x.quantity for x in pick.lines) == 2
    assert pick.short_reason


def test_an_automatic_location_needs_nobody() -> None:
    w = warehouse()
    assert w.react(opened("AUTO")) == []
    assert w.react(f.PickingStarted(**IDS, picker="auto")) == []


def test_a_cancelled_fulfillment_is_left_alone() -> None:
    w = warehouse()
    w.react(opened())
    assert w.react(f.FulfillmentCancelled(**IDS, reason="customer")) == []
    assert w.react(f.PickingStarted(**IDS, picker="Tom")) == []


@given(quantities=st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_halves_keep_every_unit(quantities: list[int]) -> None:
    lines = tuple(
        LineQuantity(line_id=str(n), sku=f"S{n}", quantity=q) for n, q in enumerate(quantities)
    )
    parcels = halves(lines)
    assert len(parcels) == (1 if sum(quantities) == 1 else 2)
    units: dict[str, int] = {}
    for parcel in parcels:
        assert sum(x.quantity for x in parcel) in (
            sum(quantities) // 2,
            sum(quantities) - sum(quantities) // 2,
        )
        for x in parcel:
            units[x.line_id] = units.get(x.line_id, 0) + x.quantity
    assert units == {str(n): q for n, q in enumerate(quantities)}
    assert sum(x.quantity for x in one_less(lines)) == sum(quantities) - 1
