"""Which message goes to which stream and decider: the whole of the order service on one page."""

from services.order import items
from services.order.domain import (
    cancelling,
    messages,
    paying,
    placing,
    reserving,
    returning,
    shipping,
    waiting,
)
from services.order.domain.evolve import evolve
from services.order.domain.saga import Policy, Saga
from services.order.domain.state import Order
from shared.events import Message, fulfillment, inventory, order, returns
from shared.ledger.table import Category, Handler, Table, one


def by_order(message: Message) -> str:
    """The order that another service's event is about."""
    return f"order-{message.order_id}"  # type: ignore[attr-defined]


_DEFAULT = Policy()


def table(policy: Policy = _DEFAULT) -> Table:
    """The order service's handlers, under a policy."""
    return Table(
        "order",
        [Category("order", Order, evolve, react=Saga(policy).react, schema=3)],
        {
            order.PlaceOrder: one(placing.place),
            order.RequestCancellation: one(cancelling.cancel),
            order.CancelOrder: one(cancelling.cancel),
            order.ReleaseHold: one(waiting.release),
            messages.OrderDeadline: one(waiting.deadline),
            inventory.StockReserved: one(reserving.reserved, by_order),
            inventory.StockBackordered: one(reserving.backordered, by_order),
            inventory.ReservationRejected: one(reserving.refused, by_order),
            inventory.ReservationCommitted: one(reserving.committed, by_order),
            inventory.CommitRefused: one(reserving.lost, by_order),
            inventory.ReservationExpired: one(reserving.lost, by_order),
            inventory.ReservationReleased: one(reserving.released, by_order),
            messages.AuthorisationAnswered: one(paying.authorised),
            messages.CaptureAnswered: one(paying.captured),
            messages.VoidAnswered: one(paying.voided),
            messages.RefundAnswered: one(paying.refunded),
            fulfillment.ItemsPicked: one(shipping.picked, by_order),
            fulfillment.PackagePacked: one(shipping.packed, by_order),
            fulfillment.Shipped: one(shipping.shipped, by_order),
            fulfillment.Delivered: one(shipping.delivered, by_order),
            fulfillment.FulfillmentCancelled: one(cancelling.stopped, by_order),
            fulfillment.FulfillmentCancellationRefused: one(cancelling.not_stopped, by_order),
            returns.ReturnInspected: one(returning.inspected, by_order),
            inventory.ItemRegistered: Handler(lambda _: (), items.note),
        },
        internal=messages.INTERNAL,
        projection=items.ITEMS,
    )
