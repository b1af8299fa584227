"""Where every row went.

One outcome each, in rows, units and exact money, and the proof that nothing is missing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from ops.importer.money import to_major
from ops.importer.records import (
    BadDebt,
    Credit,
    HistoricOrder,
    Record,
    RefusedOrder,
    Unmatched,
)


class AccountingError(Exception):
    """The books of an import do not balance: a defect of the mapping, never of the data."""


class Outcome(StrEnum):
    """What became of a row. Every row has exactly one."""

    ORDER_LINE = "order line"
    FREE_LINE = "free line of an order"
    CHARGE = "charge of an order"
    ORDER_ROW = "order"
    PAYMENT = "payment of an order"
    REFUSED = "refused with its order"
    REFUSED_PAYMENT = "payment refused with its order"
    STOCK_MOVEMENT = "stock movement"
    RETURNED = "credit: returned"
    CANCELLED = "credit: cancelled"
    CHARGE_REFUNDED = "credit: charge refunded"
    PARTLY_MATCHED = "credit: partly matched"
    UNMATCHED = "credit: unmatched"
    BAD_DEBT = "bad debt"
    REFERENCE = "reference"
    REJECTED = "rejected"


CREDITS = frozenset(
    {
        Outcome.RETURNED,
        Outcome.CANCELLED,
        Outcome.CHARGE_REFUNDED,
        Outcome.PARTLY_MATCHED,
        Outcome.UNMATCHED,
    }
)
SALES = frozenset({Outcome.ORDER_LINE, Outcome.FREE_LINE, Outcome.CHARGE, Outcome.ORDER_ROW})


class DocumentKind(StrEnum):
    """What became of a document (an invoice). Every document has exactly one."""

    ORDER = "order"
    FEE_ONLY_ORDER = "fee-only order"
    ZERO_PRICE_ORDER = "zero-price order"
    STOCK_MOVEMENT = "stock movement"
    CREDIT = "credit"
    BAD_DEBT = "bad debt"
    REFUSED_ORDER = "order refused"
    REFERENCE = "reference"
    REJECTED = "rejected"


class RowResult(NamedTuple):
    """One row's outcome.

    ``exact`` is quantity × price in major units, ``minor`` the same as booked, both signed.
    """

    outcome: Outcome
    units: int = 0
    exact: Decimal = Decimal(0)
    minor: int = 0


@dataclass
class Tally:
    """A line of an accounting table.

    ``residue`` is what rounding to minor units left over, in major units.
    """

    documents: int = 0
    rows: int = 0
    units: int = 0
    exact: Decimal = Decimal(0)
    minor: int = 0

    def residue(self, digits: int) -> Decimal:
        """Return exact − booked, in major units."""
        return self.exact - to_major(self.minor, digits)

    def as_dict(self, digits: int) -> dict[str, Any]:
        """Return JSON-ready values; exact amounts are decimal strings in major units."""
        return {
            "documents": self.documents,
            "rows": self.rows,
            "units": self.units,
            "exact_amount": format(self.exact, "f"),
            "minor_amount": self.minor,
            "residue": format(self.residue(digits), "f"),
        }


@dataclass
class Summary:
    """The books of one import.

    ``check()`` proves them; ``as_dict()`` is JSON; ``table.render`` draws them.
    """

    channel: str
    currency: str
    minor_digits: int
    rows_read: int = 0
    outcomes: dict[Outcome, Tally] = field(default_factory=dict)
    documents: dict[DocumentKind, Tally] = field(default_factory=dict)
    records: dict[str, Tally] = field(default_factory=dict)
    rejections: Counter[str] = field(default_factory=Counter)
    first_rejected: dict[str, str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    tendered: int = 0

    @property
    def useless(self) -> bool:
        """Whether there were rows, and none of them could be used."""
        return self.outcomes.keys() == {Outcome.REJECTED}

    def reject(self, file: str, line: int, reason: str) -> None:
        """Count a row that cannot be used, and keep where the first of its kind stands."""
        self.rejections[reason] += 1
        self.first_rejected.setdefault(reason, f"{file}, line {line}")

    def count_document(
        self, kind: DocumentKind, results: list[RowResult], notes: dict[str, int]
    ) -> None:
        """Book one document and all of its rows."""
        document = self.documents.setdefault(kind, Tally())
        document.documents += 1
        for result in results:
            for tally in (document, self.outcomes.setdefault(result.outcome, Tally())):
                tally.rows += 1
                tally.units += result.units
                tally.exact += result.exact
                tally.minor += result.minor
        for outcome in {result.outcome for result in results}:
            self.outcomes[outcome].documents += 1
        self.notes.update(notes)

    def count_record(self, record: Record) -> None:
        """Book what was handed out, independently of the rows it came from."""
        tag = str(record.__struct_config__.tag)
        match record:
            case HistoricOrder():
                label, units, minor = (
                    f"order: {record.kind}",
                    sum(x.quantity for x in record.lines),
                    record.total,
                )
                rows = len(record.lines) + len(record.charges)
                self.tendered += sum(x.amount for x in record.tenders)
            case Credit():
                label, units, minor = tag, -sum(x.quantity for x in record.lines), -record.amount
                rows = len(record.lines)
            case Unmatched():
                label, rows, units, minor = (
                    f"{tag}: {record.reason}",
                    1,
                    -record.quantity,
                    -record.amount,
                )
            case RefusedOrder():
                order = record.order
                label, rows, minor = f"{tag}: {record.reason}", 1, order.total
                units = sum(x.quantity for x in order.lines)
            case BadDebt():
                label, rows, units, minor = tag, 1, 0, record.amount
            case _:
                label, rows, units, minor = tag, 1, 0, 0
        tally = self.records.setdefault(label, Tally())
        tally.documents += 1
        tally.rows += rows
        tally.units += units
        tally.minor += minor
        tally.exact += to_major(minor, self.minor_digits)

    @property
    def orders(self) -> int:
        """Orders with something to pay: with goods or fee-only."""
        kinds = (DocumentKind.ORDER, DocumentKind.FEE_ONLY_ORDER)
        return sum(self.documents[kind].documents for kind in kinds if kind in self.documents)

    def sales(self) -> Tally:
        """Everything booked on orders: lines, free lines and charges."""
        return self._sum(SALES)

    def credits(self) -> Tally:
        """Everything booked on credit documents, matched or not."""
        return self._sum(CREDITS)

    def _sum(self, wanted: frozenset[Outcome]) -> Tally:
        total = Tally()
        for outcome, tally in self.outcomes.items():
            if outcome in wanted:
                total.rows += tally.rows
                total.units += tally.units
                total.exact += tally.exact
                total.minor += tally.minor
        kinds = (
            (DocumentKind.CREDIT,)
            if wanted is CREDITS
            else (DocumentKind.ORDER, DocumentKind.FEE_ONLY_ORDER, DocumentKind.ZERO_PRICE_ORDER)
        )
        total.documents = sum(
            self.documents[kind].documents for kind in kinds if kind in self.documents
        )
        return total

    def check(self) -> None:
        """Raise AccountingError unless rows and money, each counted in two ways, balance."""
        by_outcome = sum(tally.rows for tally in self.outcomes.values())
        by_document = sum(tally.rows for tally in self.documents.values())
        orders = sum(t.minor for label, t in self.records.items() if label.startswith("order: "))
        credit_labels = ("return", "cancellation", "charge_refund", "unmatched")
        paid_back = sum(
            t.minor for label, t in self.records.items() if label.startswith(credit_labels)
        )
        credit_units = sum(
            t.units for label, t in self.records.items() if label.startswith(credit_labels)
        )
        claims = {
            "rows read = rows with an outcome": (self.rows_read, by_outcome),
            "rows read = rows of documents": (self.rows_read, by_document),
            "money of order rows = money of orders": (self.sales().minor, orders),
            "money of payment rows = tenders of orders": (
                self.outcomes.get(Outcome.PAYMENT, Tally()).minor,
                self.tendered,
            ),
            "money of credit rows = money of credits and unmatched": (
                self.credits().minor,
                paid_back,
            ),
            "units of credit rows = units of credits and unmatched": (
                self.credits().units,
                credit_units,
            ),
        }
        for claim, (left, right) in claims.items():
            if left != right:
                raise AccountingError(
                    f"{self.channel}: {claim} does not hold: {left} ≠ {right}; mend the mapping"
                )

    def as_dict(self) -> dict[str, Any]:
        """Return the whole account, JSON-ready."""
        digits = self.minor_digits
        return {
            "channel": self.channel,
            "currency": self.currency,
            "rows": self.rows_read,
            "documents": sum(tally.documents for tally in self.documents.values()),
            "orders": self.orders,
            "sales": self.sales().as_dict(digits),
            "credits": self.credits().as_dict(digits),
            "by_outcome": {
                k.value: self.outcomes[k].as_dict(digits) for k in Outcome if k in self.outcomes
            },
            "by_document": {
                k.value: self.documents[k].as_dict(digits)
                for k in DocumentKind
                if k in self.documents
            },
            "by_record": {label: t.as_dict(digits) for label, t in sorted(self.records.items())},
            "rejections": dict(sorted(self.rejections.items())),
            "first_rejected": dict(sorted(self.first_rejected.items())),
            "notes": dict(sorted(self.notes.items())),
        }
