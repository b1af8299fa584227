"""Which message is decided by what."""

from collections.abc import Callable
from typing import Any

from services.notifications.domain import correspondence, endpoints
from services.notifications.domain.correspondence import Correspondence, Told, stream_of
from services.notifications.domain.endpoints import Delivery, Registry
from services.notifications.domain.messages import (
    INTERNAL,
    MailRefused,
    MailTaken,
    ReadEndpoints,
    RegisterEndpoint,
    RemoveEndpoint,
    WebhookAbandoned,
    WebhookAnswered,
)
from shared.events import Context, Event, Items, Message, States, fulfillment, order, returns
from shared.events.codec import types_in
from shared.events.notifications import ENDPOINTS
from shared.ledger.table import Category, Handler, Table, one

#: Every type that a webhook endpoint can subscribe to.
WEBHOOK_TYPES: tuple[type[Event], ...] = (
    *(t for t in types_in(order, returns) if issubclass(t, Event) and not t.private),
    fulfillment.Shipped,
    fulfillment.Delivered,
)
MAIL_TYPES: tuple[type[Event], ...] = (
    order.OrderConfirmed,
    order.OrderRejected,
    order.OrderCancelled,
    order.OrderShipped,
    order.RefundIssued,
)

CATEGORIES = (
    Category("correspondence", Correspondence, correspondence.evolve),
    Category("endpoints", Registry, endpoints.evolve),
    Category("webhook", Delivery, endpoints.evolve_delivery),
)

OWN: dict[type[Message], Handler] = {
    MailTaken: one(correspondence.settle),
    MailRefused: one(correspondence.settle),
    RegisterEndpoint: one(endpoints.register),
    RemoveEndpoint: one(endpoints.remove),
    ReadEndpoints: one(endpoints.read),
    WebhookAnswered: Handler(lambda m: (m.subject, ENDPOINTS), endpoints.settle),
    WebhookAbandoned: Handler(lambda m: (m.subject, ENDPOINTS), endpoints.settle),
}


def table(*, send: bool = True, webhooks: bool = True) -> Table:
    """The service's table. Without ``send`` mails are recorded and not sent; without ``webhooks``
    only what mails need is consumed, and no endpoint gets anything."""

    def opens(state: Correspondence, event: order.OrderPlaced, _: Context) -> Items:
        return correspondence.open_for(state, event)

    def tells(state: Correspondence, event: Told, context: Context) -> Items:
        return correspondence.tell(state, event, context, send=send)

    also = _with_webhooks if webhooks else _alone
    handlers: dict[type[Message], Handler] = dict(OWN)
    if webhooks:
        handlers |= {t: one(endpoints.dispatch, _registry) for t in WEBHOOK_TYPES}
    handlers[order.OrderPlaced] = also(opens)
    handlers |= {t: also(tells) for t in MAIL_TYPES}
    return Table("notifications", CATEGORIES, handlers, INTERNAL)


Decider = Callable[[Correspondence, Any, Context], Items]


def _registry(_: Any) -> str:
    return ENDPOINTS


def _order(event: Any) -> str:
    return stream_of(event.order_id)


def _alone(decide: Decider) -> Handler:
    return one(decide, _order)


def _with_webhooks(decide: Decider) -> Handler:
    """Mail first, then webhooks, of the same event."""

    def both(states: States, event: Any, context: Context) -> Items:
        items = decide(states[_order(event)], event, context)
        return items + endpoints.dispatch(states[ENDPOINTS], event, context)

    return Handler(lambda event: (_order(event), ENDPOINTS), both)
