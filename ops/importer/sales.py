"""Invoices without a letter: orders, or stock that moved without one."""

from __future__ import annotations

from ops.importer.accounting import DocumentKind, Outcome, RowResult
from ops.importer.mapping import MappedDocument
from ops.importer.matching import Sale, SalesIndex
from ops.importer.money import price
from ops.importer.records import AnyRecord, Charge, HistoricOrder, OrderLine, StockMovement
from ops.importer.rows import SalesRow
from ops.importer.rules import Rules

_REJECTED = RowResult(Outcome.REJECTED)


class SaleMapper:
    """Maps one invoice at a time and remembers in ``index`` what could be credited later.

    An invoice is an order if a row of it has a positive quantity and price, or if it is unpriced
    but names a customer (a zero-price order). Row by row: positive rows of an order are its lines
    (unpriced ones free lines) or charges; unpriced rows that belong to no order, and unpriced
    negative rows, are stock movements; a negative priced charge on an order is a discount.
    """

    def __init__(self, rules: Rules, index: SalesIndex) -> None:
        self._rules = rules
        self._index = index

    def map(self, document: str, rows: list[SalesRow]) -> MappedDocument:
        """Map one invoice."""
        priced = _is_priced(rows)
        customer = _customer(rows)
        is_order = priced or customer is not None
        lines: list[OrderLine] = []
        charges: list[Charge] = []
        movements: list[AnyRecord] = []
        results: list[RowResult] = []
        rejected: list[tuple[int, str]] = []
        for index, row in enumerate(rows):
            line_id = str(index + 1)
            reason = self._refusal(row, priced)
            if reason is not None:
                rejected.append((index, reason))
                results.append(_REJECTED)
            elif row.unit_price == 0 and (row.quantity < 0 or not is_order):
                movements.append(self._movement(document, line_id, row))
                results.append(RowResult(Outcome.STOCK_MOVEMENT, row.quantity))
            elif self._rules.charge_kind(row.sku) is not None:
                results.append(self._charge(document, line_id, row, customer, charges))
            else:
                results.append(self._line(document, line_id, row, customer, lines))
        records = movements
        if lines or charges:
            order = self._order(document, rows, tuple(lines), tuple(charges))
            records = [order, *movements]
        kind = _kind(priced, bool(lines), bool(charges), bool(movements))
        return MappedDocument(
            kind, tuple(records), tuple(results), tuple(rejected), self._notes(records, rows)
        )

    def _refusal(self, row: SalesRow, priced: bool) -> str | None:
        if row.unit_price < 0:
            return "a negative price outside a bad-debt invoice"
        if row.quantity < 0 and row.unit_price > 0:
            if self._rules.charge_kind(row.sku) is None:
                return "goods taken back on a sale's invoice; a credit has an invoice of its own"
            if not priced:
                return "a discount on an invoice that sells nothing"
        return None

    def _line(
        self,
        document: str,
        line_id: str,
        row: SalesRow,
        customer: str | None,
        lines: list[OrderLine],
    ) -> RowResult:
        money = price(row.quantity, row.unit_price, self._rules.minor_digits)
        lines.append(
            OrderLine(
                line_id=line_id,
                sku=row.sku,
                source_sku=row.source_sku,
                description=row.description,
                quantity=row.quantity,
                unit_price=money.unit_price,
                total=money.total,
                exact_unit_price=money.exact_unit_price,
            )
        )
        self._remember(document, line_id, row, customer, money.total)
        outcome = Outcome.ORDER_LINE if row.unit_price > 0 else Outcome.FREE_LINE
        return RowResult(outcome, row.quantity, money.exact, money.total)

    def _charge(
        self,
        document: str,
        line_id: str,
        row: SalesRow,
        customer: str | None,
        charges: list[Charge],
    ) -> RowResult:
        money = price(row.quantity, row.unit_price, self._rules.minor_digits)
        charges.append(
            Charge(
                charge_id=line_id,
                code=row.source_sku,
                kind=self._rules.charge_kind(row.sku) or "manual",
                description=row.description,
                quantity=row.quantity,
                unit_price=money.unit_price,
                total=money.total,
                exact_unit_price=money.exact_unit_price,
            )
        )
        if row.quantity > 0:
            self._remember(document, line_id, row, customer, money.total)
        return RowResult(Outcome.CHARGE, row.quantity, money.exact, money.total)

    def _remember(
        self, document: str, line_id: str, row: SalesRow, customer: str | None, total: int
    ) -> None:
        if customer is not None:
            sale = Sale(document, line_id, row.unit_price, row.local.date(), row.quantity, total)
            self._index.add((customer, row.sku), sale)

    def _movement(self, document: str, line_id: str, row: SalesRow) -> StockMovement:
        return StockMovement(
            channel=self._rules.channel,
            external_id=document,
            line_id=line_id,
            sku=row.sku,
            quantity=row.quantity,
            reason=self._rules.movement_reason(row.description),
            note=row.description,
            at=row.at,
            stocked=self._rules.charge_kind(row.sku) is None,
        )

    def _order(
        self,
        document: str,
        rows: list[SalesRow],
        lines: tuple[OrderLine, ...],
        charges: tuple[Charge, ...],
    ) -> HistoricOrder:
        first = min(rows, key=lambda row: row.at)
        code = self._rules.countries.get(first.country)
        kind = "zero_price" if not _is_priced(rows) else "sale" if lines else "fee_only"
        flags = {
            "several_times": len({row.at for row in rows}) > 1,
            "several_customers": len({row.customer for row in rows}) > 1,
            "several_countries": len({row.country for row in rows}) > 1,
            "country_unknown": code is None,
            "country_not_one_country": code == "",
            first.time_flag or "": first.time_flag is not None,
        }
        return HistoricOrder(
            channel=self._rules.channel,
            external_id=document,
            kind=kind,
            customer_id=_customer(rows),
            country=code or None,
            country_text=first.country,
            placed_at=first.at,
            placed_local=first.local_text,
            zone=self._rules.zone,
            currency=self._rules.currency,
            lines=lines,
            charges=charges,
            flags=tuple(name for name, raised in flags.items() if raised),
        )

    def _notes(self, records: list[AnyRecord], rows: list[SalesRow]) -> dict[str, int]:
        notes: dict[str, int] = {}
        for record in records:
            if isinstance(record, HistoricOrder):
                skus = [line.sku for line in record.lines]
                notes = {f"orders flagged {flag}": 1 for flag in record.flags}
                notes["guest orders"] = int(record.customer_id is None)
                notes["orders with a SKU on several lines"] = int(len(set(skus)) < len(skus))
                notes["repeated equal rows kept as lines"] = len(rows) - len(set(rows))
                notes["lines with a price below the minor unit"] = sum(
                    line.exact_unit_price is not None for line in record.lines
                )
            elif isinstance(record, StockMovement):
                reason = f"movements: {record.reason}"
                notes[reason] = notes.get(reason, 0) + 1
                notes["movements of charge codes"] = notes.get(
                    "movements of charge codes", 0
                ) + int(not record.stocked)
        return {name: count for name, count in notes.items() if count}


def _is_priced(rows: list[SalesRow]) -> bool:
    return any(row.quantity > 0 and row.unit_price > 0 for row in rows)


def _customer(rows: list[SalesRow]) -> str | None:
    return next((row.customer for row in rows if row.customer), None)


def _kind(priced: bool, has_lines: bool, has_charges: bool, has_movements: bool) -> DocumentKind:
    if has_lines or has_charges:
        if not priced:
            return DocumentKind.ZERO_PRICE_ORDER
        return DocumentKind.ORDER if has_lines else DocumentKind.FEE_ONLY_ORDER
    return DocumentKind.STOCK_MOVEMENT if has_movements else DocumentKind.REJECTED
