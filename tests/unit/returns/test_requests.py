"""Asking for a return, the policy, and saying yes or no: every transition, every refusal."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.returns.domain.messages import AskReturn
from services.returns.domain.requests import Policy
from services.returns.domain.returnable import AWAITED_MAX
from services.returns.handlers import table
from shared.events import LineQuantity, Refused, StartTimer
from shared.events.order import OrderShipped
from shared.events.returns import (
    ApproveReturn,
    CancelReturn,
    DeclineReturn,
    ItemsClaimed,
    ItemsReturnable,
    ItemsUnclaimed,
    ReceiveReturn,
    RequestReturn,
    ReturnApproved,
    ReturnAwaited,
    ReturnCancelled,
    ReturnDeclined,
    ReturnLine,
    ReturnReceived,
    ReturnRequested,
)
from tests.spec import NOON, Scenario, given

TABLE = table()
IDS: dict[str, Any] = {"return_id": "r1", "order_id": "o1"}
LATE = NOON + timedelta(days=31)


def units(**lines: int) -> tuple[LineQuantity, ...]:
    return tuple(LineQuantity(line_id=x, sku=x.upper(), quantity=n) for x, n in lines.items())


def asked(**lines: int) -> tuple[ReturnLine, ...]:
    return tuple(
        ReturnLine(line_id=x, sku=x.upper(), quantity=n, reason="too small")
        for x, n in lines.items()
    )


def left(package_id: str, **lines: int) -> OrderShipped:
    return OrderShipped(
        order_id="o1",
        fulfillment_id="o1.f1",
        package_id=package_id,
        location="leeds",
        lines=units(**lines),
        carrier="dpd",
        tracking_number="T1",
    )


def returnable(package_id: str, **lines: int) -> ItemsReturnable:
    return ItemsReturnable(
        order_id="o1", package_id=package_id, lines=units(**lines), shipped_at=NOON
    )


def request(return_id: str = "r1", **lines: int) -> AskReturn:
    return AskReturn(return_id=return_id, order_id="o1", lines=asked(**lines), actor="amy")


def by_topic(return_id: str = "r1", **lines: int) -> RequestReturn:
    return RequestReturn(return_id=return_id, order_id="o1", lines=asked(**lines), actor="amy")


SHIPPED = returnable("p1", a=3, b=1)
REQUESTED = ReturnRequested(**IDS, lines=asked(a=2), actor="amy")
CLAIMED = ItemsClaimed(**IDS, lines=units(a=2))
UNCLAIMED = ItemsUnclaimed(**IDS, lines=units(a=2))
APPROVED = ReturnApproved(**IDS, actor="policy")
RECEIVED = ReturnReceived(**IDS, receipt_id="c1", location="leeds", lines=units(a=1), outstanding=1)
ASKED = (SHIPPED, REQUESTED, CLAIMED)


def detail(scenario: Scenario) -> str:
    [refused] = scenario.items
    assert isinstance(refused, Refused)
    return refused.detail


def test_what_has_left_may_come_back_and_each_package_counts_once() -> None:
    scenario = given(TABLE).when(left("p1", a=3, b=1)).then(SHIPPED)
    scenario.when(left("p1", a=3, b=1)).nothing()
    scenario.when(left("p2", a=2)).then(returnable("p2", a=2))
    scenario.when(request(a=5)).then_includes(ItemsClaimed(**IDS, lines=units(a=5)))


def test_a_return_within_the_window_is_approved_by_the_policy() -> None:
    on_the_last_day = NOON + timedelta(days=30)
    scenario = given(TABLE, SHIPPED).when(request(a=2), at=on_the_last_day)
    scenario.then(REQUESTED, CLAIMED, APPROVED)


def test_a_late_return_waits_for_a_person() -> None:
    given(TABLE, SHIPPED).when(request(a=2), at=LATE).then(REQUESTED, CLAIMED)


def test_the_window_is_a_setting() -> None:
    strict = table(Policy(window=timedelta(days=1)))
    late = NOON + timedelta(days=2)
    given(strict, SHIPPED).when(request(a=2), at=late).then(REQUESTED, CLAIMED)


def test_the_latest_package_of_each_line_counts_for_the_window() -> None:
    later = ItemsReturnable(
        order_id="o1", package_id="p2", lines=units(a=1), shipped_at=NOON + timedelta(days=10)
    )
    scenario = given(TABLE, SHIPPED, later).when(request(a=2), at=LATE)
    scenario.then(REQUESTED, CLAIMED, APPROVED)
    scenario.when(request("r2", a=1, b=1), at=LATE)
    assert [type(i) for i in scenario.items] == [ReturnRequested, ItemsClaimed]


def test_the_same_request_again_changes_nothing() -> None:
    scenario = given(TABLE, SHIPPED).when(request(a=2))
    scenario.when(request(a=2)).nothing()
    scenario.when(request(a=1)).rejected("return_exists")


def test_a_return_id_of_another_order_is_taken() -> None:
    other = AskReturn(return_id="r1", order_id="o2", lines=asked(a=2))
    given(TABLE, *ASKED).when(other).rejected("return_exists")


def test_a_return_before_the_shipment_is_known_is_to_be_tried_again() -> None:
    scenario = given(TABLE).when(request(a=1)).rejected("not_shipped")
    assert "ask again once it has shipped" in detail(scenario)
    scenario.when(left("p1", a=1)).when(request(a=1))
    assert not any(isinstance(i, Refused) for i in scenario.items)


def test_a_return_that_overtakes_its_shipment_on_a_topic_waits_for_it() -> None:
    asked_for = by_topic(a=3)
    waits = ReturnAwaited(**IDS, lines=asked_for.lines, actor="amy")
    scenario = given(TABLE).when(asked_for).then(waits)
    scenario.when(asked_for).nothing()
    again = StartTimer(name="request", due_at=NOON, message=asked_for)
    for package in (left("p1", a=2), left("p2", a=1, b=1)):
        scenario.when(package)
        assert scenario.items[1:] == [again]
        scenario.when(again.message)
    scenario.then(
        ReturnRequested(**IDS, lines=asked_for.lines, actor="amy"),
        ItemsClaimed(**IDS, lines=units(a=3)),
        APPROVED,
    )
    scenario.when(asked_for).nothing().when(left("p3", a=1))
    assert len(scenario.items) == 1


def test_what_waiting_would_not_mend_is_refused_on_a_topic_too() -> None:
    given(TABLE, *ASKED).when(by_topic("r2", a=2)).rejected("not_returnable")
    given(TABLE, *ASKED).when(by_topic(a=9)).rejected("return_exists")
    given(TABLE).when(by_topic()).rejected("no_lines")
    waiting = [
        ReturnAwaited(order_id="o1", return_id=f"w{n}", lines=asked(a=1), actor="amy")
        for n in range(AWAITED_MAX)
    ]
    given(TABLE, *waiting).when(by_topic(a=1)).rejected("not_shipped")


def test_no_more_than_shipped_and_unclaimed_and_each_line_is_named() -> None:
    scenario = given(TABLE, *ASKED).when(request("r2", a=2, b=2)).rejected("not_returnable")
    assert detail(scenario) == (
        "line a (A): 2 asked, 1 shipped and not claimed; "
        "line b (B): 2 asked, 1 shipped and not claimed"
    )
    assert "line c (C): 1 asked, 0" in detail(scenario.when(request("r2", c=1)))


def test_repeated_lines_are_added_up_before_they_are_compared() -> None:
    twice = AskReturn(**IDS, lines=(*asked(a=2), *asked(a=2)))
    given(TABLE, SHIPPED).when(twice).rejected("not_returnable")


@pytest.mark.parametrize(
    ("command", "code"),
    [(request(), "no_lines"), (request(a=0), "quantity"), (request(a=-1), "quantity")],
)
def test_a_request_that_cannot_be_is_refused(command: AskReturn, code: str) -> None:
    given(TABLE, SHIPPED).when(command).rejected(code)


@pytest.mark.parametrize("id", ["", "Rück", "a b", "r" * 101])
def test_an_id_that_no_provider_would_take_is_refused(id: str) -> None:
    given(TABLE, SHIPPED).when(request(id, a=1)).rejected("return_id")


def test_a_person_approves_once() -> None:
    approve = ApproveReturn(**IDS, actor="bob")
    scenario = given(TABLE, *ASKED).when(approve).then(ReturnApproved(**IDS, actor="bob"))
    scenario.when(approve).nothing()
    given(TABLE, *ASKED, APPROVED, RECEIVED).when(approve).nothing()


def test_the_callers_name_is_taken_where_the_command_has_none() -> None:
    scenario = given(TABLE, *ASKED).when(ApproveReturn(**IDS), actor="agent:bob")
    scenario.then(ReturnApproved(**IDS, actor="agent:bob"))


def test_declining_gives_the_claim_up() -> None:
    decline = DeclineReturn(**IDS, reason="worn", actor="bob")
    scenario = given(TABLE, *ASKED).when(decline)
    scenario.then(ReturnDeclined(**IDS, reason="worn", actor="bob"), UNCLAIMED)
    scenario.when(decline).nothing()
    scenario.when(request("r2", a=3)).then_includes(
        ItemsClaimed(return_id="r2", order_id="o1", lines=units(a=3))
    )


def test_cancelling_gives_the_claim_up() -> None:
    cancel = CancelReturn(**IDS, actor="amy")
    for events in ((), (APPROVED,)):
        scenario = given(TABLE, *ASKED, *events).when(cancel)
        scenario.then(ReturnCancelled(**IDS, actor="amy"), UNCLAIMED)
        scenario.when(cancel).nothing()
        assert scenario.state("returnable-o1").claims == {}


DECLINED = ReturnDeclined(**IDS, reason="worn", actor="bob")
CANCELLED = ReturnCancelled(**IDS, actor="amy")


@pytest.mark.parametrize(
    ("events", "command", "says"),
    [
        ((APPROVED,), DeclineReturn(**IDS, reason="x"), "APPROVED: receive it, or cancel it"),
        ((APPROVED, RECEIVED), CancelReturn(**IDS), "PARTIALLY_RECEIVED: receive the rest"),
        ((DECLINED, UNCLAIMED), ApproveReturn(**IDS), "DECLINED: it has ended"),
        ((DECLINED, UNCLAIMED), CancelReturn(**IDS), "DECLINED: it has ended"),
        ((CANCELLED, UNCLAIMED), ApproveReturn(**IDS), "CANCELLED: it has ended"),
        ((CANCELLED, UNCLAIMED), DeclineReturn(**IDS, reason="x"), "CANCELLED: it has ended"),
        (
            (),
            ReceiveReturn(**IDS, receipt_id="c1", location="leeds", lines=units(a=1)),
            "REQUESTED: approve, decline or cancel it",
        ),
    ],
)
def test_a_command_at_the_wrong_time_is_told_what_is_possible(
    events: tuple[ReturnApproved, ...], command: ApproveReturn, says: str
) -> None:
    scenario = given(TABLE, *ASKED, *events).when(command).rejected("wrong_state")
    assert f"return r1 is {says}" in detail(scenario)


COMMANDS = [ApproveReturn(**IDS), DeclineReturn(**IDS, reason="x"), CancelReturn(**IDS)]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: type(c).__name__)
def test_an_unknown_return_or_another_orders_is_refused(command: CancelReturn) -> None:
    given(TABLE, SHIPPED).when(command).rejected("unknown_return")
    fields = {f: getattr(command, f) for f in command.__struct_fields__} | {"order_id": "o2"}
    given(TABLE, *ASKED).when(type(command)(**fields)).rejected("wrong_order")
