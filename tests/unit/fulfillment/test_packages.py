"""Packages: packed, released, shipped, delivered; several to a fulfillment, one `Shipped` each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec import json
from msgspec.structs import replace

from services.fulfillment.domain.automatic import tracking_number
from services.fulfillment.domain.state import Stage, stage
from services.fulfillment.handlers import table
from shared.events import LineQuantity, Refused, encode
from shared.events.fulfillment import (
    CancelFulfillment,
    ConfirmDelivery,
    CreateFulfillment,
    Delivered,
    FulfillmentCancellationRefused,
    FulfillmentCancelled,
    FulfillmentOpened,
    ItemsPicked,
    PackagePacked,
    PackageReleased,
    PackItems,
    PickingStarted,
    ReleasePackage,
    ShipPackage,
    Shipped,
)
from shared.events.message import Address
from tests.spec import NOON, Scenario, given

TABLE = table(frozenset({"robot"}))
IDS: dict[str, Any] = {"fulfillment_id": "o1.f1", "order_id": "o1"}
STREAM = "fulfillment-o1.f1"
P1, P2 = "o1.f1.p1", "o1.f1.p2"


def units(**lines: int) -> tuple[LineQuantity, ...]:
    return tuple(LineQuantity(line_id=x, sku=x.upper(), quantity=n) for x, n in lines.items())


OPENED = FulfillmentOpened(**IDS, location="leeds", lines=units(a=3, b=1), ship_to=Address())
STARTED = PickingStarted(**IDS, picker="pat")
PICKED = ItemsPicked(**IDS, lines=units(a=3, b=1))
READY = (OPENED, STARTED, PICKED)


def packed(package_id: str, **lines: int) -> PackagePacked:
    return PackagePacked(**IDS, package_id=package_id, lines=units(**lines))


def shipped(package_id: str, **lines: int) -> Shipped:
    return Shipped(
        **IDS,
        package_id=package_id,
        location="leeds",
        lines=units(**lines),
        carrier="dpd",
        tracking_number=f"T-{package_id}",
    )


def pack(package_id: str, **lines: int) -> PackItems:
    return PackItems(**IDS, package_id=package_id, lines=units(**lines))


def ship(package_id: str) -> ShipPackage:
    number = f"T-{package_id}"
    return ShipPackage(**IDS, package_id=package_id, carrier="dpd", tracking_number=number)


def release(package_id: str) -> ReleasePackage:
    return ReleasePackage(**IDS, package_id=package_id)


def released(package_id: str) -> PackageReleased:
    return PackageReleased(**IDS, package_id=package_id)


def deliver(package_id: str) -> ConfirmDelivery:
    return ConfirmDelivery(**IDS, package_id=package_id)


def stage_of(scenario: Scenario) -> Stage:
    return stage(scenario.state(STREAM))


def detail(scenario: Scenario) -> str:
    [refused] = scenario.items
    assert isinstance(refused, Refused)
    return refused.detail


def test_one_package_goes_the_whole_way() -> None:
    scenario = given(TABLE, *READY)
    scenario.when(pack(P1, a=3, b=1)).then(packed(P1, a=3, b=1))
    assert stage_of(scenario) is Stage.PACKED
    scenario.when(release(P1)).then(released(P1))
    assert stage_of(scenario) is Stage.PACKED
    scenario.when(ship(P1)).then(shipped(P1, a=3, b=1))
    assert stage_of(scenario) is Stage.SHIPPED
    arrived = Delivered(**IDS, package_id=P1, lines=units(a=3, b=1), delivered_at=NOON)
    scenario.when(deliver(P1)).then(arrived)
    assert stage_of(scenario) is Stage.DELIVERED
    for again in (pack(P1, a=3, b=1), release(P1), ship(P1), deliver(P1)):
        scenario.when(again).nothing()


def test_pain_12_partial_shipment_many_packages_per_line_by_quantity() -> None:
    """No partial shipment (Sylius#10180, vendure#3588): units of one line leave in several
    packages, the first while the rest is still being picked, and from two locations."""
    scenario = given(TABLE, OPENED, STARTED, ItemsPicked(**IDS, lines=units(a=2)))
    scenario.when(pack(P1, a=2)).then(packed(P1, a=2))
    scenario.when(release(P1)).then(released(P1))
    scenario.when(ship(P1)).then(shipped(P1, a=2))
    assert stage_of(scenario) is Stage.PICKING

    scenario = given(TABLE, *scenario.log[STREAM], ItemsPicked(**IDS, lines=units(a=1, b=1)))
    scenario.when(pack(P2, a=1, b=1)).then(packed(P2, a=1, b=1))
    scenario.when(ship(P2)).rejected("not_released")
    scenario.when(release(P2)).then(released(P2))
    scenario.when(ship(P2)).then(shipped(P2, a=1, b=1))
    assert stage_of(scenario) is Stage.SHIPPED

    other = {"fulfillment_id": "o1.f2", "order_id": "o1"}
    create = CreateFulfillment(**other, location="york", lines=units(a=2), ship_to=Address())
    opened = FulfillmentOpened(**other, location="york", lines=units(a=2), ship_to=Address())
    scenario.when(create).then(opened)


def test_the_whole_is_delivered_when_its_last_package_is() -> None:
    both = (packed(P1, a=3), packed(P2, b=1), released(P1), released(P2))
    scenario = given(TABLE, *READY, *both, shipped(P1, a=3))
    assert stage_of(scenario) is Stage.PACKED
    scenario.when(deliver(P1))
    assert stage_of(scenario) is Stage.PACKED
    scenario.when(ship(P2))
    assert stage_of(scenario) is Stage.SHIPPED
    scenario.when(deliver(P2))
    assert stage_of(scenario) is Stage.DELIVERED
    assert "nothing is left" in detail(scenario.when(pack("o1.f1.p3", a=1)))


def test_the_carriers_time_of_delivery_counts() -> None:
    at = datetime(2026, 1, 4, 9, 30, tzinfo=UTC)
    scenario = given(TABLE, *READY, packed(P1, a=3), released(P1), shipped(P1, a=3))
    scenario.when(ConfirmDelivery(**IDS, package_id=P1, delivered_at=at))
    scenario.then(Delivered(**IDS, package_id=P1, lines=units(a=3), delivered_at=at))


def test_the_time_of_delivery_is_kept_in_utc() -> None:
    at = datetime(2026, 1, 5, 11, 30, tzinfo=timezone(timedelta(hours=2)))
    scenario = given(TABLE, *READY, packed(P1, a=3), released(P1), shipped(P1, a=3))
    [event] = scenario.when(ConfirmDelivery(**IDS, package_id=P1, delivered_at=at)).items
    assert isinstance(event, Delivered)
    assert event.delivered_at.isoformat() == "2026-01-05T09:30:00+00:00"


def test_the_time_of_shipment_is_kept_in_utc() -> None:
    at = datetime(2026, 1, 5, 7, 30, tzinfo=timezone(timedelta(hours=-3)))
    scenario = given(TABLE, *READY, packed(P1, a=3), released(P1))
    [event] = scenario.when(replace(ship(P1), shipped_at=at)).items
    assert isinstance(event, Shipped)
    assert json.decode(encode(event))["shipped_at"] == "2026-01-05T10:30:00Z"


@pytest.mark.parametrize(
    "at",
    [
        NOON + timedelta(hours=2),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12))),
    ],
)
def test_an_impossible_time_of_delivery_is_refused(at: datetime) -> None:
    scenario = given(TABLE, *READY, packed(P1, a=3), released(P1), shipped(P1, a=3))
    scenario.when(ConfirmDelivery(**IDS, package_id=P1, delivered_at=at))
    scenario.rejected("delivered_at")


def test_a_package_id_stands_for_one_content() -> None:
    scenario = given(TABLE, *READY, packed(P1, a=2))
    scenario.when(pack(P1, a=2)).nothing()
    scenario.when(pack(P1, a=1)).rejected("package_exists")
    split = PackItems(**IDS, package_id=P1, lines=(*units(a=1), *units(a=1)))
    scenario.when(split).nothing()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (pack(P1, a=4), "over_pack"),
        (pack(P1, c=1), "unknown_line"),
        (pack(P1, a=0), "quantity"),
        (pack(P1), "no_lines"),
        (pack("p1", a=1), "package_id"),
        (pack("o1.f1.", a=1), "package_id"),
        (pack("o1.f2.p1", a=1), "package_id"),
        (pack("o1.f1.p 1", a=1), "package_id"),
        (pack("o1.f1.ü", a=1), "package_id"),
    ],
)
def test_a_package_that_cannot_be_is_refused(command: PackItems, code: str) -> None:
    given(TABLE, *READY).when(command).rejected(code)


def test_units_are_packed_once() -> None:
    scenario = given(TABLE, *READY, packed(P1, a=2)).when(pack(P2, a=2)).rejected("over_pack")
    assert detail(scenario) == "line a (A): 2 asked, 1 picked and loose"


def test_short_units_cannot_be_packed() -> None:
    short = ItemsPicked(**IDS, lines=units(a=1), short=units(a=2, b=1))
    given(TABLE, OPENED, STARTED, short).when(pack(P1, b=1)).rejected("over_pack")


def test_only_released_packages_leave() -> None:
    scenario = given(TABLE, *READY, packed(P1, a=3, b=1)).when(ship(P1)).rejected("not_released")
    assert "not yet paid for" in detail(scenario)


def test_a_package_leaves_once() -> None:
    scenario = given(TABLE, *READY, packed(P1, a=3), released(P1), shipped(P1, a=3))
    scenario.when(ship(P1)).nothing()
    other = ShipPackage(**IDS, package_id=P1, carrier="ups", tracking_number="U1")
    scenario.when(other).rejected("already_shipped")
    assert "left with dpd under 'T-o1.f1.p1'" in detail(scenario)


@pytest.mark.parametrize("command", [release(P2), ship(P2), deliver(P2)])
def test_an_unknown_package_is_refused_with_the_known_ones(command: ReleasePackage) -> None:
    scenario = given(TABLE, *READY, packed(P1, a=3)).when(command).rejected("unknown_package")
    assert "packages here: o1.f1.p1" in detail(scenario)


@pytest.mark.parametrize("events", [(), (released(P1),)])
def test_only_shipped_packages_arrive(events: tuple[PackageReleased, ...]) -> None:
    given(TABLE, *READY, packed(P1, a=3), *events).when(deliver(P1)).rejected("not_shipped")


def test_one_released_package_is_enough_to_refuse_a_cancel() -> None:
    scenario = given(TABLE, *READY, packed(P1, a=1), packed(P2, a=2), released(P2))
    scenario.when(CancelFulfillment(**IDS, reason="customer"))
    scenario.then(FulfillmentCancellationRefused(**IDS, reason=f"package {P2} is released"))


ROBOT = CreateFulfillment(**IDS, location="robot", lines=units(a=3, b=1), ship_to=Address())
ROBOT_OPENED = FulfillmentOpened(**IDS, location="robot", lines=units(a=3, b=1), ship_to=Address())
BY_ROBOT = (
    ROBOT_OPENED,
    PickingStarted(**IDS, picker="auto"),
    ItemsPicked(**IDS, lines=units(a=3, b=1)),
    packed(P1, a=3, b=1),
)


def test_an_automatic_location_packs_everything_at_once() -> None:
    scenario = given(TABLE).when(ROBOT).then(*BY_ROBOT)
    assert stage_of(scenario) is Stage.PACKED
    scenario.when(ROBOT).nothing()


def test_an_automatic_location_ships_and_delivers_what_is_released() -> None:
    scenario = given(TABLE, *BY_ROBOT).when(release(P1))
    left = Shipped(
        **IDS,
        package_id=P1,
        location="robot",
        lines=units(a=3, b=1),
        carrier="auto",
        tracking_number=tracking_number(P1),
    )
    arrived = Delivered(**IDS, package_id=P1, lines=units(a=3, b=1), delivered_at=NOON)
    scenario.then(released(P1), left, arrived)
    assert stage_of(scenario) is Stage.DELIVERED
    scenario.when(release(P1)).nothing()


def test_an_automatic_location_can_be_cancelled_until_release() -> None:
    cancel = CancelFulfillment(**IDS, reason="customer")
    scenario = given(TABLE, *BY_ROBOT)
    scenario.when(cancel).then(FulfillmentCancelled(**IDS, reason="customer"))
    scenario.when(release(P1)).rejected("wrong_state")


def test_an_automatic_location_refuses_what_others_refuse() -> None:
    empty = CreateFulfillment(**IDS, location="robot", lines=(), ship_to=Address())
    given(TABLE).when(empty).rejected("no_lines")
    given(TABLE, *BY_ROBOT).when(release(P2)).rejected("unknown_package")


def test_a_star_makes_every_location_automatic() -> None:
    leeds = CreateFulfillment(**IDS, location="leeds", lines=units(a=1), ship_to=Address())
    scenario = given(table(frozenset({"*"}))).when(leeds)
    assert [type(i) for i in scenario.items] == [type(e) for e in BY_ROBOT]
    assert [type(i) for i in given(TABLE).when(leeds).items] == [FulfillmentOpened]


def test_tracking_numbers_are_the_same_each_time_and_differ_by_package() -> None:
    assert tracking_number(P1) == tracking_number(P1) != tracking_number(P2)
