"""What each kind of webhook becomes: one input of this service, or nothing to do."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from services.integrations.channels.shopify.orders import AWAITING, PAID, place_order
from services.integrations.channels.shopify.values import (
    Unusable,
    decoded,
    exact_id,
    quantity_of,
    records,
    text_of,
    time_of,
)
from services.integrations.domain.channel_order import fingerprint
from services.integrations.domain.messages import (
    Inbound,
    RefuseInput,
    RefuseNewOrder,
    TakeCancellation,
    TakeDelivery,
    TakeOrder,
    TakeReturn,
)
from services.integrations.intake import storable
from shared.events.order import RequestCancellation, order_id_for
from shared.events.returns import RequestReturn, ReturnLine

SOURCE = "shopify."


class Webhook(NamedTuple):
    """One webhook: its topic, its id (``X-Shopify-Webhook-Id``), its body as it came, and the channel of its shop."""

    topic: str
    id: str
    body: bytes
    channel: str


class Noted(NamedTuple):
    """There is nothing to do, and why."""

    why: str


#: A payload, the webhook that brought it, and how paid orders are paid here, to what is to be done.
Reader = Callable[[Mapping[str, Any], Webhook, str], Inbound | Noted]


def read(webhook: Webhook, payment_method: str) -> Inbound | Noted:
    """What is to be done about a webhook. What no rule takes is refused, with its reason, and never raises."""
    try:
        reader = READERS.get(webhook.topic)
        if reader is None:
            raise Unusable("topic_not_taken", _not_taken(webhook.topic))
        return reader(decoded(webhook.body), webhook, payment_method)
    except Unusable as error:
        return RefuseInput(
            **_said(webhook, None),
            channel=webhook.channel,
            reason=error.code,
            detail=str(error)[:2000],
        )


def _said(webhook: Webhook, at: datetime | None) -> dict[str, Any]:
    return {
        "source": SOURCE + webhook.topic,
        "reference": webhook.id,
        "payload": storable(webhook.body.decode("utf-8", "backslashreplace")),
        "said_at": at,
    }


def _order(order: Mapping[str, Any], webhook: Webhook, payment_method: str) -> Inbound | Noted:
    """Every webhook about an order carries all of it: whichever comes first places it, and a later one changes nothing."""
    if "line_items" not in order:
        raise Unusable("not_an_order", "it has no line_items: it is no order")
    at = time_of(order, "updated_at")
    if time_of(order, "cancelled_at") is not None:
        return TakeCancellation(
            **_said(webhook, at),
            request=RequestCancellation(
                channel=webhook.channel,
                external_id=exact_id(order),
                reason=text_of(order, "cancel_reason") or "cancelled in the shop",
            ),
        )
    status = text_of(order, "financial_status")
    if order.get("test") is True:
        raise Unusable("test_order", "it is a test order of the shop")
    if order.get("confirmed") is False:
        return Noted("the shop has not confirmed it; it comes again when it has")
    if status in AWAITING:
        return Noted(f"its money is {status}; it comes again by orders/paid")
    if status not in PAID:  # of an order that went on, refunds/create tells
        return RefuseNewOrder(
            **_said(webhook, at),
            channel=webhook.channel,
            external_id=exact_id(order),
            reason="not_payable",
            detail=f"financial_status is {status or 'missing'}",
        )
    command = place_order(order, webhook.channel, payment_method)
    # The shop says the whole order again at each update: a change that is refused is kept once.
    identity = f"{command.key} {fingerprint(command)}"
    return TakeOrder(**_said(webhook, at), order=command, identity=identity)


def _refund(refund: Mapping[str, Any], webhook: Webhook, payment_method: str) -> Inbound | Noted:
    """Goods that come back are a return. Money alone, and units that were never sent, are for a person."""
    number = exact_id(refund, "order_id", "admin_graphql_api_order_id")
    id = exact_id(refund)
    lines = []
    for n, item in enumerate(records(refund, "refund_line_items")):
        kind = text_of(item, "restock_type")
        if kind != "return":
            raise Unusable(
                "not_a_return",
                f"refund_line_items/{n} is {kind or 'of no kind'}: the shop paid back units that do not come back "
                "here; a person books it",
            )
        line = item.get("line_item")
        named = line if isinstance(line, dict) else {"id": item.get("line_item_id")}
        lines.append(
            ReturnLine(
                line_id=exact_id(named),
                sku=text_of(named, "sku"),
                quantity=quantity_of(item),
                reason=text_of(refund, "note") or "refunded in the shop",
            )
        )
    if not lines:
        raise Unusable("money_alone", "the shop paid back money and no goods: a person books it")
    return TakeReturn(
        **_said(webhook, time_of(refund, "created_at")),
        channel=webhook.channel,
        request=RequestReturn(
            return_id=f"{webhook.channel}.refund.{id}",
            order_id=order_id_for(webhook.channel, number),
            lines=tuple(lines),
            actor=webhook.channel,
        ),
    )


def _fulfillment(
    fulfillment: Mapping[str, Any], webhook: Webhook, payment_method: str
) -> Inbound | Noted:
    """Parcels leave from here, so the shop mostly says what is known; that one arrived is news."""
    status = text_of(fulfillment, "status")
    if status in ("cancelled", "error", "failure"):
        raise Unusable("fulfillment_failed", f"the shop says that it is {status}: a person looks")
    at = time_of(fulfillment, "updated_at")
    arrived = text_of(fulfillment, "shipment_status") == "delivered"
    tracking = text_of(fulfillment, "tracking_number")
    number = exact_id(fulfillment, "order_id", "admin_graphql_api_order_id")
    if not tracking:
        if arrived:
            raise Unusable("no_tracking", "it arrived, and no tracking number says which parcel")
        return Noted("it has no tracking number yet")
    return TakeDelivery(
        **_said(webhook, at),
        channel=webhook.channel,
        external_id=number,
        tracking_number=tracking,
        delivered_at=at if arrived else None,
    )


READERS: dict[str, Reader] = {
    **dict.fromkeys(
        (
            "orders/create",
            "orders/updated",
            "orders/cancelled",
            "orders/paid",
            "orders/fulfilled",
            "orders/partially_fulfilled",
        ),
        _order,
    ),
    "refunds/create": _refund,
    "fulfillments/create": _fulfillment,
    "fulfillments/update": _fulfillment,
}

_PRIVACY = ("customers/redact", "customers/data_request", "shop/redact")


def _not_taken(topic: str) -> str:
    if topic in _PRIVACY:
        return f"{topic} asks for what only a person may do"
    if topic == "orders/edited":
        return "orders/edited tells what was changed and not the order: orders/updated follows it"
    return f"{topic} says nothing that this system acts on: do not subscribe to it"
