"""A small shop's payloads, as Shopify writes them, in our own words."""

from __future__ import annotations

import json
from typing import Any

from services.integrations.channels.shopify.webhooks import Noted, Webhook, read
from services.integrations.domain.messages import Inbound

SHOP = "tea.myshopify.com"
AT = "2026-03-01T10:00:00+01:00"
LATER = "2026-03-01T11:00:00+01:00"


def order(**changes: Any) -> dict[str, Any]:
    """A paid order of two goods and a gift wrap, 25.00 in all."""
    return {
        "id": 1001,
        "admin_graphql_api_id": "gid://shopify/Order/1001",
        "created_at": AT,
        "updated_at": AT,
        "processed_at": AT,
        "cancelled_at": None,
        "confirmed": True,
        "test": False,
        "currency": "EUR",
        "financial_status": "paid",
        "taxes_included": True,
        "total_tax": "3.99",
        "total_discounts": "2.50",
        "total_price": "25.00",
        "email": "ada@example.com",
        "customer": {"id": 7, "first_name": "Ada", "last_name": "Teadrinker", "email": None},
        "shipping_address": {
            "name": "Ada Teadrinker",
            "address1": "1 Kettle Lane",
            "city": "Bremen",
            "zip": "28195",
            "province_code": "HB",
            "country_code": "DE",
        },
        "line_items": [
            line(11, "TEA-1", 2, "9.00"),
            line(12, "", 1, "3.00", name="Gift wrap", requires_shipping=False),
        ],
        "shipping_lines": [{"price": "6.50", "title": "Parcel"}],
    } | changes


def line(id: int, sku: str, quantity: int, price: Any, **more: Any) -> dict[str, Any]:
    """A line item."""
    return {
        "id": id,
        "sku": sku,
        "quantity": quantity,
        "price": price,
        "name": sku,
        "requires_shipping": True,
    } | more


def refund(**changes: Any) -> dict[str, Any]:
    """One unit of tea comes back."""
    item = {"line_item_id": 11, "quantity": 1, "restock_type": "return", "subtotal": 9.0}
    item["line_item"] = {"id": 11, "sku": "TEA-1"}
    return {
        "id": 501,
        "order_id": 1001,
        "created_at": LATER,
        "note": "too strong",
        "refund_line_items": [item],
    } | changes


def fulfillment(**changes: Any) -> dict[str, Any]:
    """A parcel that arrived."""
    return {
        "id": 901,
        "order_id": 1001,
        "status": "success",
        "shipment_status": "delivered",
        "tracking_number": "T1",
        "updated_at": LATER,
    } | changes


def heard(topic: str, payload: Any, id: str = "w1") -> Inbound | Noted:
    """What is to be done about a payload."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return read(Webhook(topic, id, body, "tea"), "tok_ok")
