"""What happened, in one plain sentence for each type of event."""

from collections.abc import Callable, Iterable
from typing import Any

from shared.events import Event, Money
from shared.events import fulfillment as f
from shared.events import inventory as i
from shared.events import notifications as n
from shared.events import order as o
from shared.events import returns as r
from shared.events.currencies import shown


def _goods(lines: Iterable[Any]) -> str:
    listed = list(lines)
    head = ", ".join(f"{line.quantity} × {line.sku}" for line in listed[:3])
    return head + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def _places(allocations: Iterable[Any]) -> str:
    return ", ".join(sorted({a.location for a in allocations}))


def _money(money: Money) -> str:
    return shown(money.amount, money.currency)


def _plain(text: str) -> str:
    return text.replace("_", " ")


def _because(reason: str) -> str:
    return f": {_plain(reason)}" if reason else ""


Words = Callable[[Any], str]

_ORDER: dict[type[Event], Words] = {
    o.OrderPlaced: lambda e: (
        f"Order {e.external_id} placed through {e.channel} for {shown(e.total, e.currency)}"
    ),
    o.OrderRejected: lambda e: f"Order refused{_because(e.reason)}",
    o.OrderReserved: lambda e: f"All goods promised from {_places(e.allocations)}",
    o.OrderBackordered: lambda _: "Order waits for stock",
    o.ReservationLost: lambda e: f"Promise of stock lost{_because(e.reason)}",
    o.PaymentAuthorised: lambda e: f"Payment of {_money(e.amount)} authorised",
    o.PaymentDeclined: lambda e: f"Payment declined{_because(e.code)}",
    o.OrderConfirmed: lambda e: f"Order confirmed for {_money(e.total)}",
    o.OrderPacked: lambda e: f"Package of {_goods(e.lines)} is worth {_money(e.capture)}",
    o.PaymentCaptured: lambda e: f"{_money(e.amount)} taken",
    o.CaptureRefused: lambda e: f"Taking the money was refused{_because(e.reason)}",
    o.OrderShipped: lambda e: f"Order notes that {_goods(e.lines)} left {e.location}",
    o.OrderDelivered: lambda e: f"Order notes that {_goods(e.lines)} arrived",
    o.LinesCancelled: lambda e: f"{_goods(e.lines)} will not be sent{_because(e.reason)}",
    o.OrderCompleted: lambda _: "Order completed",
    o.CancellationRequested: lambda e: f"Cancellation begins{_because(e.reason)}",
    o.CancellationRefused: lambda e: f"Cancellation refused{_because(e.reason)}",
    o.FulfillmentStopped: lambda _: "Order notes that the warehouse stopped",
    o.ReservationReturned: lambda _: "Nothing is promised to the order any more",
    o.PaymentVoided: lambda _: "Rest of the authorisation given up",
    o.OrderCancelled: lambda e: f"Order cancelled{_because(e.reason)}",
    o.ReturnAccepted: lambda e: f"Return of {_goods(e.lines)} accepted, {_money(e.refund)} owed",
    o.RefundIssued: lambda e: f"{_money(e.amount)} paid back",
    o.RefundFailed: lambda e: f"Refund failed{_because(e.reason)}",
    o.HoldPlaced: lambda e: f"Held for a person ({e.kind}){_because(e.reason)}",
    o.HoldReleased: lambda e: f"Hold released by {e.actor or 'somebody'}{_because(e.note)}",
}

_INVENTORY: dict[type[Event], Words] = {
    i.StockReserved: lambda e: f"Reserved {_goods(e.allocations)} at {_places(e.allocations)}",
    i.StockBackordered: lambda e: f"In line for {_goods(e.lines)}",
    i.ReservationRejected: lambda e: (
        f"Reservation refused{_because(e.reason)}, missing {_goods(e.shortages)}"
    ),
    i.ReservationCommitted: lambda e: f"Allocated {_goods(e.allocations)} to the order",
    i.ReservationConsumed: lambda e: (
        f"{_goods(e.allocations)} taken off the stock of {_places(e.allocations)}"
    ),
    i.ReservationReleased: lambda e: (
        (f"{_goods(e.allocations)} back in stock" if e.allocations else "Nothing was promised")
        + _because(e.reason)
    ),
    i.CommitRefused: lambda e: f"Allocation refused{_because(e.reason)}",
    i.ReservationExpired: lambda _: "Reservation expired: nobody paid in time",
    i.ItemRegistered: lambda e: f"{e.sku} registered",
    i.StockReceived: lambda e: f"{e.quantity} × {e.sku} received at {e.location}",
    i.StockAdjusted: lambda e: (
        f"Stock of {e.sku} at {e.location} corrected by {e.quantity:+d}{_because(e.reason)}"
    ),
    i.StockRestocked: lambda e: f"{e.quantity} × {e.sku} back on the shelf at {e.location}",
}

_FULFILLMENT: dict[type[Event], Words] = {
    f.FulfillmentOpened: lambda e: f"{e.location} can pick {_goods(e.lines)}",
    f.PickingStarted: lambda e: f"Picking started{f' by {e.picker}' if e.picker else ''}",
    f.ItemsPicked: lambda e: (
        f"Picked {_goods(e.lines) or 'nothing'}"
        + (f", short of {_goods(e.short)}{_because(e.short_reason)}" if e.short else "")
    ),
    f.PackagePacked: lambda e: f"Packed {_goods(e.lines)}",
    f.PackageReleased: lambda _: "Package is paid for and may leave",
    f.Shipped: lambda e: (
        f"{_goods(e.lines)} left {e.location} with {e.carrier or 'the carrier'}"
        + (f", tracking {e.tracking_number}" if e.tracking_number else "")
    ),
    f.Delivered: lambda e: f"{_goods(e.lines)} delivered",
    f.FulfillmentCancelled: lambda e: f"Warehouse stopped{_because(e.reason)}",
    f.FulfillmentCancellationRefused: lambda e: f"Too late to stop{_because(e.reason)}",
}

_RETURNS: dict[type[Event], Words] = {
    r.ReturnRequested: lambda e: f"Return of {_goods(e.lines)} asked for",
    r.ReturnApproved: lambda _: "Return approved",
    r.ReturnDeclined: lambda e: f"Return declined{_because(e.reason)}",
    r.ReturnCancelled: lambda _: "Return cancelled",
    r.ReturnReceived: lambda e: f"{_goods(e.lines)} came back to {e.location}",
    r.ReturnInspected: lambda e: (
        "Inspected: "
        + ", ".join(f"{x.quantity} × {x.sku} {_plain(x.disposition)}" for x in e.lines[:3])
    ),
    r.ReturnSettled: lambda e: f"Return settled with {_money(e.amount)}",
}

_NOTIFICATIONS: dict[type[Event], Words] = {
    n.NotificationRequested: lambda e: f"E-mail “{_plain(e.template)}” is due",
    n.NotificationSent: lambda _: "E-mail sent",
    n.NotificationFailed: lambda e: f"E-mail failed{_because(e.reason)}",
}

WORDS: dict[type[Event], Words] = _ORDER | _INVENTORY | _FULFILLMENT | _RETURNS | _NOTIFICATIONS


def summary(event: Event) -> str:
    """What happened, in plain words."""
    words = WORDS.get(type(event))
    return words(event) if words is not None else _plain(event.tag().split(".")[2]).capitalize()
