"""The UCI Online Retail mapping.

What each kind of invoice becomes. Data in ``online_retail.toml``, rules in the docs.
"""

from __future__ import annotations

from collections.abc import Iterator

from ops.importer.accounting import DocumentKind, Outcome, RowResult
from ops.importer.catalogue import Catalogue
from ops.importer.credits import CreditMapper
from ops.importer.mapping import MappedDocument, Placed
from ops.importer.matching import SalesIndex
from ops.importer.money import price
from ops.importer.records import BadDebt, Item
from ops.importer.rows import SalesRow, parse_row
from ops.importer.rules import Rules
from ops.importer.sales import SaleMapper
from ops.importer.sources import RawRow


class OnlineRetail:
    """Implements ``mapping.Mapping`` for rows of the Online Retail table.

    One instance serves one import.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules.load("online_retail")
        self.channel = self.rules.channel
        self.currency = self.rules.currency
        self.minor_digits = self.rules.minor_digits
        self.encoding = self.rules.encoding
        columns = self.rules.columns
        self._columns = tuple(getattr(columns, name) for name in columns.__struct_fields__)
        self._catalogue = Catalogue(self.channel)
        index = SalesIndex(self.minor_digits)
        self._sales = SaleMapper(self.rules, index)
        self._credits = CreditMapper(self.rules, index)

    def columns_of(self, file: str) -> tuple[str, ...] | None:  # noqa: ARG002 - one table, whatever its files are called
        """See ``Mapping.columns_of``."""
        return self._columns

    def document_of(self, raw: RawRow) -> str:
        """See ``Mapping.document_of``."""
        return raw.cells[0].strip().upper().replace("\x00", "") if raw.fits else ""

    def parse(self, raw: RawRow) -> SalesRow:
        """See ``Mapping.parse``."""
        return parse_row(raw, self.rules)

    def place(self, row: SalesRow) -> Placed:
        """See ``Mapping.place``.

        Within one minute sales go before credits: "cancelled at once" has an earlier sale.
        """
        return Placed(row.document, row.at, 0 if self._prefix(row.document) is None else 1)

    def survey(self, row: SalesRow) -> None:
        """See ``Mapping.survey``."""
        if self.rules.charge_kind(row.sku) is None:
            sold = row.quantity > 0 and row.unit_price > 0
            self._catalogue.see(row.source_sku, row.description, sold=sold)

    def items(self) -> Iterator[Item]:
        """See ``Mapping.items``."""
        return self._catalogue.items()

    def notes(self) -> dict[str, int]:
        """See ``Mapping.notes``."""
        return self._catalogue.notes()

    def map_document(self, document: str, rows: list[SalesRow]) -> MappedDocument:
        """See ``Mapping.map_document``."""
        prefix = self._prefix(document)
        match prefix and self.rules.prefixes.get(prefix):
            case "credit":
                return self._credits.map(document, rows)
            case "bad_debt":
                return self._bad_debt(document, rows)
            case None if prefix is None:
                return self._sales.map(document, rows)
            case _:
                reason = f"invoice prefix {prefix!r} is not in the mapping's [prefixes]"
                return MappedDocument(
                    kind=DocumentKind.REJECTED,
                    records=(),
                    results=(RowResult(Outcome.REJECTED),) * len(rows),
                    rejected=tuple((index, reason) for index in range(len(rows))),
                )

    @staticmethod
    def _prefix(document: str) -> str | None:
        """Return what stands before an invoice's digits: its kind. A number alone is a sale."""
        prefix = document.rstrip("0123456789")
        return prefix or None

    def _bad_debt(self, document: str, rows: list[SalesRow]) -> MappedDocument:
        records, results = [], []
        for number, row in enumerate(rows, start=1):
            priced = price(row.quantity, row.unit_price, self.minor_digits)
            results.append(RowResult(Outcome.BAD_DEBT, 0, priced.exact, priced.total))
            records.append(
                BadDebt(
                    channel=self.channel,
                    external_id=document,
                    line_id=str(number),
                    description=row.description,
                    amount=priced.total,
                    at=row.at,
                    currency=self.currency,
                )
            )
        return MappedDocument(DocumentKind.BAD_DEBT, tuple(records), tuple(results))
