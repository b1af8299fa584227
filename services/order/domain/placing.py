"""Placing: is it an order, and is it new?"""

import re
from datetime import UTC
from typing import NamedTuple

from services.order.domain.state import Order, fingerprint
from shared.events import Context, Items, Money, OrderLine, Refused
from shared.events.limits import (
    AMOUNT_MAX,
    CHARGES_MAX,
    LINES_MAX,
    QUANTITY_MAX,
    YEAR_MAX,
    YEAR_MIN,
)
from shared.events.order import (
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    PlaceOrder,
)
from shared.events.shares import order_total

TEXT_MAX = 500

_ID = "1 to 100 printable characters"
_TEXT = f"at most {TEXT_MAX} characters, no control characters"
_AMOUNT = f"0 to {AMOUNT_MAX} minor units"
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Wrong(NamedTuple):
    """A field of an order, as a path without its first slash, and what it should be."""

    field: str
    why: str

    def __str__(self) -> str:
        return f"{self.field}: {self.why}"


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
        return [
            OrderRejected(
                order_id=order_id, reason="invalid", detail="; ".join(map(str, found))[:2000]
            )
        ]
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
        placed_at=(command.placed_at or context.now).astimezone(UTC),
        tenders=command.tenders,
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


def problems(command: PlaceOrder) -> list[Wrong]:
    """Everything that is wrong with an order, each with its field."""
    found = _header_problems(command)
    if len(command.lines) > LINES_MAX:
        return [*found, Wrong("lines", f"at most {LINES_MAX}, got {len(command.lines)}")]
    seen: set[str] = set()
    for n, line in enumerate(command.lines):
        if line.line_id in seen:
            found.append(Wrong(f"lines/{n}/line_id", f"{line.line_id[:50]!r} stands twice"))
        seen.add(line.line_id)
        found += [Wrong(f"lines/{n}/{field}", why) for field, why in _line_problems(line)]
    for n, charge in enumerate(command.charges):
        if not 0 <= charge.amount <= AMOUNT_MAX:
            found.append(Wrong(f"charges/{n}/amount", f"{_AMOUNT}, got {charge.amount}"))
        if not _is_text(charge.description):
            found.append(Wrong(f"charges/{n}/description", _TEXT))
    total = order_total(command.lines, command.charges)
    if not found and not 0 <= total <= AMOUNT_MAX:
        found.append(Wrong("lines", f"with charges they must come to {_AMOUNT}, got {total}"))
    if total > 0 and not command.payment_method.strip():
        why = f"names what pays {total} minor units; only an order of 0 needs none"
        found.append(Wrong("payment_method", why))
    return found or _tender_problems(command, total)


def _tender_problems(command: PlaceOrder, total: int) -> list[Wrong]:
    tenders = command.tenders or ()
    if len(tenders) > CHARGES_MAX:
        return [Wrong("tenders", f"at most {CHARGES_MAX}, got {len(tenders)}")]
    found = [
        Wrong(f"tenders/{n}/amount", f"{_AMOUNT}, got {x.amount}")
        for n, x in enumerate(tenders)
        if not 0 <= x.amount <= AMOUNT_MAX
    ]
    found += [
        Wrong(f"tenders/{n}/method", _ID) for n, x in enumerate(tenders) if not _is_id(x.method)
    ]
    paid = sum(x.amount for x in tenders)
    if tenders and not found and paid != total:
        found.append(Wrong("tenders", f"they come to {paid}, the order to {total}"))
    return found


def _header_problems(command: PlaceOrder) -> list[Wrong]:
    found: list[Wrong] = []
    for field in ("channel", "external_id"):
        text = getattr(command, field)
        if not _is_id(text):
            found.append(Wrong(field, f"{_ID}, got {text[:50]!r}"))
    currency = command.currency
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        found.append(Wrong("currency", f"three capital letters (ISO 4217), got {currency[:10]!r}"))
    if not command.lines and not command.charges:
        found.append(Wrong("lines", "an order needs a line or a charge"))
    if len(command.charges) > CHARGES_MAX:
        found.append(Wrong("charges", f"at most {CHARGES_MAX}, got {len(command.charges)}"))
    for part in ("customer", "ship_to"):
        record = getattr(command, part)
        found += [
            Wrong(f"{part}/{field}", _TEXT)
            for field in record.__struct_fields__
            if not _is_text(getattr(record, field))
        ]
    if not _is_text(command.payment_method):
        found.append(Wrong("payment_method", _TEXT))
    at = command.placed_at
    if at is not None and (at.tzinfo is None or not YEAR_MIN <= at.year <= YEAR_MAX):
        found.append(Wrong("placed_at", f"a time with offset, {YEAR_MIN} to {YEAR_MAX}"))
    return found


def _line_problems(line: OrderLine) -> list[Wrong]:
    found: list[Wrong] = []
    if not _is_id(line.line_id):
        found.append(Wrong("line_id", _ID))
    if not _is_id(line.sku):
        found.append(Wrong("sku", _ID))
    if not _is_text(line.description):
        found.append(Wrong("description", _TEXT))
    if not _is_text(line.exact_unit_price or ""):
        found.append(Wrong("exact_unit_price", _TEXT))
    if not 1 <= line.quantity <= QUANTITY_MAX:
        found.append(Wrong("quantity", f"1 to {QUANTITY_MAX}, got {line.quantity}"))
    if not 0 <= line.unit_price <= AMOUNT_MAX:
        found.append(Wrong("unit_price", f"{_AMOUNT}, got {line.unit_price}"))
    elif line.exact_unit_price is None and line.total != line.quantity * line.unit_price:
        why = f"{line.quantity} x {line.unit_price} is not {line.total}"
        found.append(Wrong("unit_price", why))
    elif not 0 <= line.total <= AMOUNT_MAX:
        found.append(Wrong("unit_price", f"times quantity {_AMOUNT}, got {line.total}"))
    return found


def _is_id(text: str) -> bool:
    return 0 < len(text) <= 100 and text.isprintable()


def _is_text(text: str) -> bool:
    """Whether every database and topic takes it: no NUL and no other control character but line ends and tabs."""
    return len(text) <= TEXT_MAX and (text.isprintable() or not _CONTROL.search(text))
