"""Which message is decided by what: the whole of the integrations service on one page."""

from services.integrations.domain import channel_order, parcels, placing, refusal
from services.integrations.domain.channel_order import ChannelOrder, streams
from services.integrations.domain.messages import (
    INTERNAL,
    CloseRefusal,
    RefuseInput,
    RefuseNewOrder,
    TakeCancellation,
    TakeDelivery,
    TakeOrder,
    TakeReturn,
)
from services.integrations.domain.refusal import Refusal
from services.integrations.refused import REFUSED
from shared.events import Message, order
from shared.ledger.table import Category, Handler, Table, one


def by_order(message: Message) -> str:
    """What is known of the order that another service's event is about."""
    return f"channelorder-{message.order_id}"  # type: ignore[attr-defined]


def table() -> Table:
    """The integrations service's handlers."""
    return Table(
        "integrations",
        [
            Category("channelorder", ChannelOrder, channel_order.evolve),
            Category("refusal", Refusal, refusal.evolve),
        ],
        {
            TakeOrder: Handler(streams, placing.take),
            RefuseNewOrder: Handler(streams, placing.refuse),
            TakeCancellation: Handler(streams, placing.cancel),
            TakeReturn: Handler(streams, parcels.give_back),
            TakeDelivery: Handler(streams, parcels.deliver),
            RefuseInput: one(refusal.refuse),
            CloseRefusal: one(refusal.settled),
            order.OrderRejected: one(placing.rejected, by_order),
            order.OrderShipped: one(parcels.shipped, by_order),
        },
        internal=INTERNAL,
        projection=REFUSED,
    )
