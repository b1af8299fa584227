"""What an import yields: source-neutral, frozen records, in order of business time.

Amounts are integers in minor units of the record's currency; times are UTC. ``external_id`` is the
source's own document number, so the same file always yields the same records and ``key()`` is a
stable idempotency key for each of them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="record"):
    """Base of everything an import yields."""

    channel: str

    def key(self) -> str:
        """Return the idempotency key.

        The same row of the same source gives the same key on every import.
        """
        raise NotImplementedError


class Item(Record, frozen=True, kw_only=True, tag="item"):
    """A stock-keeping unit.

    ``source_skus`` are the spellings that the source uses for it, exactly as written; ``location``
    is where it lies, where the source says.
    """

    sku: str
    description: str
    source_skus: tuple[str, ...]
    other_descriptions: tuple[str, ...] = ()
    location: str = ""

    def key(self) -> str:
        """See ``Record.key``."""
        return f"{self.channel}:item:{self.sku}"


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """Goods on an order.

    ``unit_price`` is rounded half-even to minor units; where that loses something
    ``exact_unit_price`` keeps the source's decimal in major units. ``total`` is quantity × exact
    price, rounded half-even once.
    """

    line_id: str
    sku: str
    source_sku: str
    description: str
    quantity: int
    unit_price: int
    total: int
    exact_unit_price: str | None = None
    location: str = ""


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """A fee or a discount on an order: no goods, no stock. A discount has a negative ``total``."""

    charge_id: str
    code: str
    kind: str
    description: str
    quantity: int
    unit_price: int
    total: int
    exact_unit_price: str | None = None


class Tender(msgspec.Struct, frozen=True, kw_only=True):
    """One of an order's payments; ``approved_at`` is UTC."""

    method: str
    amount: int
    instalments: int
    approved_at: datetime | None


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """How far an order's goods came by the end of the source, and when (UTC); ``status`` is the source's word."""

    end: Literal["delivered", "in transit", "open", "cancelled"]
    status: str
    handed_over_at: datetime | None
    delivered_at: datetime | None


class HistoricOrder(Record, frozen=True, kw_only=True, tag="order"):
    """An order as it was placed.

    ``kind`` is ``sale`` (at least one line of goods), ``fee_only`` (charges only, nothing to ship)
    or ``zero_price`` (nothing to pay). ``placed_at`` is the business time in UTC; ``placed_local``
    is the source's text, read in ``zone``, which is an assumption because the source names none.
    ``country`` is ISO 3166-1 alpha-2, or None where ``country_text`` names no single country.
    ``customer_id`` is None for a guest. ``tenders`` are its payments and ``journey`` what became of
    its goods, where the source says.
    """

    external_id: str
    kind: str
    customer_id: str | None
    country: str | None
    country_text: str
    placed_at: datetime
    placed_local: str
    zone: str
    currency: str
    lines: tuple[OrderLine, ...]
    charges: tuple[Charge, ...]
    flags: tuple[str, ...] = ()
    region: str = ""
    city: str = ""
    postal_code: str = ""
    tenders: tuple[Tender, ...] = ()
    journey: Journey | None = None

    @property
    def total(self) -> int:
        """Lines and charges, in minor units."""
        return sum(line.total for line in self.lines) + sum(charge.total for charge in self.charges)

    def key(self) -> str:
        """See ``Record.key``."""
        return f"{self.channel}:order:{self.external_id}"


class RefusedOrder(Record, frozen=True, kw_only=True, tag="refused_order"):
    """An order that cannot be placed as the source states it: for a person, who may correct it."""

    external_id: str
    order: HistoricOrder
    reason: str
    detail: str

    def key(self) -> str:
        """See ``Record.key``."""
        return f"{self.channel}:refused:{self.external_id}"


class StockMovement(Record, frozen=True, kw_only=True, tag="stock_movement"):
    """Stock that changed without a sale.

    ``quantity`` is signed, ``reason`` a code, ``note`` the source's own words.

    ``stocked`` is False for a code that names a charge: the source counted it, an OMS holds no
    stock of it.
    """

    external_id: str
    line_id: str
    sku: str
    quantity: int
    reason: str
    note: str
    at: datetime
    stocked: bool = True

    def key(self) -> str:
        """See ``Record.key``."""
        return f"{self.channel}:movement:{self.external_id}:{self.line_id}"


class CreditLine(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one credit row matched to one line (or charge) of an earlier order.

    ``amount`` ≥ 0 is paid back.
    """

    line_id: str
    order_line_id: str
    sku: str
    quantity: int
    amount: int


class Credit(Record, frozen=True, kw_only=True):
    """What one credit document takes back from one earlier order."""

    external_id: str
    order_external_id: str
    customer_id: str
    at: datetime
    currency: str
    lines: tuple[CreditLine, ...]

    @property
    def amount(self) -> int:
        """Paid back, in minor units."""
        return sum(line.amount for line in self.lines)

    def key(self) -> str:
        """See ``Record.key``."""
        what = type(self).__name__.lower()
        return f"{self.channel}:{what}:{self.external_id}:{self.order_external_id}"


class Cancellation(Credit, frozen=True, kw_only=True, tag="cancellation"):
    """Goods taken back before they could have left."""


class Return(Credit, frozen=True, kw_only=True, tag="return"):
    """Goods taken back after they could have left."""


class ChargeRefund(Credit, frozen=True, kw_only=True, tag="charge_refund"):
    """A charge paid back.

    ``order_line_id`` of its lines is a ``charge_id`` and ``sku`` a charge code.
    """


class Unmatched(Record, frozen=True, kw_only=True, tag="unmatched"):
    """The part of a credit row that no earlier sale explains.

    ``quantity`` is 0 where only money is left over.
    """

    external_id: str
    line_id: str
    reason: str
    code: str
    description: str
    quantity: int
    amount: int
    customer_id: str | None
    at: datetime
    currency: str

    def key(self) -> str:
        """See ``Record.key``."""
        return f"{self.channel}:unmatched:{self.external_id}:{self.line_id}:{self.reason}"


class BadDebt(Record, frozen=True, kw_only=True, tag="bad_debt"):
    """A bookkeeping entry for money that will not come; ``amount`` is signed, in minor units."""

    external_id: str
    line_id: str
    description: str
    amount: int
    at: datetime
    currency: str

    def key(self) -> str:
        """See ``Record.key``."""
        return f"{self.channel}:bad_debt:{self.external_id}:{self.line_id}"


class Rejected(Record, frozen=True, kw_only=True, tag="rejected"):
    """A row that could not be used: where it stands, its cells as they were, and why."""

    file: str
    line: int
    cells: tuple[str, ...]
    reason: str

    def key(self) -> str:
        """See ``Record.key``."""
        return f"{self.channel}:rejected:{self.file}:{self.line}"


AnyRecord: TypeAlias = (
    Item
    | HistoricOrder
    | RefusedOrder
    | StockMovement
    | Cancellation
    | Return
    | ChargeRefund
    | Unmatched
    | BadDebt
    | Rejected
)
