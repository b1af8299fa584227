"""Credit invoices.

Goods and charges taken back from the customer's earlier orders, or kept as unmatched.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from ops.importer.accounting import DocumentKind, Outcome, RowResult
from ops.importer.mapping import MappedDocument
from ops.importer.matching import Asked, Match, SalesIndex
from ops.importer.money import price
from ops.importer.records import (
    AnyRecord,
    Cancellation,
    ChargeRefund,
    CreditLine,
    Return,
    Unmatched,
)
from ops.importer.rows import SalesRow
from ops.importer.rules import Rules

_CreditType = type[Cancellation] | type[Return] | type[ChargeRefund]
_Found = dict[tuple[_CreditType, str], list[CreditLine]]


class _Invoice(NamedTuple):
    """What all rows of a credit invoice share."""

    document: str
    customer: str | None
    at: datetime


class CreditMapper:
    """Maps one credit invoice at a time, using up in ``index`` what it takes back."""

    def __init__(self, rules: Rules, index: SalesIndex) -> None:
        self._rules = rules
        self._index = index

    def map(self, document: str, rows: list[SalesRow]) -> MappedDocument:
        """Map one credit invoice.

        One record per order touched and kind, one per unmatched remainder.
        """
        customer = next((row.customer for row in rows if row.customer), None)
        invoice = _Invoice(document, customer, min(row.at for row in rows))
        found: _Found = {}
        unmatched: list[Unmatched] = []
        results: list[RowResult] = []
        rejected: list[tuple[int, str]] = []
        for index, row in enumerate(rows):
            if row.quantity > 0 or row.unit_price < 0:
                rejected.append(
                    (index, "a credit row needs a negative quantity and no negative price")
                )
                results.append(RowResult(Outcome.REJECTED))
                continue
            money = price(row.quantity, row.unit_price, self._rules.minor_digits)
            match = self._match(row, customer, -money.total)
            line_id = str(index + 1)
            kinds = self._file(match, line_id, row.sku, found)
            rest = list(self._rest(invoice, line_id, row, match))
            unmatched += rest
            results.append(
                RowResult(_outcome(kinds, bool(rest)), row.quantity, money.exact, money.total)
            )
        records = chain(self._credits(invoice, found), unmatched)
        notes = {"credits of several orders": 1} if len({order for _, order in found}) > 1 else {}
        kind = DocumentKind.CREDIT if len(rejected) < len(rows) else DocumentKind.REJECTED
        return MappedDocument(kind, tuple(records), tuple(results), tuple(rejected), notes)

    def _match(self, row: SalesRow, customer: str | None, minor: int) -> Match:
        units = -row.quantity
        if customer is None:
            return Match([], units, minor, known=False)
        is_charge = self._rules.charge_kind(row.sku) is not None
        asked = Asked(units, row.unit_price, minor, row.local.date(), same_price_only=is_charge)
        return self._index.take((customer, row.sku), asked)

    def _file(self, match: Match, line_id: str, sku: str, found: _Found) -> set[_CreditType]:
        """Put the matched parts under the order and the kind of credit that they belong to."""
        is_charge = self._rules.charge_kind(sku) is not None
        kinds: set[_CreditType] = set()
        for part in match.parts:
            kind: _CreditType = Return
            if is_charge:
                kind = ChargeRefund
            elif part.days <= self._rules.cancellation_days_max:
                kind = Cancellation
            kinds.add(kind)
            found.setdefault((kind, part.order_id), []).append(
                CreditLine(
                    line_id=line_id,
                    order_line_id=part.line_id,
                    sku=sku,
                    quantity=part.quantity,
                    amount=part.minor,
                )
            )
        return kinds

    def _credits(self, invoice: _Invoice, found: _Found) -> Iterator[AnyRecord]:
        for (kind, order_id), lines in found.items():
            assert invoice.customer is not None, "only a customer's credit can match"
            yield kind(
                channel=self._rules.channel,
                external_id=invoice.document,
                order_external_id=order_id,
                customer_id=invoice.customer,
                at=invoice.at,
                currency=self._rules.currency,
                lines=tuple(lines),
            )

    def _rest(
        self, invoice: _Invoice, line_id: str, row: SalesRow, match: Match
    ) -> Iterator[Unmatched]:
        """Yield what stays unmatched.

        Units without a sale with their money, and money above the price paid.
        """
        for_units = min(match.minor_left, self._worth(match.quantity_left, row))
        remainders = []
        if match.quantity_left:
            remainders.append(
                (self._reason(row, invoice.customer, match), match.quantity_left, for_units)
            )
        else:
            for_units = 0
        if match.minor_left > for_units:
            remainders.append(("above_price_paid", 0, match.minor_left - for_units))
        for reason, quantity, amount in remainders:
            yield Unmatched(
                channel=self._rules.channel,
                external_id=invoice.document,
                line_id=line_id,
                reason=reason,
                code=row.source_sku,
                description=row.description,
                quantity=quantity,
                amount=amount,
                customer_id=invoice.customer,
                at=invoice.at,
                currency=self._rules.currency,
            )

    def _worth(self, units: int, row: SalesRow) -> int:
        return price(units, row.unit_price, self._rules.minor_digits).total

    def _reason(self, row: SalesRow, customer: str | None, match: Match) -> str:
        if customer is None:
            return "no_customer"
        kind = self._rules.charge_kind(row.sku)
        if kind == "discount":
            return "discount_names_no_order"
        if kind is not None:
            return "no_equal_earlier_charge"
        return "exceeds_earlier_sales" if match.known else "no_earlier_sale"


def _outcome(kinds: set[_CreditType], has_rest: bool) -> Outcome:
    """One outcome for the row; a row split between cancellation and return counts as returned."""
    if not kinds:
        return Outcome.UNMATCHED
    if has_rest:
        return Outcome.PARTLY_MATCHED
    if ChargeRefund in kinds:
        return Outcome.CHARGE_REFUNDED
    return Outcome.RETURNED if Return in kinds else Outcome.CANCELLED
