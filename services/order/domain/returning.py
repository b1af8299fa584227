"""Inspected returns: what is owed for them, and what goes back on the shelf."""

from services.order.domain.state import Order
from shared.events import Context, Items, LineQuantity, Money, StockLine
from shared.events.inventory import RestockItems
from shared.events.order import ReturnAccepted
from shared.events.returns import InspectedLine, ReturnInspected
from shared.events.shares import units


def inspected(state: Order, event: ReturnInspected, context: Context) -> Items:
    """Refund every unit that came back, at what it cost; restock those that can be sold again."""
    if event.return_id in state.returns:
        return []
    back = [x for x in event.lines if x.disposition != "missing"]
    accepted = ReturnAccepted(
        order_id=state.order_id,
        return_id=event.return_id,
        refund_id=f"{event.return_id}.refund",
        lines=tuple(LineQuantity(line_id=x.line_id, sku=x.sku, quantity=x.quantity) for x in back),
        refund=Money(_refund(state, back), state.currency),
    )
    restock = [x for x in back if x.disposition == "restock"]
    if not restock:
        return [accepted]
    return [
        accepted,
        RestockItems(
            movement_id=f"{event.return_id}.restock",
            return_id=event.return_id,
            order_id=state.order_id,
            lines=tuple(
                StockLine(sku=x.sku, location=event.location, quantity=x.quantity) for x in restock
            ),
        ),
    ]


def _refund(state: Order, back: list[InspectedLine]) -> int:
    amount = 0
    counted: dict[str, int] = {}
    for x in back:
        line = state.lines[x.line_id]
        before = line.returned + counted.get(x.line_id, 0)
        amount += units(line.refundable, line.quantity, before, x.quantity)
        counted[x.line_id] = counted.get(x.line_id, 0) + x.quantity
    return amount
