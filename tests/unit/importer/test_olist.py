"""Olist's tables as orders: every row has an outcome, every difference a rule, every odd time is kept and said."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.demo.history import translate
from ops.demo.history.survey import survey
from ops.importer import Import, SourceError
from ops.importer.accounting import DocumentKind, Outcome
from ops.importer.olist import Olist
from ops.importer.records import HistoricOrder, Item, RefusedOrder, Rejected
from ops.importer.registry import mapping_of
from services.integrations.channels.files import read
from services.order.domain.placing import problems
from shared.events.shares import order_total
from tests.unit.importer.olist import APPROVED, BOUGHT, CAME, LEFT, Paid, Shop, Sold, hexed


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_equal_rows_are_units_of_one_line_and_freight_is_a_charge(shop: Shop) -> None:
    shop.order(
        "o", [Sold("10.50", "2.10"), Sold("10.50", "2.10"), Sold("3", "0.00", "q")], [Paid("28.20")]
    )
    order = shop.imported().only(HistoricOrder)
    assert [(x.line_id, x.quantity, x.unit_price, x.total) for x in order.lines] == [
        ("1", 2, 1050, 2100),
        ("3", 1, 300, 300),
    ]
    assert [(x.kind, x.total) for x in order.charges] == [("shipping", 420)]
    assert order.total == 2820
    assert order.flags == ()
    command = translate.order(order)
    assert problems(command) == []
    assert order_total(command.lines, command.charges) == 2820


def test_a_seller_is_the_location_of_its_offers(shop: Shop) -> None:
    shop.order("o", [Sold("1.00"), Sold("1.00", seller="t")], [Paid("2.00")])
    came = shop.imported()
    items, order = came.all(Item), came.only(HistoricOrder)
    assert [x.location for x in items] == [hexed("s"), hexed("t")]
    assert {x.description for x in items} == {"furniture decor"}
    assert len({x.sku for x in items}) == 2, "one product of two sellers is two offers"
    assert [x.location for x in order.lines] == [hexed("s"), hexed("t")]
    assert order.flags == ("of_several_sellers",)
    (receipt,) = survey(came.records).receipts("olist", "AUTO")
    assert {x.location for x in receipt.lines} == {hexed("s"), hexed("t")}


def test_every_payment_is_a_tender_approved_when_the_source_says(shop: Shop) -> None:
    paid = [Paid("5.00", "voucher"), Paid("0.00", "voucher"), Paid("7.00", instalments=3)]
    shop.order("o", [Sold("12.00")], paid)
    order = shop.imported().only(HistoricOrder)
    assert order.flags == ("paid_in_several_parts", "with_a_payment_of_zero")
    command = translate.order(order)
    assert command.tenders
    assert [(x.method, x.amount, x.instalments) for x in command.tenders] == [
        ("voucher", 500, 1),
        ("voucher", 0, 1),
        ("credit_card", 700, 3),
    ]
    assert {x.approved_at for x in command.tenders} == {datetime(2018, 3, 5, 14, tzinfo=UTC)}
    assert command.placed_at == datetime(2018, 3, 5, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("paid", "instalments", "charge"),
    [
        ("10.05", 1, ("fee", 5, "payment rounding")),
        ("9.95", 1, ("discount", 5, "payment rounding")),
        ("12.34", 6, ("fee", 234, "interest of instalments")),
    ],
)
def test_a_difference_that_a_rule_explains_is_a_charge(
    shop: Shop, paid: str, instalments: int, charge: tuple[str, int, str]
) -> None:
    shop.order("o", [Sold("10.00")], [Paid(paid, instalments=instalments)])
    came = shop.imported()
    command = translate.order(came.only(HistoricOrder))
    [booked] = command.charges
    assert (booked.kind, booked.amount, booked.description.strip()) == charge
    assert problems(command) == []
    assert (
        came.summary.outcomes[Outcome.ORDER_ROW].minor
        == order_total(command.lines, command.charges) - 1000
    )


@pytest.mark.parametrize(
    ("items", "paid", "reason"),
    [
        ([], [Paid("10.00")], "no_items"),
        ([Sold("10.00")], [], "no_payment"),
        ([Sold("10.00")], [Paid("9.94")], "payments_differ"),
        ([Sold("10.00")], [Paid("9.00", instalments=4)], "payments_differ"),
        ([Sold("10.00")], [Paid("10.06")], "payments_differ"),
    ],
)
def test_an_order_that_no_rule_explains_is_left_to_a_person(
    shop: Shop, items: list[Sold], paid: list[Paid], reason: str
) -> None:
    number = shop.order("o", items, paid)
    came = shop.imported()
    refused = came.only(RefusedOrder)
    assert came.all(HistoricOrder) == []
    assert refused.reason == reason
    assert came.summary.documents[DocumentKind.REFUSED_ORDER].documents == 1
    kept = translate.refusal(refused)
    document = json.loads(kept["payload"])
    assert (document["number"], document["ship_to"]["postal_code"]) == (number, "09790")
    [found] = read(kept["payload"], "jsonl")
    assert (found.document is None) == (reason != "no_payment")


@pytest.mark.parametrize(
    ("status", "times", "end", "flags"),
    [
        ("delivered", (BOUGHT, APPROVED, LEFT, CAME), "delivered", ()),
        ("delivered", (BOUGHT, "", LEFT, CAME), "delivered", ("never_approved",)),
        ("delivered", (BOUGHT, APPROVED, LEFT, ""), "delivered", ("delivered_without_a_time",)),
        ("delivered", (BOUGHT, LEFT, APPROVED, CAME), "delivered", ("handed_over_before_approval",)),
        ("delivered", (BOUGHT, APPROVED, CAME, LEFT), "delivered", ("delivered_before_it_was_handed_over",)),
        (
            "delivered", (APPROVED, LEFT, BOUGHT, CAME), "delivered",
            ("handed_over_before_it_was_bought", "handed_over_before_approval"),
        ),
        ("shipped", (BOUGHT, APPROVED, LEFT, ""), "in transit", ()),
        ("invoiced", (BOUGHT, APPROVED, "", ""), "open", ()),
        ("canceled", (BOUGHT, APPROVED, "", ""), "cancelled", ()),
        ("canceled", (BOUGHT, APPROVED, LEFT, ""), "in transit", ("cancelled_after_it_was_handed_over",)),
        ("unavailable", (BOUGHT, APPROVED, "", ""), "cancelled", ()),
    ],
)  # fmt: skip
def test_a_journey_ends_where_the_source_says_and_odd_times_are_kept(
    shop: Shop, status: str, times: tuple[str, str, str, str], end: str, flags: tuple[str, ...]
) -> None:
    shop.order("o", [Sold("1.00")], [Paid("1.00")], status=status, times=times)
    order = shop.imported().only(HistoricOrder)
    assert order.journey is not None
    assert (order.journey.end, order.flags) == (end, flags)
    assert (order.journey.handed_over_at is not None) == bool(times[2])
    assert (order.journey.delivered_at is not None) == bool(times[3])


def test_postal_codes_get_their_leading_zeros_back(shop: Shop) -> None:
    shop.order("o", [Sold("1.00")], [Paid("1.00")], postal_code="1001")
    came = shop.imported()
    assert came.only(HistoricOrder).postal_code == "01001"
    assert came.summary.notes["postal codes whose leading zeros were mended"] == 1


@pytest.mark.parametrize(
    ("file", "cells", "reason"),
    [
        ("olist_orders_dataset.csv", ("x", hexed("c"), "delivered", BOUGHT, "", "", "", ""), "order_id"),
        ("olist_orders_dataset.csv", (hexed("n"), hexed("c"), "lost", BOUGHT, "", "", "", ""), "[ends]"),
        ("olist_orders_dataset.csv", (hexed("n"), hexed("c"), "delivered", "1/2/18", "", "", "", ""), "timestamp"),
        ("olist_order_items_dataset.csv", (hexed("o"), "1", "p", hexed("s"), "", "1", "1"), "product_id"),
        ("olist_order_items_dataset.csv", (hexed("o"), "1", hexed("p"), hexed("s"), "", "1e3", "1"), "price"),
        ("olist_order_items_dataset.csv", (hexed("o"), "1", hexed("p"), hexed("s"), "", "-1", "1"), "price"),
        ("olist_order_items_dataset.csv", (hexed("o"), "1", hexed("p"), hexed("s"), "", "0.001", "1"), "price"),
        ("olist_order_payments_dataset.csv", (hexed("o"), "1", "", "1", "1"), "payment_type"),
        ("olist_order_payments_dataset.csv", (hexed("o"), "1", "card", "x", "1"), "payment_installments"),
        ("olist_order_payments_dataset.csv", (hexed("o"), "1", "card", "1", "NaN"), "payment_value"),
        ("olist_order_payments_dataset.csv", (hexed("z"), "1", "card", "1", "1"), "no such order"),
        ("olist_customers_dataset.csv", ("", "u", "1", "c", "SP"), "its id is empty"),
        ("olist_customers_dataset.csv", (hexed("c"), "u", "1", "c"), "number of cells"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_is_rejected_and_the_others_count(
    shop: Shop, file: str, cells: tuple[str, ...], reason: str
) -> None:
    shop.order("o", [Sold("1.00")], [Paid("1.00")])
    shop.add(file, *cells)
    came = shop.imported()
    assert reason in came.only(Rejected).reason
    assert came.only(HistoricOrder).total == 100


def test_an_order_that_stands_twice_is_rejected(shop: Shop) -> None:
    shop.order("o", [Sold("1.00")], [Paid("1.00")])
    shop.add("olist_orders_dataset.csv", *shop.rows["olist_orders_dataset.csv"][0])
    came = shop.imported()
    assert {x.reason for x in came.all(Rejected)} == {
        "the order stands in the orders' file several times"
    }


def test_without_one_of_its_files_nothing_is_imported(shop: Shop) -> None:
    shop.order("o", [Sold("1.00")], [Paid("1.00")])
    with pytest.raises(SourceError, match="olist_order_payments_dataset"):
        shop.imported(without="olist_order_payments_dataset.csv")


DATA = Path(os.environ.get("OMS_DATA") or Path(__file__).parents[4] / "shared" / "data")
ARCHIVE = DATA / "olist.tar.xz"


@pytest.mark.slow
@pytest.mark.skipif(not ARCHIVE.exists(), reason=f"no {ARCHIVE.name} in ../shared/data or OMS_DATA")
def test_the_whole_archive_comes_out_to_the_row_and_to_the_centavo() -> None:
    run = Import(ARCHIVE, Olist())
    records = list(run)
    books = run.summary

    notes = books.notes
    assert notes["BRL minor units: items"] == 186_497_457
    assert notes["BRL minor units: freight"] == 31_297_814
    assert notes["BRL minor units: payments"] == 218_452_549
    orders = [x for x in records if isinstance(x, HistoricOrder)]
    refused = [x for x in records if isinstance(x, RefusedOrder)]
    assert len(orders) + len(refused) == len({x.external_id for x in [*orders, *refused]}) == 13_606

    differences = [
        sum(x.total for x in o.charges if x.kind in ("rounding", "interest")) for o in orders
    ]
    assert sum(d == 0 for d in differences) == 13_481
    assert sum(0 < abs(d) <= 5 for d in differences) == 54
    assert sum(d > 5 for d in differences) == 31
    assert all(o.total == sum(t.amount for t in o.tenders) for o in orders)
    reasons = [x.reason for x in refused]
    assert {r: reasons.count(r) for r in reasons} == {
        "payments_differ": 36 - 31,
        "no_items": 34,
        "no_payment": 1,
    }
    assert {k: t.rows for k, t in books.outcomes.items()} == {
        Outcome.ORDER_ROW: 13_566,
        Outcome.ORDER_LINE: 15_592,
        Outcome.PAYMENT: 14_121,
        Outcome.REFUSED: 69,
        Outcome.REFUSED_PAYMENT: 40,
        Outcome.REFERENCE: 49_723,
    }
    ends = [o.journey.end for o in orders if o.journey]
    assert {e: ends.count(e) for e in ends} == {
        "delivered": 13_477,
        "in transit": 43,
        "open": 23,
        "cancelled": 23,
    }
    assert notes["postal codes whose leading zeros were mended"] == 3_263
    assert len({x.key() for x in records}) == len(records)
    assert all(problems(translate.order(o)) == [] for o in orders)


def test_a_source_is_told_by_the_names_of_its_files(shop: Shop, tmp_path: Path) -> None:
    shop.order("o", [Sold("1.00")], [Paid("1.00")])
    shop.imported()
    assert mapping_of(tmp_path) == "olist"
    other = tmp_path / "other" / "day.csv"
    other.parent.mkdir()
    other.write_text("InvoiceNo\n")
    assert mapping_of(other) == "online-retail"
    with pytest.raises(SourceError, match="no such file"):
        mapping_of(tmp_path / "nothing")
