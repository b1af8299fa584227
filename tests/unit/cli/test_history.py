"""Real orders as commands: every record has one meaning, and the same record is the same command again."""

from pathlib import Path

import pytest

from ops.demo.history import translate
from ops.demo.history.survey import RECEIPT_LINES, Survey, survey
from ops.importer import Import
from ops.importer.records import AnyRecord, Cancellation, HistoricOrder, Item, Return, StockMovement
from ops.importer.registry import mapping_named
from services.order.domain.placing import problems
from shared.events import Charge
from shared.events.inventory import AdjustStock, ReceiveStock
from shared.events.shares import order_total

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
ROWS = """\
536365,85123A,HEART,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
536365,71053,LANTERN,6,2010-12-01 08:26:00,3.39,17850.0,United Kingdom
536365,POST,POSTAGE,1,2010-12-01 08:26:00,18.00,17850.0,United Kingdom
536365,D,Discount,-1,2010-12-01 08:26:00,2.00,17850.0,United Kingdom
536366,22633,WARMER,6,2010-12-01 08:28:00,0.001,,Channel Islands
536367,22633,WARMER,2,2010-12-01 09:00:00,1.85,13047.0,United Kingdom
536368,22633,damaged,-3,2010-12-01 09:30:00,0.0,,United Kingdom
536369,22633,rcvd,5,2010-12-01 09:40:00,0.0,,United Kingdom
C536370,22633,WARMER,-2,2010-12-01 10:00:00,1.85,13047.0,United Kingdom
C536371,71053,LANTERN,-1,2010-12-03 10:00:00,3.39,17850.0,United Kingdom
C536372,85123A,HEART,-1,2010-12-01 10:00:00,2.55,17850.0,United Kingdom
"""


@pytest.fixture
def records(tmp_path: Path) -> list[AnyRecord]:
    file = tmp_path / "retail.csv"
    file.write_text(HEADER + ROWS)
    return list(Import(file, mapping_named("online-retail")))


def orders(records: list[AnyRecord]) -> dict[str, HistoricOrder]:
    return {x.external_id: x for x in records if isinstance(x, HistoricOrder)}


def test_orders_are_valid_and_cost_what_the_source_says(records: list[AnyRecord]) -> None:
    for record in orders(records).values():
        command = translate.order(record)
        assert problems(command) == []
        assert order_total(command.lines, command.charges) == record.total
        assert command.placed_at == record.placed_at
        assert command == translate.order(record)


def test_charges_are_fees_shipping_or_discounts_and_no_goods(records: list[AnyRecord]) -> None:
    command = translate.order(orders(records)["536365"])
    assert [x.sku for x in command.lines] == ["85123A", "71053"]
    assert command.charges == (
        Charge(kind="shipping", amount=1800, description="POST POSTAGE"),
        Charge(kind="discount", amount=200, description="D Discount"),
    )


def test_prices_below_the_minor_unit_stay_exact(records: list[AnyRecord]) -> None:
    (line,) = translate.order(orders(records)["536366"]).lines
    assert (line.unit_price, line.total, line.exact_unit_price) == (0, 1, "0.001")


def test_a_place_that_is_no_country_stays_as_text(records: list[AnyRecord]) -> None:
    address = translate.order(orders(records)["536366"]).ship_to
    assert (address.country, address.region) == ("", "Channel Islands")
    assert translate.order(orders(records)["536365"]).ship_to.country == "GB"


def test_movements_are_receipts_or_adjustments_with_their_reason(records: list[AnyRecord]) -> None:
    lost, came = (translate.movement(x, "AUTO") for x in records if isinstance(x, StockMovement))
    assert isinstance(lost, AdjustStock)
    assert (lost.lines[0].quantity, lost.reason) == (-3, "damaged: damaged")
    assert isinstance(came, ReceiveStock)
    assert came.lines[0].quantity == 5
    assert lost.movement_id != came.movement_id


def test_credits_become_returns_of_the_lines_that_they_name(records: list[AnyRecord]) -> None:
    (back,) = (x for x in records if isinstance(x, Return))
    asked, came, judged = (
        translate.request(back),
        translate.receipt(back, "AUTO"),
        translate.inspection(back),
    )
    assert asked.return_id == came.return_id == judged.return_id
    assert asked.order_id == translate.order(orders(records)["536365"]).order_id
    units = [("2", "71053", 1)]
    for lines in (asked.lines, came.lines, judged.lines):
        assert [(x.line_id, x.sku, x.quantity) for x in lines] == units
    assert {x.disposition for x in judged.lines} == {"restock"}


def test_return_ids_differ_by_document_order_and_kind(records: list[AnyRecord]) -> None:
    taken_back = [x for x in records if isinstance(x, Return | Cancellation)]
    assert len({translate.return_id(x) for x in taken_back}) == len(taken_back) == 3


def test_the_survey_knows_what_is_needed_before_the_first_order(records: list[AnyRecord]) -> None:
    found = survey(records)
    assert (found.orders, found.returns, found.movements) == (3, 3, 2)
    assert found.cancelled == {"536367"}, "536365 was taken back in part only"
    assert found.taken == {"85123A": 6, "71053": 6, "22633": 6 + 2 + 3}


def test_opening_stock_is_received_once_for_the_same_history() -> None:
    found = Survey(taken={f"S{n:05}": n + 1 for n in range(2 * RECEIPT_LINES + 1)})  # type: ignore[arg-type]
    receipts = found.receipts("c", "AUTO")
    assert [len(x.lines) for x in receipts] == [RECEIPT_LINES, RECEIPT_LINES, 1]
    assert receipts == found.receipts("c", "AUTO")
    assert len({x.movement_id for x in receipts}) == 3
    more = Survey(taken={**found.taken, "S00000": 99}).receipts("c", "AUTO")  # type: ignore[arg-type]
    assert more[0].movement_id != receipts[0].movement_id
    assert more[1:] == receipts[1:]


def test_items_carry_their_description(records: list[AnyRecord]) -> None:
    items = {x.sku: translate.item(x) for x in records if isinstance(x, Item)}
    assert items["71053"].description == "LANTERN"
