"""Goods coming back, their inspection, and how the return is settled."""

from __future__ import annotations

from typing import Any

import pytest

from services.returns.handlers import table
from shared.events import LineQuantity, Money, Refused
from shared.events.order import RefundFailed, RefundIssued, ReturnAccepted
from shared.events.returns import (
    Disposition,
    InspectedLine,
    InspectReturn,
    ItemsClaimed,
    ItemsReturnable,
    ItemsUnclaimed,
    ReceiveReturn,
    RefundNotPaid,
    RequestReturn,
    ReturnApproved,
    ReturnInspected,
    ReturnLine,
    ReturnReceived,
    ReturnRequested,
    ReturnSettled,
)
from tests.spec import NOON, Scenario, given

TABLE = table()
IDS: dict[str, Any] = {"return_id": "r1", "order_id": "o1"}


def units(**lines: int) -> tuple[LineQuantity, ...]:
    return tuple(LineQuantity(line_id=x, sku=x.upper(), quantity=n) for x, n in lines.items())


def judged(line: str, quantity: int, disposition: Disposition) -> InspectedLine:
    return InspectedLine(line_id=line, sku=line.upper(), quantity=quantity, disposition=disposition)


def receipt(receipt_id: str, location: str = "leeds", **lines: int) -> ReceiveReturn:
    return ReceiveReturn(**IDS, receipt_id=receipt_id, location=location, lines=units(**lines))


def received(
    receipt_id: str, outstanding: int, location: str = "leeds", **lines: int
) -> ReturnReceived:
    return ReturnReceived(
        **IDS,
        receipt_id=receipt_id,
        location=location,
        lines=units(**lines),
        outstanding=outstanding,
    )


def inspection(*lines: InspectedLine) -> InspectReturn:
    return InspectReturn(**IDS, lines=lines, actor="ida")


def inspected(*lines: InspectedLine, location: str = "leeds") -> ReturnInspected:
    return ReturnInspected(**IDS, location=location, lines=lines, actor="ida")


def unclaimed(**lines: int) -> ItemsUnclaimed:
    return ItemsUnclaimed(**IDS, lines=units(**lines))


SHIPPED = ItemsReturnable(order_id="o1", package_id="p1", lines=units(a=3, b=2), shipped_at=NOON)
REQUESTED = ReturnRequested(
    **IDS,
    lines=tuple(ReturnLine(line_id=x, sku=x.upper(), quantity=2) for x in "ab"),
    actor="amy",
)
APPROVED = (
    SHIPPED,
    REQUESTED,
    ItemsClaimed(**IDS, lines=units(a=2, b=2)),
    ReturnApproved(**IDS, actor="policy"),
)
WHOLE = (*APPROVED, received("c1", 0, a=2, b=2))
GOOD = (judged("a", 2, "restock"), judged("b", 2, "scrap"))
INSPECTED = (*WHOLE, inspected(*GOOD))
REFUND = Money(1250, "GBP")
NOTHING = Money(0, "GBP")


def paid(amount: Money = REFUND, return_id: str = "r1", order_id: str = "o1") -> RefundIssued:
    return RefundIssued(
        order_id=order_id, refund_id="o1.r", payment_id="pay", return_id=return_id, amount=amount
    )


def accepted(refund: Money, return_id: str = "r1") -> ReturnAccepted:
    return ReturnAccepted(
        order_id="o1", return_id=return_id, refund_id="o1.r", lines=units(a=2), refund=refund
    )


def not_paid(return_id: str = "r1") -> RefundFailed:
    return RefundFailed(
        order_id="o1",
        refund_id="o1.r",
        payment_id="pay",
        return_id=return_id,
        reason="card_expired",
    )


def settled(amount: Money) -> ReturnSettled:
    return ReturnSettled(**IDS, refund_id="o1.r", amount=amount)


def detail(scenario: Scenario) -> str:
    [refused] = scenario.items
    assert isinstance(refused, Refused)
    return refused.detail


def stage_of(scenario: Scenario) -> str:
    return str(scenario.state("return-r1").stage)


def test_goods_come_back_in_parts() -> None:
    scenario = given(TABLE, *APPROVED)
    scenario.when(receipt("c1", a=1)).then(received("c1", 3, a=1))
    assert stage_of(scenario) == "PARTIALLY_RECEIVED"
    scenario.when(receipt("c2", "york", a=1, b=2)).then(received("c2", 0, "york", a=1, b=2))
    assert stage_of(scenario) == "RECEIVED"


def test_a_receipt_counts_once() -> None:
    scenario = given(TABLE, *APPROVED, received("c1", 3, a=1))
    scenario.when(receipt("c1", a=1)).nothing()
    scenario.when(receipt("c1", a=2)).rejected("receipt_exists")
    given(TABLE, *INSPECTED).when(receipt("c1", a=2, b=2)).nothing()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (receipt("c2", a=2), "over_receipt"),
        (receipt("c2", c=1), "over_receipt"),
        (receipt("c2", a=0), "quantity"),
        (receipt("c2"), "no_lines"),
    ],
)
def test_a_receipt_that_cannot_be_is_refused(command: ReceiveReturn, code: str) -> None:
    given(TABLE, *APPROVED, received("c1", 3, a=1)).when(command).rejected(code)


def test_what_came_too_much_is_named() -> None:
    scenario = given(TABLE, *APPROVED, received("c1", 3, a=1)).when(receipt("c2", a=2))
    assert detail(scenario) == "line a (A): 2 asked, 1 outstanding"


def test_pain_11_a_disposition_for_every_unit_drives_stock() -> None:
    """Returns that don't restock (saleor#16667, vendure#3576): what inspection says is an event
    that names the location and every unit's disposition, so that stock can follow it."""
    lines = (
        judged("a", 1, "restock"),
        judged("a", 1, "refurbish"),
        judged("b", 1, "quality_control"),
        judged("b", 1, "return_to_vendor"),
    )
    scenario = given(TABLE, *APPROVED, received("c1", 2, a=2), received("c2", 0, "york", b=2))
    scenario.when(inspection(*lines)).then(inspected(*lines, location="york"))
    assert stage_of(scenario) == "INSPECTED"
    scenario.when(inspection(*lines)).nothing()


def test_units_that_did_not_come_are_missing_and_may_be_claimed_again() -> None:
    events = (*APPROVED, received("c1", 3, a=1))
    lines = (judged("a", 1, "restock"), judged("a", 1, "missing"), judged("b", 2, "missing"))
    for stated in (lines[:1], lines):
        scenario = given(TABLE, *events).when(inspection(*stated))
        scenario.then(inspected(*lines), unclaimed(a=1, b=2))
        scenario.when(inspection(*lines)).nothing()
        assert scenario.state("returnable-o1").claims == {"r1": units(a=1)}
        again = RequestReturn(
            return_id="r2",
            order_id="o1",
            lines=(ReturnLine(line_id="b", sku="B", quantity=2),),
        )
        claim = ItemsClaimed(return_id="r2", order_id="o1", lines=units(b=2))
        scenario.when(again).then_includes(claim)


def test_a_return_of_which_nothing_came_is_closed_only_by_saying_so() -> None:
    scenario = given(TABLE, *APPROVED).when(inspection()).rejected("disposition")
    assert "line a (A): 0 stated as missing, 2 not received" in detail(scenario)
    gone = (judged("a", 2, "missing"), judged("b", 2, "missing"))
    scenario.when(inspection(*gone)).then(inspected(*gone, location=""), unclaimed(a=2, b=2))
    assert scenario.state("returnable-o1").claims == {}


@pytest.mark.parametrize(
    "lines",
    [
        (judged("a", 2, "restock"),),
        (judged("a", 3, "restock"), judged("b", 2, "scrap")),
        (*GOOD, judged("c", 1, "restock")),
        (*GOOD, judged("a", 1, "missing")),
        (judged("a", 1, "restock"), judged("a", 1, "missing"), judged("b", 2, "scrap")),
        (),
    ],
)
def test_dispositions_must_add_up_to_what_was_received(lines: tuple[InspectedLine, ...]) -> None:
    given(TABLE, *WHOLE).when(inspection(*lines)).rejected("disposition")


def test_a_disposition_of_no_units_is_refused() -> None:
    scenario = given(TABLE, *WHOLE).when(inspection(*GOOD, judged("a", 0, "scrap")))
    scenario.rejected("quantity")


def test_an_inspection_stands() -> None:
    other = (judged("a", 2, "scrap"), judged("b", 2, "scrap"))
    scenario = given(TABLE, *INSPECTED).when(inspection(*other)).rejected("wrong_state")
    assert "INSPECTED: the refund is under way" in detail(scenario)
    given(TABLE, *INSPECTED, settled(REFUND)).when(inspection(*GOOD)).nothing()


def test_only_an_approved_return_is_received_or_inspected() -> None:
    events = APPROVED[:3]
    given(TABLE, *events).when(receipt("c1", a=1)).rejected("wrong_state")
    given(TABLE, *events).when(inspection(*GOOD)).rejected("wrong_state")
    given(TABLE, *INSPECTED).when(receipt("c2", a=1)).rejected("wrong_state")


@pytest.mark.parametrize("command", [receipt("c1", a=1), inspection(*GOOD)])
def test_an_unknown_return_or_another_orders_is_refused(command: ReceiveReturn) -> None:
    given(TABLE).when(command).rejected("unknown_return")
    fields = {f: getattr(command, f) for f in command.__struct_fields__} | {"order_id": "o2"}
    given(TABLE, *WHOLE).when(type(command)(**fields)).rejected("wrong_order")


def test_the_refund_settles_it_once() -> None:
    scenario = given(TABLE, *INSPECTED)
    scenario.when(accepted(REFUND)).nothing()
    scenario.when(paid()).then(settled(REFUND))
    assert stage_of(scenario) == "SETTLED"
    scenario.when(paid()).nothing()


def test_when_nothing_is_owed_the_orders_acceptance_settles_it() -> None:
    scenario = given(TABLE, *INSPECTED).when(accepted(NOTHING)).then(settled(NOTHING))
    assert stage_of(scenario) == "SETTLED"
    scenario.when(accepted(NOTHING)).nothing()


def test_a_refund_that_failed_leaves_it_inspected_and_says_why() -> None:
    note = RefundNotPaid(**IDS, refund_id="o1.r", reason="card_expired")
    scenario = given(TABLE, *INSPECTED).when(not_paid()).then(note)
    assert stage_of(scenario) == "INSPECTED"
    assert scenario.state("return-r1").refund_problem == "card_expired"
    scenario.when(not_paid()).nothing()
    scenario.when(paid()).then(settled(REFUND))
    assert scenario.state("return-r1").refund_problem == ""


def test_refunds_with_another_cause_are_not_ours() -> None:
    for message in (paid(return_id=""), not_paid(return_id=""), accepted(NOTHING, return_id="")):
        assert list(TABLE.handlers[type(message)].streams(message)) == []
        given(TABLE, *INSPECTED).when(message).nothing()


@pytest.mark.parametrize("message", [paid(), not_paid(), accepted(NOTHING)])
def test_a_refund_before_inspection_is_refused(message: RefundIssued) -> None:
    scenario = given(TABLE, *WHOLE).when(message).rejected("wrong_state")
    assert stage_of(scenario) == "RECEIVED"
    given(TABLE, SHIPPED).when(message).rejected("unknown_return")


def test_a_refund_of_another_order_is_refused() -> None:
    given(TABLE, *INSPECTED).when(paid(order_id="o2")).rejected("wrong_order")
