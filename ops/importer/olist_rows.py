"""Rows of the Olist files: text in, typed values out, or the reason why not."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from importlib import resources
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from ops.importer.mapping import RowError
from ops.importer.money import to_minor
from ops.importer.rows import CELL_CHARACTERS_MAX, local_time
from ops.importer.sources import RawRow

_ID = re.compile(r"[0-9a-f]{32}")
_COUNT = re.compile(r"[0-9]{1,4}")
_MONEY = re.compile(r"[0-9]{1,9}(\.[0-9]{1,2})?")

End = Literal["delivered", "in transit", "open", "cancelled"]


class TableRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the source, and the columns that are read of it."""

    file: str
    columns: tuple[str, ...]


class OlistRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything about the source that is data. Raises msgspec.ValidationError naming the field that is wrong."""

    channel: str
    currency: str
    minor_digits: int
    encoding: str
    zone: str
    time_format: str
    country: str
    postal_code_digits: int
    amount_max: int
    rounding_max: int
    ends: dict[str, End]
    tables: dict[str, TableRules]

    @classmethod
    def load(cls) -> OlistRules:
        """Read ``olist.toml`` that lies beside this module."""
        text = resources.files("ops.importer").joinpath("olist.toml").read_bytes()
        return msgspec.toml.decode(text, type=cls)

    def table_of(self, file: str) -> str:
        """The table that a file holds; empty for a file of something else."""
        return next((name for name, table in self.tables.items() if table.file == file), "")


class Moment(NamedTuple):
    """A time of the source: its instant, its text, and a flag where its clock was set that hour."""

    at: datetime
    text: str
    flag: str | None


class OrderRow(NamedTuple):
    """An order without its items. ``end`` is where its status says that its journey ended."""

    document: str
    customer: str
    status: str
    end: End
    purchased: Moment
    approved: Moment | None
    handed_over: Moment | None
    delivered: Moment | None


class ItemRow(NamedTuple):
    """One unit of goods; ``price`` and ``freight`` are minor units."""

    document: str
    number: int
    product: str
    seller: str
    price: int
    freight: int


class PaymentRow(NamedTuple):
    """One payment of an order, in minor units."""

    document: str
    number: int
    method: str
    instalments: int
    amount: int


class ReferenceRow(NamedTuple):
    """A row of a customer, product, seller or category."""

    document: str
    table: str
    cells: tuple[str, ...]


OlistRow: TypeAlias = OrderRow | ItemRow | PaymentRow | ReferenceRow


def parse_row(raw: RawRow, rules: OlistRules) -> OlistRow:
    """Type one row. Raises RowError naming the column that cannot be used."""
    if not raw.fits:
        raise RowError("another number of cells than the header has")
    if any("\x00" in cell or len(cell) > CELL_CHARACTERS_MAX for cell in raw.cells):
        raise RowError(f"a cell with a NUL or more than {CELL_CHARACTERS_MAX} characters")
    cells = tuple(cell.strip() for cell in raw.cells)
    match rules.table_of(raw.file):
        case "orders":
            return _order(cells, rules)
        case "items":
            order, number, product, seller, price, freight = cells
            return ItemRow(
                _id(order, "order_id"),
                _count(number, "order_item_id"),
                _id(product, "product_id"),
                _id(seller, "seller_id"),
                _money(price, "price", rules),
                _money(freight, "freight_value", rules),
            )
        case "payments":
            order, number, method, instalments, value = cells
            if not method:
                raise RowError("payment_type is empty")
            return PaymentRow(
                _id(order, "order_id"),
                _count(number, "payment_sequential"),
                method,
                max(1, _count(instalments, "payment_installments")),
                _money(value, "payment_value", rules),
            )
        case table:
            if not cells[0]:
                raise RowError("its id is empty")
            return ReferenceRow(f"{table}:{cells[0]}", table, cells)


def _order(cells: tuple[str, ...], rules: OlistRules) -> OrderRow:
    order, customer, status, purchased, approved, handed_over, delivered = cells
    if status not in rules.ends:
        raise RowError("order_status is not in the mapping's [ends]")
    return OrderRow(
        _id(order, "order_id"),
        _id(customer, "customer_id"),
        status,
        rules.ends[status],
        _moment(purchased, "order_purchase_timestamp", rules),
        _moment(approved, "order_approved_at", rules) if approved else None,
        _moment(handed_over, "order_delivered_carrier_date", rules) if handed_over else None,
        _moment(delivered, "order_delivered_customer_date", rules) if delivered else None,
    )


def _id(text: str, column: str) -> str:
    if not _ID.fullmatch(text):
        raise RowError(f"{column} is not 32 hexadecimal digits")
    return text


def _count(text: str, column: str) -> int:
    if not _COUNT.fullmatch(text):
        raise RowError(f"{column} is not a whole number")
    return int(text)


def _money(text: str, column: str, rules: OlistRules) -> int:
    if not _MONEY.fullmatch(text):
        raise RowError(f"{column} is not a plain amount of at most two places")
    amount = Decimal(text)
    if amount > rules.amount_max:
        raise RowError(f"{column} is beyond {rules.amount_max}")
    return to_minor(amount, rules.minor_digits)


def _moment(text: str, column: str, rules: OlistRules) -> Moment:
    try:
        clock = local_time(text, rules.time_format, rules.zone)
    except (ValueError, OverflowError) as error:
        raise RowError(f"{column} is not in the mapping's format") from error
    return Moment(clock.at, text, clock.flag)
