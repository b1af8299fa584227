"""The axes of an order, each a word folded from quantities and amounts; none is ever set by
hand."""

from services.views.domain.document import Document
from services.views.domain.fulfillment_part import FulfillmentPart
from services.views.domain.order_part import OrderPart
from services.views.domain.returns_part import ReturnsPart
from services.views.domain.units import count

_OPEN_RETURNS = ("inspected", "received", "partially_received", "approved", "requested")


def payment(order: OrderPart) -> str:
    """none, pending, declined, authorised, partially_captured, captured, voided, partially_refunded
    or refunded."""
    authorised = sum(p.authorised for p in order.payments)
    captured = sum(p.captured for p in order.payments)
    refunded = sum(p.refunded for p in order.payments)
    voided = sum(p.voided for p in order.payments)
    if captured:
        if refunded:
            return "refunded" if refunded >= captured else "partially_refunded"
        return "captured" if captured + voided >= authorised else "partially_captured"
    if voided:
        return "voided"
    if authorised:
        return "authorised"
    if any(p.declined for p in order.payments):
        return "declined"
    return "pending" if order.status in ("placed", "confirmed") and order.total else "none"


def fulfillment(order: OrderPart, warehouse: FulfillmentPart) -> str:
    """none, open, backordered, reserved, picking, packed, partially_shipped, shipped,
    partially_delivered, delivered or cancelled."""
    wanted = sum(line.ordered - line.cancelled for line in order.lines)
    if not wanted:
        return "cancelled" if order.lines else "none"
    shipped = sum(line.shipped for line in order.lines)
    delivered = sum(line.delivered for line in order.lines)
    if delivered:
        return "delivered" if delivered >= wanted else "partially_delivered"
    if shipped:
        return "shipped" if shipped >= wanted else "partially_shipped"
    if any(line.packed for line in order.lines):
        return "packed"
    if any(x.state in ("picking", "picked") for x in warehouse.fulfillments):
        return "picking"
    if any(line.backordered for line in order.lines):
        return "backordered"
    if all(line.reserved == line.ordered - line.cancelled for line in order.lines):
        return "reserved"
    return "open"


def returns(order: OrderPart, back: ReturnsPart) -> str:
    """none, requested, approved, partially_received, received, inspected, declined,
    partially_returned or returned."""
    states = {r.state for r in back.returns}
    for state in _OPEN_RETURNS:
        if state in states:
            return state
    returned = returned_units(back)
    sent = sum(line.shipped + line.delivered for line in order.lines)
    if returned:
        return "returned" if returned >= sent else "partially_returned"
    return "declined" if "declined" in states else "none"


def returned_units(back: ReturnsPart) -> int:
    """Units that came back and were inspected; missing ones did not."""
    return sum(count(x for x in r.inspected if x.disposition != "missing") for r in back.returns)


def held(order: OrderPart) -> bool:
    """Whether the order waits for a person."""
    return any(h.released_at is None for h in order.holds)


def all_of(document: Document) -> dict[str, str]:
    """The four axes by name."""
    return {
        "order": document.order.status or "unknown",
        "payment": payment(document.order),
        "fulfillment": fulfillment(document.order, document.fulfillment),
        "returns": returns(document.order, document.returns),
    }
