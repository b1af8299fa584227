"""Invoices without a letter: what is an order, what is a charge, what is stock that moved."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.importer.records import Charge, HistoricOrder, Item, OrderLine, Rejected, StockMovement
from tests.unit.importer.retail import MONDAY, imported, row


def test_an_invoice_becomes_an_order_with_lines_charges_and_utc_time(tmp_path: Path) -> None:
    result = imported(
        tmp_path,
        row("536370", "22728", 24, "3.75", at="2011-06-01 08:45:00", country="France"),
        row("536370", "POST", 3, "18.0", at="2011-06-01 08:45:00", country="France"),
    )
    assert result.only(HistoricOrder) == HistoricOrder(
        channel="online-retail",
        external_id="536370",
        kind="sale",
        customer_id="17850",
        country="FR",
        country_text="France",
        placed_at=datetime(2011, 6, 1, 7, 45, tzinfo=UTC),
        placed_local="2011-06-01 08:45:00",
        zone="Europe/London",
        currency="GBP",
        lines=(
            OrderLine(
                line_id="1",
                sku="22728",
                source_sku="22728",
                description="THING",
                quantity=24,
                unit_price=375,
                total=9000,
            ),
        ),
        charges=(
            Charge(
                charge_id="2",
                code="POST",
                kind="shipping",
                description="THING",
                quantity=3,
                unit_price=1800,
                total=5400,
            ),
        ),
    )
    assert result.only(HistoricOrder).total == 14400


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("POST", "shipping"),
        ("DOT", "shipping"),
        ("C2", "shipping"),
        ("m", "manual"),
        ("AMAZONFEE", "marketplace_fee"),
        ("BANK CHARGES", "bank_fee"),
        ("gift_0001_20", "voucher"),
    ],
)
def test_an_invoice_of_charges_only_is_a_fee_only_order(
    tmp_path: Path, code: str, kind: str
) -> None:
    result = imported(tmp_path, row("1", code, 1, "12.5"))
    order = result.only(HistoricOrder)
    assert (order.kind, order.lines, order.total) == ("fee_only", (), 1250)
    assert [(charge.code, charge.kind) for charge in order.charges] == [(code, kind)]
    assert result.all(Item) == []


def test_a_positive_unpriced_row_beside_a_priced_one_is_a_free_line(tmp_path: Path) -> None:
    result = imported(tmp_path, row("1", "A1", 2, "1.5"), row("1", "B2", 3, "0.0"))
    assert [(x.sku, x.quantity, x.total) for x in result.only(HistoricOrder).lines] == [
        ("A1", 2, 300),
        ("B2", 3, 0),
    ]
    assert result.all(StockMovement) == []


def test_an_unpriced_invoice_is_a_zero_price_order_only_if_it_names_a_customer(
    tmp_path: Path,
) -> None:
    result = imported(
        tmp_path,
        row("1", "A1", 16, "0.0"),
        row("2", "A1", 5, "0.0", customer="", name="found"),
    )
    assert (result.only(HistoricOrder).external_id, result.only(HistoricOrder).kind) == (
        "1",
        "zero_price",
    )
    movement = result.only(StockMovement)
    assert (movement.external_id, movement.quantity, movement.reason) == ("2", 5, "found")
    assert result.summary.orders == 0, "an order without anything to pay is counted apart"


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        ("damaged", "damaged"),
        ("wet/rusty", "damaged"),
        ("SWEETHEART CAKESTAND", "unexplained"),
        ("thrown away-can't sell", "scrapped"),
        ("sold as set on dotcom", "sold_as_other_unit"),
        ("check", "counted"),
        ("?", "counted"),
        ("Missing", "lost"),
        ("wrong barcode", "mislabelled"),
        ("", "unexplained"),
    ],
)
def test_a_negative_unpriced_row_is_a_stock_movement_with_a_reason(
    tmp_path: Path, note: str, reason: str
) -> None:
    movement = imported(tmp_path, row("1", "A1", -7, "0.0", customer="", name=note)).only(
        StockMovement
    )
    assert (movement.sku, movement.quantity, movement.reason, movement.note) == (
        "A1",
        -7,
        reason,
        note,
    )


def test_a_movement_of_a_charge_code_is_kept_but_holds_no_stock(tmp_path: Path) -> None:
    movement = imported(tmp_path, row("1", "POST", 1000, "0.0", customer="")).only(StockMovement)
    assert (movement.sku, movement.stocked) == ("POST", False)


def test_a_negative_charge_on_an_order_is_a_discount(tmp_path: Path) -> None:
    order = imported(tmp_path, row("1", "A1", 1, "10.0"), row("1", "D", -1, "2.5")).only(
        HistoricOrder
    )
    assert [(x.kind, x.total) for x in order.charges] == [("discount", -250)]
    assert order.total == 750


def test_negative_goods_on_a_sale_are_rejected_and_the_rest_is_an_order(tmp_path: Path) -> None:
    result = imported(tmp_path, row("1", "A1", 1, "10.0"), row("1", "B2", -1, "2.5"))
    assert result.only(HistoricOrder).total == 1000
    assert result.only(Rejected).line == 3
    assert "a credit has an invoice of its own" in result.only(Rejected).reason


@pytest.mark.parametrize(
    ("price", "quantity", "unit", "total", "exact", "residue"),
    [
        ("0.001", 1, 0, 0, "0.001", "0.001"),
        ("0.001", 1000, 0, 100, "0.001", "0.000"),
        ("0.005", 1, 0, 0, "0.005", "0.005"),
        ("0.015", 1, 2, 2, "0.015", "-0.005"),
        ("2.5", 3, 250, 750, None, "0.00"),
        ("13541.33", 1, 1354133, 1354133, None, "0.00"),
    ],
)
def test_prices_below_the_minor_unit_are_kept_exactly_and_rounding_is_accounted(
    tmp_path: Path,
    price: str,
    quantity: int,
    unit: int,
    total: int,
    exact: str | None,
    residue: str,
) -> None:
    result = imported(tmp_path, row("1", "PADS", quantity, price))
    (line,) = result.only(HistoricOrder).lines
    assert (line.unit_price, line.total, line.exact_unit_price) == (unit, total, exact)
    assert format(result.summary.sales().residue(2), "f") == residue


def test_repeated_skus_and_equal_rows_stay_lines_of_their_own(tmp_path: Path) -> None:
    result = imported(tmp_path, *[row("1", "A1", 2, "1.0")] * 2, row("1", "A1", 5, "0.9"))
    assert [(x.line_id, x.quantity) for x in result.only(HistoricOrder).lines] == [
        ("1", 2),
        ("2", 2),
        ("3", 5),
    ]
    assert result.summary.notes["repeated equal rows kept as lines"] == 1


def test_skus_that_differ_by_case_are_one_item_that_keeps_its_spellings(tmp_path: Path) -> None:
    result = imported(
        tmp_path,
        row("1", "84997b", name="RETROSPOT CUTLERY "),
        row("1", "84997B", name="CUTLERY  RED"),
        row("1", "84997B", name="CUTLERY RED"),
        row("2", "84997B", -1, "0.0", customer="", name="thrown away"),
    )
    assert result.only(Item) == Item(
        channel="online-retail",
        sku="84997B",
        description="CUTLERY RED",
        source_skus=("84997B", "84997b"),
        other_descriptions=("RETROSPOT CUTLERY",),
    )
    lines = result.only(HistoricOrder).lines
    assert [(x.sku, x.source_sku) for x in lines] == [
        ("84997B", "84997b"),
        ("84997B", "84997B"),
        ("84997B", "84997B"),
    ]
    assert result.summary.notes["spellings merged away"] == 1


def test_rows_of_an_invoice_may_stand_apart_and_the_earliest_time_counts(tmp_path: Path) -> None:
    result = imported(
        tmp_path,
        row("1", "A1", at="2011-02-01 11:20:00"),
        row("2", "A1", at="2011-02-01 11:19:30"),
        row("1", "B2", at="2011-02-01 11:19:00"),
    )
    first, second = result.all(HistoricOrder)
    assert (first.external_id, first.placed_local, first.flags) == (
        "1",
        "2011-02-01 11:19:00",
        ("several_times",),
    )
    assert (second.external_id, second.flags) == ("2", ())


def test_a_missing_customer_is_a_guest(tmp_path: Path) -> None:
    assert imported(tmp_path, row("1", "A1", customer="")).only(HistoricOrder).customer_id is None


@pytest.mark.parametrize(
    ("name", "code", "flags"),
    [
        ("EIRE", "IE", ()),
        ("RSA", "ZA", ()),
        ("Channel Islands", None, ("country_not_one_country",)),
        ("Unspecified", None, ("country_not_one_country",)),
        ("European Community", None, ("country_not_one_country",)),
        ("Atlantis", None, ("country_unknown",)),
    ],
)
def test_countries_become_iso_codes_or_are_flagged(
    tmp_path: Path, name: str, code: str | None, flags: tuple[str, ...]
) -> None:
    order = imported(tmp_path, row("1", "A1", country=name)).only(HistoricOrder)
    assert (order.country, order.country_text, order.flags) == (code, name, flags)


@pytest.mark.parametrize(
    ("local", "utc_hour", "flags"),
    [
        (MONDAY, 9, ()),
        ("2011-03-27 01:30:00", 1, ("time_does_not_exist",)),
        ("2011-10-30 01:30:00", 0, ("time_happens_twice",)),
    ],
)
def test_local_time_becomes_utc_and_clock_changes_are_flagged(
    tmp_path: Path, local: str, utc_hour: int, flags: tuple[str, ...]
) -> None:
    order = imported(tmp_path, row("1", "A1", at=local)).only(HistoricOrder)
    assert (order.placed_at.hour, order.placed_local, order.flags) == (utc_hour, local, flags)


def test_an_invoice_of_over_a_thousand_lines_is_one_order(tmp_path: Path) -> None:
    result = imported(tmp_path, *[row("1", f"S{n}", 1, "0.01") for n in range(1_100)])
    assert (len(result.only(HistoricOrder).lines), result.only(HistoricOrder).total) == (1100, 1100)
