"""From the importer's records to commands. Pure; every id follows from the record's own, so that a record sent again is
the same command again."""

from typing import Any

import msgspec
from msgspec import UNSET

from ops.importer import records
from shared.events import Address, Charge, Customer, LineQuantity, OrderLine, StockLine, Tender
from shared.events import inventory as i
from shared.events import order as o
from shared.events import returns as r

PAYMENT = "tok_ok"
#: Charges that are goods' transport; everything else that costs is a fee.
_SHIPPING = "shipping"


def item(record: records.Item) -> i.RegisterItem:
    """Make the SKU known."""
    return i.RegisterItem(sku=record.sku, description=record.description[:500])


def order(record: records.HistoricOrder) -> o.PlaceOrder:
    """The order as its channel would send it, at its business time. A country that ISO 3166 does not know stays as text
    in ``region``."""
    return o.PlaceOrder(
        channel=record.channel,
        external_id=record.external_id,
        currency=record.currency,
        lines=tuple(_line(x) for x in record.lines),
        charges=tuple(_charge(x) for x in record.charges),
        customer=Customer(customer_id=record.customer_id or ""),
        ship_to=Address(
            country=record.country or "",
            region=record.region or ("" if record.country else record.country_text),
            city=record.city,
            postal_code=record.postal_code,
        ),
        payment_method=PAYMENT,
        backorder="wait",
        placed_at=record.placed_at,
        tenders=tuple(_tender(x) for x in record.tenders) or UNSET,
    )


def _tender(x: records.Tender) -> Tender:
    return Tender(
        method=x.method, amount=x.amount, instalments=x.instalments, approved_at=x.approved_at
    )


def _line(x: records.OrderLine) -> OrderLine:
    return OrderLine(
        line_id=x.line_id,
        sku=x.sku,
        quantity=x.quantity,
        unit_price=x.unit_price,
        total=x.total,
        exact_unit_price=x.exact_unit_price,
        description=x.description,
    )


def _charge(x: records.Charge) -> Charge:
    """What is paid is shipping or a fee; what is taken off is a discount."""
    text = f"{x.code} {x.description}".strip()
    if x.total < 0:
        return Charge(kind="discount", amount=-x.total, description=text)
    return Charge(
        kind="shipping" if x.kind == _SHIPPING else "fee", amount=x.total, description=text
    )


def movement(record: records.StockMovement, location: str) -> i.ReceiveStock | i.AdjustStock:
    """Goods that came without a sale are received; any other change of the count is an adjustment with its reason."""
    lines = (StockLine(sku=record.sku, location=location, quantity=record.quantity),)
    if record.reason == "received" and record.quantity > 0:
        return i.ReceiveStock(movement_id=record.key(), lines=lines, reference=record.note)
    reason = f"{record.reason}: {record.note}".strip(": ")
    return i.AdjustStock(movement_id=record.key(), lines=lines, reason=reason, actor="import")


def cancellation(record: records.HistoricOrder) -> o.RequestCancellation:
    """The order was taken back whole: on the day of its sale, or as its journey says."""
    reason = record.journey.status if record.journey else "taken back the same day"
    return o.RequestCancellation(
        channel=record.channel, external_id=record.external_id, reason=reason
    )


def refusal(record: records.RefusedOrder) -> dict[str, Any]:
    """What the integrations service keeps of an order that cannot be placed: the order document, as far as it is known,
    for a person to complete."""
    order = record.order
    document = {
        "number": order.external_id,
        "currency": order.currency,
        "lines": [
            {
                "sku": x.sku,
                "quantity": x.quantity,
                "unit_price": x.unit_price,
                "description": x.description,
            }
            for x in order.lines
        ],
        "charges": [_charge(x) for x in order.charges],
        "customer": {"customer_id": order.customer_id or ""},
        "ship_to": {
            "city": order.city,
            "region": order.region,
            "postal_code": order.postal_code,
            "country": order.country or "",
        },
        "tenders": [_tender(x) for x in order.tenders],
        "payment": PAYMENT,
        "backorder": "wait",
        "placed_at": order.placed_at,
    }
    return {
        "source": f"import.{record.channel}",
        "channel": record.channel,
        "reference": record.external_id,
        "reason": record.reason,
        "detail": record.detail,
        "payload": msgspec.json.encode(document).decode(),
    }


def order_id(record: records.Credit) -> str:
    """The order that a credit is about."""
    return o.order_id_for(record.channel, record.order_external_id)


def return_id(record: records.Credit) -> str:
    """The same for the same credit document, order and kind."""
    kind = type(record).__name__[0].lower()
    return f"{record.channel}.{record.external_id}.{record.order_external_id}.{kind}"


def request(record: records.Credit) -> r.RequestReturn:
    """Ask to send the credited units back."""
    return r.RequestReturn(
        return_id=return_id(record),
        order_id=order_id(record),
        lines=tuple(
            r.ReturnLine(
                line_id=x.order_line_id,
                sku=x.sku,
                quantity=x.quantity,
                reason=f"credit {record.external_id}",
            )
            for x in record.lines
        ),
        actor="import",
    )


def receipt(record: records.Credit, location: str) -> r.ReceiveReturn:
    """All of it came back."""
    return r.ReceiveReturn(
        return_id=return_id(record),
        order_id=order_id(record),
        receipt_id=f"{return_id(record)}.receipt",
        location=location,
        lines=tuple(
            LineQuantity(line_id=x.order_line_id, sku=x.sku, quantity=x.quantity)
            for x in record.lines
        ),
    )


def inspection(record: records.Credit) -> r.InspectReturn:
    """The source restocks what it takes back: damage has movements of its own."""
    return r.InspectReturn(
        return_id=return_id(record),
        order_id=order_id(record),
        lines=tuple(
            r.InspectedLine(
                line_id=x.order_line_id, sku=x.sku, quantity=x.quantity, disposition="restock"
            )
            for x in record.lines
        ),
        actor="import",
    )
