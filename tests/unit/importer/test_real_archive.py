"""The real Online Retail archive, every figure of it."""

import os
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from ops.importer import Import
from ops.importer.accounting import DocumentKind, Outcome
from ops.importer.online_retail import OnlineRetail
from ops.importer.records import HistoricOrder

DATA = Path(os.environ.get("OMS_DATA") or Path(__file__).parents[4] / "shared" / "data")
ARCHIVE = DATA / "uci_online_retail.tar.xz"


@pytest.mark.slow
@pytest.mark.skipif(not ARCHIVE.exists(), reason=f"no {ARCHIVE.name} in ../shared/data or OMS_DATA")
def test_the_whole_archive_comes_out_to_the_row_and_to_the_penny() -> None:
    run = Import(ARCHIVE, OnlineRetail())
    kinds: Counter[str] = Counter()
    keys = set()
    records = 0
    for record in run:
        records += 1
        keys.add(record.key())
        if isinstance(record, HistoricOrder):
            kinds[record.kind] += 1
            assert record.lines or record.charges
    books = run.summary

    assert books.rows_read == 245_903
    assert sum(tally.rows for tally in books.outcomes.values()) == 245_903
    assert {kind: tally.documents for kind, tally in books.documents.items()} == {
        DocumentKind.ORDER: 9_600,
        DocumentKind.FEE_ONLY_ORDER: 59,
        DocumentKind.ZERO_PRICE_ORDER: 1,
        DocumentKind.STOCK_MOVEMENT: 371 + 758,
        DocumentKind.CREDIT: 2_006,
    }
    assert sum(tally.documents for tally in books.documents.values()) == 12_795
    assert books.orders == 9_659
    assert kinds == {"sale": 9_600, "fee_only": 59, "zero_price": 1}

    assert books.sales().exact == Decimal("4826466.491")
    assert books.sales().minor == 482_646_649
    assert books.sales().residue(2) == Decimal("0.001")
    assert books.credits().exact == Decimal("-428515.73")
    assert books.credits().minor == -42_851_573
    assert Outcome.REJECTED not in books.outcomes
    assert {outcome: tally.rows for outcome, tally in books.outcomes.items()} == ROWS_BY_OUTCOME
    assert {
        label: -tally.minor
        for label, tally in books.records.items()
        if label in MONEY_BACK or label.startswith("unmatched")
    } == MONEY_BACK
    assert sum(MONEY_BACK.values()) == 42_851_573
    assert len(keys) == records == 17_419


ROWS_BY_OUTCOME = {
    Outcome.ORDER_LINE: 238_743,
    Outcome.FREE_LINE: 343,
    Outcome.CHARGE: 1_188,
    Outcome.STOCK_MOVEMENT: 1_135,
    Outcome.RETURNED: 2_864,
    Outcome.CANCELLED: 311,
    Outcome.CHARGE_REFUNDED: 28,
    Outcome.PARTLY_MATCHED: 96,
    Outcome.UNMATCHED: 1_195,
}
MONEY_BACK = {
    "cancellation": 8_789_005,
    "return": 7_504_421,
    "charge_refund": 1_092_102,
    "unmatched: above_price_paid": 22_016,
    "unmatched: discount_names_no_order": 363_267,
    "unmatched: exceeds_earlier_sales": 73_196,
    "unmatched: no_customer": 16_321_133,
    "unmatched: no_earlier_sale": 1_798_017,
    "unmatched: no_equal_earlier_charge": 6_888_416,
}
