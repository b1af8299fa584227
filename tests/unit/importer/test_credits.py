"""`C` invoices: matched to the customer's earlier lines, or kept as unmatched with a reason."""

from pathlib import Path

from ops.importer.accounting import Outcome
from ops.importer.records import (
    BadDebt,
    Cancellation,
    ChargeRefund,
    HistoricOrder,
    Rejected,
    Return,
    Unmatched,
)
from ops.importer.stock import opening_stock
from tests.unit.importer.retail import MONDAY, TUESDAY, Imported, imported, row


def left_over(result: Imported) -> list[tuple[str, int, int]]:
    return [(x.reason, x.quantity, x.amount) for x in result.all(Unmatched)]


def test_a_later_credit_is_a_return_of_the_line_it_names_by_customer_and_sku(
    tmp_path: Path,
) -> None:
    result = imported(
        tmp_path,
        row("1", "A1", 5, "2.0"),
        row("1", "B2", 5, "3.0"),
        row("C2", "b2", -2, "3.0", at=TUESDAY),
    )
    back = result.only(Return)
    assert (back.external_id, back.order_external_id, back.customer_id) == ("C2", "1", "17850")
    assert [(x.line_id, x.order_line_id, x.sku, x.quantity, x.amount) for x in back.lines] == [
        ("1", "2", "B2", 2, 600)
    ]
    assert result.all(Unmatched) == []


def test_a_credit_on_the_day_of_the_sale_is_a_cancellation_even_within_the_minute(
    tmp_path: Path,
) -> None:
    result = imported(
        tmp_path, row("C2", "A1", -80995, "2.08", at=MONDAY), row("3", "A1", 80995, "2.08")
    )
    assert result.only(Cancellation).order_external_id == "3"
    assert result.only(Cancellation).amount == 16846960
    assert result.only(HistoricOrder).total == 16846960


def test_an_earlier_sale_is_needed(tmp_path: Path) -> None:
    result = imported(tmp_path, row("C1", "A1", -1, at=MONDAY), row("2", "A1", 1, at=TUESDAY))
    assert left_over(result) == [("no_earlier_sale", 1, 100)]


def test_the_newest_sale_at_the_same_price_is_taken_first_then_the_one_before(
    tmp_path: Path,
) -> None:
    result = imported(
        tmp_path,
        row("1", "A1", 5, "2.0", at="2010-12-01 09:00:00"),
        row("2", "A1", 5, "2.0", at="2010-12-02 09:00:00"),
        row("3", "A1", 5, "1.5", at="2010-12-03 09:00:00"),
        row("C4", "A1", -7, "2.0", at=TUESDAY),
    )
    assert [(x.order_external_id, x.lines[0].quantity, x.amount) for x in result.all(Return)] == [
        ("2", 5, 1000),
        ("1", 2, 400),
    ]


def test_a_credit_beyond_what_was_sold_leaves_the_rest_unmatched(tmp_path: Path) -> None:
    result = imported(
        tmp_path,
        row("1", "A1", 5, "2.0"),
        row("C2", "A1", -8, "2.0", at=TUESDAY),
        row("C3", "A1", -1, "2.0", at=TUESDAY),
    )
    assert result.only(Return).amount == 1000
    assert left_over(result) == [
        ("exceeds_earlier_sales", 3, 600),
        ("exceeds_earlier_sales", 1, 200),
    ]
    assert result.summary.outcomes[Outcome.PARTLY_MATCHED].rows == 1
    assert result.summary.outcomes[Outcome.UNMATCHED].rows == 1


def test_no_more_is_paid_back_than_was_paid(tmp_path: Path) -> None:
    result = imported(tmp_path, row("1", "A1", 5, "2.0"), row("C2", "A1", -2, "2.5", at=TUESDAY))
    assert (result.only(Return).lines[0].quantity, result.only(Return).amount) == (2, 400)
    assert left_over(result) == [("above_price_paid", 0, 100)]


def test_a_credit_below_the_price_is_a_partial_refund(tmp_path: Path) -> None:
    result = imported(tmp_path, row("1", "A1", 5, "2.0"), row("C2", "A1", -2, "0.5", at=TUESDAY))
    assert (result.only(Return).amount, left_over(result)) == (100, [])


def test_half_pennies_never_pay_back_more_than_the_line_cost(tmp_path: Path) -> None:
    result = imported(
        tmp_path,
        row("1", "A1", 2, "0.015"),
        row("C2", "A1", -1, "0.015", at=TUESDAY),
        row("C3", "A1", -1, "0.015", at=TUESDAY),
    )
    assert [back.amount for back in result.all(Return)] == [2, 1]
    assert left_over(result) == [("above_price_paid", 0, 1)]


def test_guests_and_other_customers_match_nothing(tmp_path: Path) -> None:
    result = imported(
        tmp_path,
        row("1", "A1", 5, "2.0", customer=""),
        row("C2", "A1", -1, "2.0", customer="", at=TUESDAY),
        row("C3", "A1", -1, "2.0", customer="12345.0", at=TUESDAY),
    )
    assert left_over(result) == [("no_customer", 1, 200), ("no_earlier_sale", 1, 200)]


def test_a_charge_is_refunded_only_at_its_own_price(tmp_path: Path) -> None:
    result = imported(
        tmp_path,
        row("1", "M", 2, "18.0"),
        row("C2", "m", -1, "18.0", at=TUESDAY),
        row("C3", "M", -1, "17.0", at=TUESDAY),
        row("C4", "D", -1, "5.0", at=TUESDAY),
    )
    refund = result.only(ChargeRefund)
    assert (refund.external_id, refund.order_external_id, refund.amount) == ("C2", "1", 1800)
    assert left_over(result) == [
        ("no_equal_earlier_charge", 1, 1700),
        ("discount_names_no_order", 1, 500),
    ]


def test_one_credit_over_two_orders_gives_a_return_for_each(tmp_path: Path) -> None:
    result = imported(
        tmp_path,
        row("1", "A1", 1, "2.0"),
        row("2", "B2", 1, "3.0"),
        row("C3", "A1", -1, "2.0", at=TUESDAY),
        row("C3", "B2", -1, "3.0", at=TUESDAY),
    )
    assert [(x.key(), x.lines[0].line_id) for x in result.all(Return)] == [
        ("online-retail:return:C3:1", "1"),
        ("online-retail:return:C3:2", "2"),
    ]


def test_a_positive_row_on_a_credit_is_rejected(tmp_path: Path) -> None:
    result = imported(tmp_path, row("C1", "A1", 1, "2.0"))
    assert "negative quantity" in result.only(Rejected).reason


def test_an_a_invoice_is_bad_debt_not_an_order(tmp_path: Path) -> None:
    result = imported(
        tmp_path,
        row("A563185", "B", 1, "11062.06", customer="", name="Adjust bad debt"),
        row("A563186", "B", 1, "-11062.06", customer="", name="Adjust bad debt"),
    )
    assert [x.amount for x in result.all(BadDebt)] == [1106206, -1106206]
    assert result.all(HistoricOrder) == []


def test_the_opening_stock_is_the_least_that_history_needs(tmp_path: Path) -> None:
    result = imported(
        tmp_path,
        row("1", "A1", 5, "2.0", at="2010-12-01 09:00:00"),
        row("C2", "A1", -2, "2.0", at="2010-12-02 09:00:00"),
        row("3", "A1", 4, "2.0", at="2010-12-03 09:00:00"),
        row("4", "A1", 10, "0.0", customer="", at="2010-12-04 09:00:00"),
        row("5", "A1", 10, "2.0", at="2010-12-05 09:00:00"),
        row("6", "B2", 10, "0.0", customer=""),
        row("7", "POST", -3, "0.0", customer=""),
    )
    assert opening_stock(result.records) == {"A1": 7}
