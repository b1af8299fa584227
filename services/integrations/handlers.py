"""Which message is decided by what: the whole of the integrations service on one page."""

from services.integrations.domain import channel_order, refusal
from services.integrations.domain.channel_order import ChannelOrder
from services.integrations.domain.messages import (
    INTERNAL,
    CloseRefusal,
    RefuseInput,
    TakeCancellation,
    TakeOrder,
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
            TakeOrder: Handler(channel_order.streams, channel_order.take),
            TakeCancellation: Handler(channel_order.streams, channel_order.cancel),
            RefuseInput: one(refusal.refuse),
            CloseRefusal: one(refusal.settled),
            order.OrderRejected: one(channel_order.rejected, by_order),
        },
        internal=INTERNAL,
        projection=REFUSED,
    )
