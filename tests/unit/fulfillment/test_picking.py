"""Opening, picking and stopping a fulfillment order, one transition and one refusal at a time."""

from __future__ import annotations

from typing import Any

import pytest

from services.fulfillment.domain.state import Stage, stage
from services.fulfillment.handlers import table
from shared.events import Address, LineQuantity, Refused
from shared.events.fulfillment import (
    CancelFulfillment,
    CreateFulfillment,
    FulfillmentCancellationRefused,
    FulfillmentCancelled,
    FulfillmentOpened,
    ItemsPicked,
    PackagePacked,
    PackageReleased,
    PackItems,
    PickingStarted,
    RecordPick,
    ReleasePackage,
    ShipPackage,
    Shipped,
    StartPicking,
)
from tests.spec import Scenario, given

TABLE = table()
IDS: dict[str, Any] = {"fulfillment_id": "o1.f1", "order_id": "o1"}
STREAM = "fulfillment-o1.f1"


def units(**lines: int) -> tuple[LineQuantity, ...]:
    """``units(a=2)`` is two units of line a, SKU A."""
    return tuple(LineQuantity(line_id=x, sku=x.upper(), quantity=n) for x, n in lines.items())


SHIP_TO = Address(name="Ada", country="GB")
CREATE = CreateFulfillment(**IDS, location="leeds", lines=units(a=3, b=1), ship_to=SHIP_TO)
OPENED = FulfillmentOpened(**IDS, location="leeds", lines=units(a=3, b=1), ship_to=SHIP_TO)
STARTED = PickingStarted(**IDS, picker="pat")
PICKED = ItemsPicked(**IDS, lines=units(a=3, b=1))
PACKED = PackagePacked(**IDS, package_id="o1.f1.p1", lines=units(a=3, b=1))
RELEASED = PackageReleased(**IDS, package_id="o1.f1.p1")
SHIPPED = Shipped(
    **IDS,
    package_id="o1.f1.p1",
    location="leeds",
    lines=units(a=3, b=1),
    carrier="dpd",
    tracking_number="T1",
)
CANCEL = CancelFulfillment(**IDS, reason="customer")
CANCELLED = FulfillmentCancelled(**IDS, reason="customer")


def stage_of(scenario: Scenario) -> Stage:
    return stage(scenario.state(STREAM))


def detail(scenario: Scenario) -> str:
    [refused] = scenario.items
    assert isinstance(refused, Refused)
    return refused.detail


def test_create_opens() -> None:
    scenario = given(TABLE).when(CREATE).then(OPENED)
    assert stage_of(scenario) is Stage.OPEN


def test_a_second_create_changes_nothing() -> None:
    given(TABLE, OPENED).when(CREATE).nothing()
    given(TABLE, OPENED, STARTED, PICKED, PACKED, RELEASED, SHIPPED).when(CREATE).nothing()


def test_create_needs_lines_of_at_least_one_unit() -> None:
    empty = CreateFulfillment(**IDS, location="leeds", lines=(), ship_to=SHIP_TO)
    given(TABLE).when(empty).rejected("no_lines")
    zero = CreateFulfillment(**IDS, location="leeds", lines=units(a=0), ship_to=SHIP_TO)
    assert "line a (A): 0" in detail(given(TABLE).when(zero).rejected("quantity"))


def test_a_cancel_that_overtakes_its_create_wins() -> None:
    scenario = given(TABLE).when(CANCEL).then(CANCELLED)
    assert stage_of(scenario) is Stage.CANCELLED
    scenario.when(CREATE).nothing()
    scenario.when(CANCEL).nothing()


def test_a_picker_takes_it_once() -> None:
    start = StartPicking(**IDS, picker="pat")
    scenario = given(TABLE, OPENED).when(start).then(STARTED)
    assert stage_of(scenario) is Stage.PICKING
    scenario.when(start).nothing()
    scenario.when(StartPicking(**IDS, picker="quinn")).rejected("already_picking")
    assert "pat is picking" in detail(scenario)


def test_picking_everything_leaves_it_picked() -> None:
    scenario = given(TABLE, OPENED, STARTED).when(RecordPick(**IDS, lines=units(a=3, b=1)))
    assert stage_of(scenario.then(PICKED)) is Stage.PICKED


def test_partial_picks_add_up() -> None:
    scenario = given(TABLE, OPENED, STARTED)
    scenario.when(RecordPick(**IDS, lines=units(a=2), final=False))
    scenario.then(ItemsPicked(**IDS, lines=units(a=2)))
    assert stage_of(scenario) is Stage.PICKING
    scenario.when(RecordPick(**IDS, lines=units(a=1, b=1), final=False))
    scenario.then(ItemsPicked(**IDS, lines=units(a=1, b=1)))
    assert stage_of(scenario) is Stage.PICKED


def test_repeated_lines_of_one_report_are_added_up() -> None:
    twice = (*units(a=1), *units(a=2), *units(b=1))
    given(TABLE, OPENED, STARTED).when(RecordPick(**IDS, lines=twice)).then(PICKED)


def test_a_final_pick_reports_what_is_short() -> None:
    scenario = given(TABLE, OPENED, STARTED, ItemsPicked(**IDS, lines=units(a=1)))
    scenario.when(RecordPick(**IDS, lines=units(a=1), short_reason="damaged"))
    scenario.then(
        ItemsPicked(**IDS, lines=units(a=1), short=units(a=1, b=1), short_reason="damaged")
    )
    assert stage_of(scenario) is Stage.PICKED


def test_when_nothing_is_found_it_ends_and_short_says_so() -> None:
    scenario = given(TABLE, OPENED, STARTED)
    scenario.when(RecordPick(**IDS, lines=(), short_reason="empty shelf"))
    scenario.then(ItemsPicked(**IDS, lines=(), short=units(a=3, b=1), short_reason="empty shelf"))
    assert stage_of(scenario) is Stage.INCOMPLETE
    pack = PackItems(**IDS, package_id="o1.f1.p1", lines=units(a=1))
    assert "INCOMPLETE" in detail(scenario.when(pack).rejected("wrong_state"))
    scenario.when(CANCEL).then(CANCELLED)


def test_a_complete_pick_has_no_short_reason() -> None:
    pick = RecordPick(**IDS, lines=units(a=3, b=1), short_reason="none")
    given(TABLE, OPENED, STARTED).when(pick).then(PICKED)


def test_a_pick_id_counts_once() -> None:
    pick = RecordPick(**IDS, lines=units(a=1), final=False, pick_id="scan-1")
    scenario = given(TABLE, OPENED, STARTED)
    scenario.when(pick).then(ItemsPicked(**IDS, lines=units(a=1), pick_id="scan-1"))
    scenario.when(pick).nothing()
    scenario.when(RecordPick(**IDS, lines=units(a=2), pick_id="scan-1")).rejected("pick_exists")
    rest = RecordPick(**IDS, lines=units(a=2, b=1), pick_id="scan-2")
    scenario.when(rest).then(ItemsPicked(**IDS, lines=units(a=2, b=1), pick_id="scan-2"))
    scenario.when(rest).nothing()


@pytest.mark.parametrize(
    ("lines", "final", "code"),
    [
        (units(a=4), True, "over_pick"),
        (units(a=1, c=1), True, "unknown_line"),
        ((LineQuantity(line_id="a", sku="B", quantity=1),), True, "unknown_line"),
        (units(a=0), True, "quantity"),
        (units(a=-1), False, "quantity"),
        ((), False, "no_lines"),
    ],
)
def test_a_pick_that_cannot_be_is_refused(
    lines: tuple[LineQuantity, ...], final: bool, code: str
) -> None:
    pick = RecordPick(**IDS, lines=lines, final=final)
    given(TABLE, OPENED, STARTED).when(pick).rejected(code)


def test_what_was_picked_before_is_not_picked_again() -> None:
    earlier = ItemsPicked(**IDS, lines=units(a=2))
    scenario = given(TABLE, OPENED, STARTED, earlier).when(RecordPick(**IDS, lines=units(a=2)))
    assert detail(scenario.rejected("over_pick")) == "line a (A): 2 asked, 1 left to pick"


def test_an_over_pick_names_each_line_and_what_is_left() -> None:
    pick = RecordPick(**IDS, lines=units(a=4, b=2))
    text = detail(given(TABLE, OPENED, STARTED).when(pick).rejected("over_pick"))
    assert text == "line a (A): 4 asked, 3 left to pick; line b (B): 2 asked, 1 left to pick"


@pytest.mark.parametrize(
    ("events", "command", "says"),
    [
        ((OPENED,), RecordPick(**IDS, lines=units(a=1)), "OPEN: start picking"),
        ((OPENED,), PackItems(**IDS, package_id="o1.f1.p1", lines=units(a=1)), "OPEN: start"),
        ((OPENED, STARTED, PICKED), StartPicking(**IDS, picker="pat"), "PICKED: pack"),
        ((OPENED, STARTED, PICKED), RecordPick(**IDS, lines=units(a=1)), "PICKED: pack"),
        ((OPENED, STARTED, PICKED, PACKED), RecordPick(**IDS, lines=units(a=1)), "PACKED: ship"),
        (
            (OPENED, STARTED, PICKED, PACKED),
            PackItems(**IDS, package_id="o1.f1.p2", lines=units(a=1)),
            "PACKED: ship",
        ),
        (
            (OPENED, STARTED, PICKED, PACKED, RELEASED, SHIPPED),
            StartPicking(**IDS, picker="pat"),
            "SHIPPED: confirm delivery",
        ),
        ((OPENED, CANCELLED), StartPicking(**IDS, picker="pat"), "CANCELLED: it has ended"),
        ((OPENED, STARTED, CANCELLED), RecordPick(**IDS, lines=units(a=1)), "CANCELLED"),
        (
            (OPENED, STARTED, PICKED, PACKED, CANCELLED),
            ReleasePackage(**IDS, package_id="o1.f1.p1"),
            "CANCELLED",
        ),
    ],
)
def test_a_command_at_the_wrong_time_is_told_what_is_possible(
    events: tuple[object, ...], command: object, says: str
) -> None:
    scenario = given(TABLE, *events).when(command).rejected("wrong_state")  # type: ignore[arg-type]
    assert f"fulfillment o1.f1 is {says}" in detail(scenario)


STEPS = [
    StartPicking(**IDS),
    RecordPick(**IDS, lines=units(a=1)),
    PackItems(**IDS, package_id="o1.f1.p1", lines=units(a=1)),
    ReleasePackage(**IDS, package_id="o1.f1.p1"),
    ShipPackage(**IDS, package_id="o1.f1.p1", carrier="dpd", tracking_number="T1"),
]


@pytest.mark.parametrize("command", STEPS, ids=lambda c: type(c).__name__)
def test_nothing_can_be_done_to_an_unknown_fulfillment(command: StartPicking) -> None:
    given(TABLE).when(command).rejected("unknown_fulfillment")


@pytest.mark.parametrize("command", [*STEPS, CANCEL], ids=lambda c: type(c).__name__)
def test_a_command_for_another_order_is_refused(command: StartPicking) -> None:
    other = type(command)(
        **{f: getattr(command, f) for f in command.__struct_fields__} | {"order_id": "o2"}
    )
    given(TABLE, OPENED, STARTED, PICKED, PACKED).when(other).rejected("wrong_order")


@pytest.mark.parametrize("done", range(1, 5))
def test_it_can_be_cancelled_until_a_package_is_released(done: int) -> None:
    events = (OPENED, STARTED, PICKED, PACKED)[:done]
    scenario = given(TABLE, *events).when(CANCEL).then(CANCELLED)
    assert stage_of(scenario) is Stage.CANCELLED
    scenario.when(CANCEL).nothing()


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ((RELEASED,), "package o1.f1.p1 is released"),
        ((RELEASED, SHIPPED), "package o1.f1.p1 is shipped"),
    ],
)
def test_a_cancel_that_comes_too_late_is_refused_each_time(
    events: tuple[PackageReleased, ...], reason: str
) -> None:
    refused = FulfillmentCancellationRefused(**IDS, reason=reason)
    scenario = given(TABLE, OPENED, STARTED, PICKED, PACKED, *events)
    scenario.when(CANCEL).then(refused)
    scenario.when(CANCEL).then(refused)


def test_cancelling_unpacks() -> None:
    scenario = given(TABLE, OPENED, STARTED, PICKED, PACKED).when(CANCEL).then(CANCELLED)
    state = scenario.state(STREAM)
    assert state.packages == {}
    assert [line.packed for line in state.lines] == [0, 0]
