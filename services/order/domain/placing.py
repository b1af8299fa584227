"""Placing: is it an order, and is it new?"""

from collections import Counter

from services.order.domain.shares import order_total
from services.order.domain.state import Order, fingerprint
from shared.events import Context, Items, Money, OrderLine, Refused
from shared.events.order import (
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    PlaceOrder,
)

LINES_MAX = 2_000
QUANTITY_MAX = 1_000_000
AMOUNT_MAX = 2**53 - 1  # whole in every JSON reader
TEXT_MAX = 500


def place(state: Order, command: PlaceOrder, context: Context) -> Items:
    """A new order, a repeated one (nothing happens), or another one under a number that is taken (refused).

    An unusable order is rejected with every problem named, and may be sent again under the same number.
    """
    invalid_before = state.status == "rejected" and state.rejection == "invalid"
    if state.status != "new" and not invalid_before:
        if state.fingerprint == fingerprint(command):
            return []
        return [
            Refused(
                code="order_exists",
                detail=f"{command.channel} already placed another order as {command.external_id}",
            )
        ]
    order_id = command.order_id
    if found := problems(command):
        return [OrderRejected(order_id=order_id, reason="invalid", detail="; ".join(found)[:2000])]
    placed = OrderPlaced(
        order_id=order_id,
        channel=command.channel,
        external_id=command.external_id,
        currency=command.currency,
        lines=command.lines,
        charges=command.charges,
        total=order_total(command.lines, command.charges),
        customer=command.customer,
        ship_to=command.ship_to,
        payment_method=command.payment_method,
        backorder=command.backorder,
        placed_at=command.placed_at or context.now,
    )
    if placed.lines or placed.total:
        return [placed]
    confirmed = OrderConfirmed(
        order_id=order_id,
        channel=placed.channel,
        external_id=placed.external_id,
        total=Money(0, placed.currency),
    )
    return [placed, confirmed, OrderCompleted(order_id=order_id)]


def problems(command: PlaceOrder) -> list[str]:
    """Everything that is wrong with an order, each with its field."""
    found: list[str] = []
    for field in ("channel", "external_id"):
        text = getattr(command, field)
        if not text or len(text) > 100 or not text.isprintable():
            found.append(f"{field}: 1 to 100 printable characters, got {text[:50]!r}")
    currency = command.currency
    if len(currency) != 3 or not (currency.isascii() and currency.isupper()):
        found.append(f"currency: three capital letters (ISO 4217), got {currency[:10]!r}")
    if not command.lines and not command.charges:
        found.append("lines: an order needs a line or a charge")
    if len(command.lines) > LINES_MAX:
        found.append(f"lines: at most {LINES_MAX}, got {len(command.lines)}")
        return found
    if len({line.line_id for line in command.lines}) < len(command.lines):
        ids = Counter(line.line_id for line in command.lines)
        found += [f"lines: line_id {id!r} stands {n} times" for id, n in ids.items() if n > 1]
    for n, line in enumerate(command.lines):
        found += [f"lines/{n}/{problem}" for problem in _line_problems(line)]
    for n, charge in enumerate(command.charges):
        if not 0 <= charge.amount <= AMOUNT_MAX:
            found.append(f"charges/{n}/amount: 0 to {AMOUNT_MAX} minor units, got {charge.amount}")
    if not found and not 0 <= order_total(command.lines, command.charges) <= AMOUNT_MAX:
        total = order_total(command.lines, command.charges)
        found.append(f"total: 0 to {AMOUNT_MAX} minor units, got {total}")
    return found


def _line_problems(line: OrderLine) -> list[str]:
    found = []
    if not line.line_id or len(line.line_id) > 100 or not line.line_id.isprintable():
        found.append("line_id: 1 to 100 printable characters")
    if not line.sku or len(line.sku) > 100 or not line.sku.isprintable():
        found.append("sku: 1 to 100 printable characters")
    if not 1 <= line.quantity <= QUANTITY_MAX:
        found.append(f"quantity: 1 to {QUANTITY_MAX}, got {line.quantity}")
    if not 0 <= line.unit_price <= AMOUNT_MAX or not 0 <= line.total <= AMOUNT_MAX:
        found.append(f"unit_price, total: 0 to {AMOUNT_MAX} minor units")
    elif line.exact_unit_price is None and line.total != line.quantity * line.unit_price:
        found.append(f"total: {line.quantity} x {line.unit_price} is not {line.total}")
    return found
