"""Hand-made Online Retail files: given rows, when imported, then look at the records."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple, TypeVar

from ops.importer import Import, Summary
from ops.importer.online_retail import OnlineRetail
from ops.importer.records import AnyRecord

HEADER = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
MONDAY = "2010-12-06 09:00:00"
TUESDAY = "2010-12-07 09:00:00"

RecordT = TypeVar("RecordT")


def row(
    invoice: str,
    sku: str,
    quantity: int | str = 1,
    price: str = "1.0",
    *,
    at: str = MONDAY,
    customer: str = "17850.0",
    name: str = "THING",
    country: str = "United Kingdom",
) -> tuple[str, ...]:
    """One CSV row, as the source writes it."""
    return (invoice, sku, name, str(quantity), at, price, customer, country)


class Imported(NamedTuple):
    """What came of it."""

    records: list[AnyRecord]
    summary: Summary

    def only(self, kind: type[RecordT]) -> RecordT:
        """The one record of a kind."""
        (found,) = self.all(kind)
        return found

    def all(self, kind: type[RecordT]) -> list[RecordT]:
        """Every record of a kind, in order."""
        return [record for record in self.records if isinstance(record, kind)]


def csv_text(rows: list[tuple[str, ...]], header: tuple[str, ...] = HEADER) -> str:
    """Rows as a CSV file's text."""
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    return out.getvalue()


def import_from(source: Path) -> Imported:
    """Import everything and prove the books."""
    run = Import(source, OnlineRetail())
    records = list(run)
    return Imported(records, run.summary)


def imported(folder: Path, *rows: tuple[str, ...]) -> Imported:
    """Import hand-made rows."""
    file = folder / "day.csv"
    file.write_text(csv_text(list(rows)), encoding="utf-8")
    return import_from(file)
