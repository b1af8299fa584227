"""Which message is decided by what: the whole of the integrations service on one page."""

from typing import Any

from services.integrations.domain import (
    book,
    channel_order,
    cursors,
    erp,
    parcels,
    placing,
    refusal,
    wms,
    wms_answers,
    wms_requests,
)
from services.integrations.domain.book import Book
from services.integrations.domain.channel_order import ChannelOrder, streams
from services.integrations.domain.cursors import AcknowledgeDocuments, Cursor, RewindDocuments
from services.integrations.domain.erp import ErpOrder
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
from services.integrations.domain.wms import WmsOrder
from services.integrations.domain.wms_requests import Submitting
from services.integrations.erp.documents import DOCUMENTS
from services.integrations.refused import REFUSED
from services.integrations.wms.orders import WMS_ORDERS
from shared.events import Context, Items, Message, States, fulfillment, order
from shared.events import wms as w
from shared.ledger.table import Category, Handler, Projection, Statement, Table, one


def by_order(message: Message) -> str:
    """What is known of the order that another service's event is about."""
    return f"channelorder-{message.order_id}"  # type: ignore[attr-defined]


def by_erp_order(message: Message) -> str:
    """What is known of an order for its documents."""
    return f"erporder-{message.order_id}"  # type: ignore[attr-defined]


def by_wms_order(message: Message) -> str:
    """What passed between us and the warehouse about a fulfillment."""
    return f"wmsorder-{message.fulfillment_id}"  # type: ignore[attr-defined]


def table(*, erp_feed: bool = True, wms_locations: frozenset[str] = frozenset()) -> Table:
    """The integrations service's handlers; ``wms_locations`` are those that an external warehouse handles."""
    handlers = dict(CHANNELS)
    if erp_feed:
        handlers |= {t: _both(handlers[t], h) if t in handlers else h for t, h in ERP.items()}
    if wms_locations:
        opened = Submitting(wms_locations).opened
        handlers[fulfillment.FulfillmentOpened] = one(opened, by_wms_order)
        handlers |= WMS
    return Table(
        "integrations",
        [
            Category("channelorder", ChannelOrder, channel_order.evolve),
            Category("refusal", Refusal, refusal.evolve),
            Category("erporder", ErpOrder, erp.evolve),
            Category("erpbook", Book, book.evolve),
            Category("erpcursor", Cursor, cursors.evolve),
            Category("wmsorder", WmsOrder, wms.evolve),
        ],
        handlers,
        internal=(*INTERNAL, AcknowledgeDocuments, RewindDocuments),
        projection=_all(REFUSED, DOCUMENTS, WMS_ORDERS),
    )


CHANNELS: dict[type[Message], Handler] = {
    TakeOrder: Handler(streams, placing.take),
    RefuseNewOrder: Handler(streams, placing.refuse),
    TakeCancellation: Handler(streams, placing.cancel),
    TakeReturn: Handler(streams, parcels.give_back),
    TakeDelivery: Handler(streams, parcels.deliver),
    RefuseInput: one(refusal.refuse),
    CloseRefusal: one(refusal.settled),
    order.OrderRejected: one(placing.rejected, by_order),
    order.OrderShipped: one(parcels.shipped, by_order),
}
ERP: dict[type[Message], Handler] = {
    order.OrderPlaced: one(erp.placed, by_erp_order),
    order.OrderPacked: one(erp.packed, by_erp_order),
    order.ReturnAccepted: one(erp.returned, by_erp_order),
    order.OrderConfirmed: Handler(erp.streams, erp.confirmed),
    order.OrderShipped: Handler(erp.streams, erp.shipped),
    order.PaymentCaptured: Handler(erp.capture_streams, erp.captured),
    order.RefundIssued: Handler(erp.streams, erp.refunded),
    AcknowledgeDocuments: Handler(cursors.streams, cursors.acknowledge),
    RewindDocuments: Handler(cursors.streams, cursors.rewind),
}
WMS: dict[type[Message], Handler] = {
    fulfillment.PackageReleased: one(wms_requests.released, by_wms_order),
    fulfillment.FulfillmentCancelled: one(wms_requests.cancelled, by_wms_order),
    w.ReportAccepted: one(wms_answers.accepted),
    w.ReportRejected: one(wms_answers.rejected),
    w.ReportPicked: one(wms_answers.picked),
    w.ReportPacked: one(wms_answers.packed),
    w.ReportShipped: one(wms_answers.shipped),
    w.ReportDelivered: one(wms_answers.delivered),
    w.ReportCancellationAccepted: one(wms_answers.cancellation_accepted),
    w.ReportCancellationRejected: one(wms_answers.cancellation_rejected),
}


def _both(first: Handler, second: Handler) -> Handler:
    """Two rooms of this service hear the same message; each decides from its own streams."""

    def decide(states: States, message: Any, context: Context) -> Items:
        return [
            item
            for each in (first, second)
            for item in each.decide(
                {id: states[id] for id in each.streams(message)}, message, context
            )
        ]

    return Handler(lambda message: (*first.streams(message), *second.streams(message)), decide)


def _all(*projections: Projection) -> Projection:
    """Several projections as the one that a table takes."""

    def statements(messages: list[Message], states: States) -> list[Statement]:
        return [
            statement
            for each in projections
            for statement in each.statements([m for m in messages if type(m) in each.types], states)
        ]

    return Projection(frozenset().union(*(p.types for p in projections)), statements)
