"""Documents as CSV (RFC 4180): a row for every line and charge, amounts in minor units."""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO

from services.integrations.erp.documents import Row
from shared.events import decode
from shared.events.erp import CreditNote, ErpDocument, Invoice, SalesOrder

COLUMNS = (
    "position",
    "kind",
    "number",
    "issued_at",
    "order_id",
    "channel",
    "external_id",
    "sales_order",
    "cause",
    "currency",
    "total",
    "row",
    "line_id",
    "sku",
    "charge",
    "description",
    "quantity",
    "unit_price",
    "amount",
)
_KINDS: dict[type[ErpDocument], str] = {
    SalesOrder: "sales_order",
    Invoice: "invoice",
    CreditNote: "credit_note",
}


def as_csv(documents: Iterable[Row], *, header: bool = True) -> str:
    """The documents' rows. ``row`` counts a document's rows from 1, so that a reader can tell a whole document."""
    out = StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\r\n")
    if header:
        writer.writeheader()
    for document in documents:
        writer.writerows(rows_of(document))
    return out.getvalue()


def rows_of(found: Row) -> Iterator[dict[str, str | int]]:
    """The rows of one document."""
    document = decode(found.type, found.document)
    assert isinstance(document, ErpDocument)
    common: dict[str, str | int] = {
        "position": document.position,
        "kind": _KINDS[type(document)],
        "number": document.number,
        "issued_at": document.issued_at.isoformat().replace("+00:00", "Z"),
        "order_id": document.order_id,
        "channel": document.channel,
        "external_id": document.external_id,
        "currency": document.currency,
        "total": document.total,
    }
    if isinstance(document, Invoice):
        common |= {"sales_order": document.sales_order, "cause": document.package_id}
    elif isinstance(document, CreditNote):
        common |= {"sales_order": document.sales_order, "cause": document.refund_id}
    row = 0
    for line in document.lines:
        row += 1
        yield common | {
            "row": row,
            "line_id": line.line_id,
            "sku": line.sku,
            "description": line.description,
            "quantity": line.quantity,
            "unit_price": line.unit_price,
            "amount": line.amount,
        }
    for charge in document.charges:
        row += 1
        yield common | {
            "row": row,
            "charge": charge.kind,
            "description": charge.description,
            "amount": charge.amount,
        }
    if row == 0:  # a document of nothing still is one
        yield common | {"row": 1, "amount": document.total}
