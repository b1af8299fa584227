"""The Olist mapping.

What the rows of an order become. Data in ``olist.toml``, rules in the docs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import NamedTuple

from ops.importer.accounting import AccountingError, DocumentKind, Outcome, RowResult
from ops.importer.mapping import MappedDocument, Placed
from ops.importer.money import to_major
from ops.importer.olist_rows import (
    End,
    ItemRow,
    OlistRow,
    OlistRules,
    OrderRow,
    PaymentRow,
    ReferenceRow,
    parse_row,
)
from ops.importer.records import (
    Charge,
    HistoricOrder,
    Item,
    Journey,
    OrderLine,
    RefusedOrder,
    Tender,
)
from ops.importer.sources import RawRow, SourceError

#: Hexadecimal digits of a product's and a seller's id that make an offer's SKU.
PRODUCT_DIGITS, SELLER_DIGITS = 16, 8
NEEDED = ("orders", "items", "payments")


class Buyer(NamedTuple):
    """Who ordered, and from where."""

    customer: str
    postal_code: str
    city: str
    state: str


class Olist:
    """Implements ``mapping.Mapping`` for the Olist files.

    One instance serves one import.
    """

    def __init__(self, rules: OlistRules | None = None) -> None:
        self.rules = rules or OlistRules.load()
        self.channel = self.rules.channel
        self.currency = self.rules.currency
        self.minor_digits = self.rules.minor_digits
        self.encoding = self.rules.encoding
        self._buyers: dict[str, Buyer] = {}
        self._categories: dict[str, str] = {}
        self._products: dict[str, str] = {}
        self._offers: dict[str, tuple[str, str]] = {}
        self._seen: set[str] = set()
        self._counts: Counter[str] = Counter()

    def columns_of(self, file: str) -> tuple[str, ...] | None:
        """See ``Mapping.columns_of``."""
        table = self.rules.table_of(file)
        if not table:
            return None
        self._seen.add(table)
        return self.rules.tables[table].columns

    def document_of(self, raw: RawRow) -> str:
        """See ``Mapping.document_of``."""
        key = raw.cells[0].strip().replace("\x00", "") if raw.fits else ""
        table = self.rules.table_of(raw.file)
        return key if table in NEEDED else f"{table}:{key}"

    def parse(self, raw: RawRow) -> OlistRow:
        """See ``Mapping.parse``."""
        return parse_row(raw, self.rules)

    def place(self, row: OlistRow) -> Placed:
        """See ``Mapping.place``."""
        return Placed(row.document, row.purchased.at if isinstance(row, OrderRow) else None)

    def survey(self, row: OlistRow) -> None:
        """See ``Mapping.survey``."""
        match row:
            case ItemRow():
                sku = sku_of(row)
                if self._offers.setdefault(sku, (row.product, row.seller)) != (
                    row.product,
                    row.seller,
                ):
                    raise AccountingError(
                        f"{self.channel}: two offers would share the SKU {sku}; use more digits of the ids"
                    )
                self._counts[f"{self.currency} minor units: items"] += row.price
                self._counts[f"{self.currency} minor units: freight"] += row.freight
            case PaymentRow():
                self._counts[f"{self.currency} minor units: payments"] += row.amount
            case ReferenceRow():
                self._learn(row.table, row.cells)
            case _:
                pass

    def _learn(self, table: str, cells: tuple[str, ...]) -> None:
        match table:
            case "customers":
                id, customer, postal_code, city, state = cells
                mended = postal_code.zfill(self.rules.postal_code_digits) if postal_code else ""
                self._counts["postal codes whose leading zeros were mended"] += (
                    mended != postal_code
                )
                self._buyers[id] = Buyer(customer, mended, city, state)
            case "products":
                self._products[cells[0]] = cells[1]
            case "categories":
                self._categories[cells[0]] = cells[1]
            case _:
                pass

    def items(self) -> Iterator[Item]:
        """See ``Mapping.items``. Raises SourceError when a file is missing without which no order can be judged."""
        if missing := [self.rules.tables[name].file for name in NEEDED if name not in self._seen]:
            raise SourceError(
                f"no {', '.join(missing)}: give the folder or archive that holds all Olist files"
            )
        for sku, (product, seller) in sorted(self._offers.items()):
            yield Item(
                channel=self.channel,
                sku=sku,
                description=self._description(product),
                source_skus=(f"{product}/{seller}",),
                location=seller,
            )

    def _description(self, product: str) -> str:
        category = self._products.get(product, "")
        return self._categories.get(category, category).replace("_", " ") or product

    def notes(self) -> dict[str, int]:
        """See ``Mapping.notes``."""
        offers = self._offers.values()
        sellers = Counter(product for product, _ in offers)
        return {
            **{name: count for name, count in self._counts.items() if count},
            "offers (SKUs)": len(self._offers),
            "sellers (locations)": len({seller for _, seller in offers}),
            "products of several sellers": sum(n > 1 for n in sellers.values()),
        }

    def map_document(self, document: str, rows: list[OlistRow]) -> MappedDocument:
        """See ``Mapping.map_document``."""
        if isinstance(rows[0], ReferenceRow):
            results = (RowResult(Outcome.REFERENCE),) * len(rows)
            return MappedDocument(DocumentKind.REFERENCE, (), results)
        headers = [row for row in rows if isinstance(row, OrderRow)]
        if len(headers) != 1:
            reason = (
                "the order stands in the orders' file several times"
                if headers
                else "no such order in the orders' file"
            )
            return MappedDocument(
                DocumentKind.REJECTED,
                (),
                (RowResult(Outcome.REJECTED),) * len(rows),
                tuple((index, reason) for index in range(len(rows))),
            )
        return self._order(document, headers[0], rows)

    def _order(self, document: str, header: OrderRow, rows: list[OlistRow]) -> MappedDocument:
        items = sorted((x for x in rows if isinstance(x, ItemRow)), key=lambda x: x.number)
        payments = sorted((x for x in rows if isinstance(x, PaymentRow)), key=lambda x: x.number)
        goods = sum(x.price + x.freight for x in items)
        paid = sum(x.amount for x in payments)
        difference, reason, detail = self._judge(items, payments, goods, paid)
        order = self._record(document, header, items, payments, difference)
        refused = bool(reason)
        results = tuple(self._result(row, refused, difference) for row in rows)
        if refused:
            record = RefusedOrder(
                channel=self.channel,
                external_id=order.external_id,
                order=order,
                reason=reason,
                detail=detail,
            )
            notes = {f"refused: {reason}": 1}
            return MappedDocument(DocumentKind.REFUSED_ORDER, (record,), results, notes=notes)
        notes = {f"orders flagged {flag.replace('_', ' ')}": 1 for flag in order.flags}
        notes[f"journeys that end {order.journey.end if order.journey else ''}"] = 1
        if difference:
            notes[f"difference booked as a charge: {order.charges[-1].kind}"] = 1
        return MappedDocument(DocumentKind.ORDER, (order,), results, notes=notes)

    def _judge(
        self, items: list[ItemRow], payments: list[PaymentRow], goods: int, paid: int
    ) -> tuple[int, str, str]:
        """The part of what was paid that neither goods nor freight explain; or why the order cannot be placed."""
        if not items:
            return 0, "no_items", "the source names no item: there is nothing to send"
        if not payments:
            return 0, "no_payment", "the source names no payment: nothing says that it was paid"
        difference = paid - goods
        if abs(difference) <= self.rules.rounding_max:
            return difference, "", ""
        if difference > 0 and any(x.instalments > 1 for x in payments):
            return difference, "", ""
        said = (
            f"{to_major(paid, self.minor_digits)} was paid for {to_major(goods, self.minor_digits)}"
        )
        return 0, "payments_differ", f"{said} of items and freight, and nothing explains it"

    def _result(self, row: OlistRow, refused: bool, difference: int) -> RowResult:
        match row:
            case ItemRow():
                amount = row.price + row.freight
                outcome = Outcome.REFUSED if refused else Outcome.ORDER_LINE
                return self._booked(outcome, 1, amount)
            case PaymentRow():
                return self._booked(
                    Outcome.REFUSED_PAYMENT if refused else Outcome.PAYMENT, 0, row.amount
                )
            case _ if refused:
                return RowResult(Outcome.REFUSED)
            case _:  # the order's own row carries what is neither goods nor freight
                return self._booked(Outcome.ORDER_ROW, 0, difference)

    def _booked(self, outcome: Outcome, units: int, minor: int) -> RowResult:
        return RowResult(outcome, units, to_major(minor, self.minor_digits), minor)

    def _record(
        self,
        document: str,
        header: OrderRow,
        items: list[ItemRow],
        payments: list[PaymentRow],
        difference: int,
    ) -> HistoricOrder:
        buyer = self._buyers.get(header.customer, Buyer("", "", "", ""))
        approved_at = header.approved.at if header.approved else None
        return HistoricOrder(
            channel=self.channel,
            external_id=document,
            kind="sale",
            customer_id=buyer.customer or None,
            country=self.rules.country,
            country_text="",
            region=buyer.state,
            city=buyer.city,
            postal_code=buyer.postal_code,
            placed_at=header.purchased.at,
            placed_local=header.purchased.text,
            zone=self.rules.zone,
            currency=self.currency,
            lines=_lines(items, self._description),
            charges=_charges(items, difference, self.rules.rounding_max),
            tenders=tuple(
                Tender(
                    method=x.method,
                    amount=x.amount,
                    instalments=x.instalments,
                    approved_at=approved_at,
                )
                for x in payments
            ),
            journey=Journey(
                end=_end(header),
                status=header.status,
                handed_over_at=header.handed_over.at if header.handed_over else None,
                delivered_at=header.delivered.at if header.delivered else None,
            ),
            flags=_flags(header, items, payments, known=header.customer in self._buyers),
        )


def sku_of(item: ItemRow) -> str:
    """An offer: one product of one seller. A product that two sellers sell is two SKUs, so that each is taken from
    where it was sold."""
    return f"{item.product[:PRODUCT_DIGITS]}-{item.seller[:SELLER_DIGITS]}"


def _lines(items: list[ItemRow], describe: Callable[[str], str]) -> tuple[OrderLine, ...]:
    """Equal rows are units of one line, which is numbered by the first of them."""
    by_offer = sorted(items, key=lambda x: (x.product, x.seller, x.price, x.number))
    grouped = [list(g) for _, g in groupby(by_offer, key=lambda x: (x.product, x.seller, x.price))]
    return tuple(
        OrderLine(
            line_id=str(units[0].number),
            sku=sku_of(units[0]),
            source_sku=units[0].product,
            description=describe(units[0].product),
            quantity=len(units),
            unit_price=units[0].price,
            total=len(units) * units[0].price,
            location=units[0].seller,
        )
        for units in sorted(grouped, key=lambda g: g[0].number)
    )


def _charges(items: list[ItemRow], difference: int, rounding_max: int) -> tuple[Charge, ...]:
    charges = []
    if freight := sum(x.freight for x in items):
        charges.append(_charge("freight", "shipping", freight))
    if difference:
        kind = "rounding" if abs(difference) <= rounding_max else "interest"
        charges.append(_charge(kind, kind, difference))
    return tuple(charges)


def _charge(charge_id: str, kind: str, total: int) -> Charge:
    return Charge(
        charge_id=charge_id,
        code="",
        kind=kind,
        description={"rounding": "payment rounding", "interest": "interest of instalments"}.get(
            kind, charge_id
        ),
        quantity=1,
        unit_price=total,
        total=total,
    )


def _end(header: OrderRow) -> End:
    """Goods that were handed over have left: what was cancelled afterwards is still on its way."""
    return "in transit" if header.end == "cancelled" and header.handed_over else header.end


def _flags(
    header: OrderRow, items: list[ItemRow], payments: list[PaymentRow], *, known: bool
) -> tuple[str, ...]:
    """What is odd about an order: kept as it is, and said."""
    bought, approved = header.purchased.at, header.approved
    left, came = header.handed_over, header.delivered
    flags = {
        "never_approved": approved is None,
        "handed_over_before_it_was_bought": left is not None and left.at < bought,
        "handed_over_before_approval": bool(left and approved and left.at < approved.at),
        "delivered_before_it_was_handed_over": bool(left and came and came.at < left.at),
        "delivered_without_a_time": header.end == "delivered" and came is None,
        "cancelled_after_it_was_handed_over": header.end == "cancelled" and left is not None,
        "of_several_sellers": len({x.seller for x in items}) > 1,
        "paid_in_several_parts": len(payments) > 1,
        "with_a_payment_of_zero": any(x.amount == 0 for x in payments),
        "customer_unknown": not known,
    }
    clocks = [x.flag for x in (header.purchased, approved, left, came) if x and x.flag]
    return (*(name for name, raised in flags.items() if raised), *sorted(set(clocks)))
