"""What an accounting system is told: sales orders, invoices, credit notes, each one document with a number of its own.

Amounts are minor units of ``currency``. An order's invoices and the share of each charge in them add up to the order.
"""

from typing import ClassVar, Literal

import msgspec

from shared.events.message import Address, Customer, Event, Instant, LineQuantity, Money, OrderLine
from shared.events.order import OrderPlaced

Kind = Literal["sales_order", "invoice", "credit_note"]
#: The stream that gives every document its number and its position.
BOOK = "erpbook-all"


class DocumentLine(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Goods on a document. ``amount`` is what these units cost before charges; on a credit note, what is paid back."""

    line_id: str
    sku: str
    quantity: int
    unit_price: int
    amount: int
    description: str = ""


class DocumentCharge(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A charge, or a package's share of one. ``amount`` is signed: a discount is negative."""

    kind: str
    amount: int
    description: str = ""


class ErpEvent(Event, frozen=True, kw_only=True):
    """What is known of one order for its documents: stream ``erporder-<order_id>``."""

    order_id: str

    @property
    def subject(self) -> str:
        return f"erporder-{self.order_id}"

    @property
    def key(self) -> str:
        return self.order_id


class ErpDocument(ErpEvent, frozen=True, kw_only=True):
    """One document. ``number`` is gapless for its kind and year, ``position`` over all documents: a reader's cursor.

    ``total`` is the sum of all lines and charges.
    """

    number: str
    position: int
    issued_at: Instant
    channel: str
    external_id: str
    currency: str
    lines: tuple[DocumentLine, ...]
    charges: tuple[DocumentCharge, ...]
    total: int

    @classmethod
    def route(cls) -> str | None:
        return "oms.erp.documents"


class SalesOrder(ErpDocument, frozen=True, kw_only=True, tag="oms.erp.sales_order.v1"):
    """An order was confirmed."""

    placed_at: Instant
    customer: Customer
    ship_to: Address


class Invoice(ErpDocument, frozen=True, kw_only=True, tag="oms.erp.invoice.v1"):
    """A package left; or, with empty ``package_id``, an order without goods was charged."""

    sales_order: str
    fulfillment_id: str
    package_id: str
    location: str
    carrier: str
    tracking_number: str


class CreditNote(ErpDocument, frozen=True, kw_only=True, tag="oms.erp.credit_note.v1"):
    """The shopper was paid back. ``invoices`` are those of the order so far."""

    sales_order: str
    invoices: tuple[str, ...]
    refund_id: str
    return_id: str


class PrivateErpEvent(ErpEvent, frozen=True, kw_only=True):
    """Noted here for a document to come."""

    private: ClassVar[bool] = True


class OrderNoted(PrivateErpEvent, frozen=True, kw_only=True, tag="oms.erp.order_noted.v1"):
    """An order as it was placed."""

    placed: OrderPlaced


class PackageNoted(PrivateErpEvent, frozen=True, kw_only=True, tag="oms.erp.package_noted.v1"):
    """A package was packed; its units are invoiced when it leaves, at ``amount``."""

    package_id: str
    lines: tuple[LineQuantity, ...]
    amount: Money


class ReturnNoted(PrivateErpEvent, frozen=True, kw_only=True, tag="oms.erp.return_noted.v1"):
    """A return was accepted; its units are credited when they are paid back."""

    return_id: str
    refund_id: str
    lines: tuple[LineQuantity, ...]
    amount: Money


class NumberGiven(Event, frozen=True, kw_only=True, tag="oms.erp.number_given.v1"):
    """A document took the next number of its kind and year, and the next position of all."""

    private: ClassVar[bool] = True

    kind: Kind
    year: int
    ordinal: int
    position: int
    order_id: str

    @property
    def subject(self) -> str:
        return BOOK

    @property
    def key(self) -> str:
        return BOOK


class CursorMoved(Event, frozen=True, kw_only=True, tag="oms.erp.cursor_moved.v1"):
    """A reader has all documents up to ``position``, or wants those after it again."""

    private: ClassVar[bool] = True

    cursor: str
    position: int
    actor: str
    reason: str = ""

    @property
    def subject(self) -> str:
        return f"erpcursor-{self.cursor}"

    @property
    def key(self) -> str:
        return self.cursor


def line_of(line: OrderLine, quantity: int, amount: int) -> DocumentLine:
    """Some units of an order line, at an amount."""
    return DocumentLine(
        line_id=line.line_id,
        sku=line.sku,
        quantity=quantity,
        unit_price=line.unit_price,
        amount=amount,
        description=line.description,
    )
