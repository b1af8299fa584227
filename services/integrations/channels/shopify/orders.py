"""A Shopify order as an order of ours. Every amount is checked against the shop's own total."""

from collections.abc import Mapping
from typing import Any

from services.integrations.channels.shopify.values import (
    Unusable,
    currency_of,
    exact_id,
    inner,
    minor_units,
    quantity_of,
    records,
    text_of,
    time_of,
)
from shared.events import Address, Charge, Customer, OrderLine
from shared.events.limits import LINES_MAX
from shared.events.order import PlaceOrder

#: Financial statuses of an order whose money the shop holds or is guaranteed.
PAID = ("paid", "authorized")
#: … and of one that waits for it: the shop tells when it has it.
AWAITING = ("pending", "partially_paid", "expired", "unpaid")


def place_order(order: Mapping[str, Any], channel: str, payment_method: str) -> PlaceOrder:
    """The command that an order states. Raises `Unusable`."""
    currency = currency_of(order)
    lines, fees = _lines(order, currency)
    charges = [*fees, *_charges(order, currency)]
    _check_total(order, currency, lines, charges)
    return PlaceOrder(
        channel=channel,
        external_id=exact_id(order),
        currency=currency,
        lines=tuple(lines),
        charges=tuple(charges),
        customer=_customer(order),
        ship_to=_address(inner(order, "shipping_address")),
        payment_method=payment_method,
        backorder="wait",  # the shop has sold it
        placed_at=time_of(order, "processed_at") or time_of(order, "created_at"),
    )


def _lines(order: Mapping[str, Any], currency: str) -> tuple[list[OrderLine], list[Charge]]:
    """Goods are lines; what is not shipped (a gift card, a warranty, a tip) is a fee: it takes no stock."""
    lines: list[OrderLine] = []
    fees: list[Charge] = []
    found = records(order, "line_items")
    if not found or len(found) > LINES_MAX:
        raise Unusable("lines", f"1 to {LINES_MAX} line_items are needed, not {len(found)}")
    for n, item in enumerate(found):
        quantity = quantity_of(item)
        if (now := item.get("current_quantity")) is not None and now != quantity:
            raise Unusable("edited", f"line_items/{n} was edited: {quantity} bought, {now} left")
        if quantity == 0:
            continue
        price = minor_units(item, "price", currency)
        title = text_of(item, "name", "title")
        if item.get("requires_shipping") is False or item.get("gift_card") is True:
            fees.append(Charge(kind="fee", amount=quantity * price, description=title))
            continue
        sku = text_of(item, "sku")
        if not sku or len(sku) > 64:
            raise Unusable("no_sku", f"line_items/{n} ({title or 'untitled'}) has no usable SKU")
        lines.append(
            OrderLine(
                line_id=exact_id(item),
                sku=sku,
                quantity=quantity,
                unit_price=price,
                total=quantity * price,
                description=title,
            )
        )
    if len({x.line_id for x in lines}) < len(lines):
        raise Unusable("lines", "two line_items have the same id")
    return lines, fees


def _charges(order: Mapping[str, Any], currency: str) -> list[Charge]:
    """Shipping, tax (unless prices include it), duties, tips, and what is taken off."""
    out = [
        Charge(
            kind="shipping",
            amount=minor_units(line, "price", currency),
            description=text_of(line, "title"),
        )
        for line in records(order, "shipping_lines")
        if line.get("is_removed") is not True
    ]
    if order.get("taxes_included") is not True:
        out.append(Charge(kind="tax", amount=minor_units(order, "total_tax", currency)))
    duties = inner(inner(order, "original_total_duties_set"), "shop_money")
    out.append(
        Charge(kind="fee", amount=minor_units(duties, "amount", currency), description="duties")
    )
    tip = minor_units(order, "total_tip_received", currency)
    out.append(Charge(kind="fee", amount=tip, description="tip"))
    out.append(Charge(kind="discount", amount=minor_units(order, "total_discounts", currency)))
    if any(x.amount < 0 for x in out):
        raise Unusable("amount", "a charge is negative")
    return [x for x in out if x.amount]


def _check_total(
    order: Mapping[str, Any], currency: str, lines: list[OrderLine], charges: list[Charge]
) -> None:
    """Nothing is booked that the shopper did not agree to: the parts must come to the shop's total."""
    if any(x.unit_price < 0 for x in lines):
        raise Unusable("amount", "a price is negative")
    total = sum(x.total for x in lines)
    total += sum(-x.amount if x.kind == "discount" else x.amount for x in charges)
    said = minor_units(order, "total_price", currency)
    if total != said or total < 0:
        raise Unusable(
            "total_differs",
            f"lines and charges come to {total} {currency} minor units, total_price says {said}",
        )


def _customer(order: Mapping[str, Any]) -> Customer:
    customer = inner(order, "customer")
    known = customer.get("id") is not None or customer.get("admin_graphql_api_id") is not None
    name = " ".join(filter(None, (text_of(customer, "first_name"), text_of(customer, "last_name"))))
    return Customer(
        customer_id=exact_id(customer) if known else "",
        name=name,
        email=_email(order) or _email(customer),
        phone=text_of(order, "phone") or text_of(customer, "phone"),
    )


def _email(record: Mapping[str, Any]) -> str:
    found = text_of(record, "email", "contact_email")
    return found if found.count("@") == 1 and " " not in found and len(found) <= 254 else ""


def _address(address: Mapping[str, Any]) -> Address:
    code = text_of(address, "country_code")
    return Address(
        name=text_of(address, "name"),
        line1=text_of(address, "address1"),
        line2=text_of(address, "address2"),
        city=text_of(address, "city"),
        region=text_of(address, "province_code", "province"),
        postal_code=text_of(address, "zip"),
        country=code if len(code) == 2 and code.isascii() and code.isupper() else "",
    )
