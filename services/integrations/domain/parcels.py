"""What a channel says of parcels that left: that they arrived, or that goods come back."""

from services.integrations.domain import refusal
from services.integrations.domain.channel_order import ChannelOrder
from services.integrations.domain.messages import TakeDelivery, TakeReturn
from shared.events import Context, Items, LineQuantity, Refused, States
from shared.events.fulfillment import ConfirmDelivery
from shared.events.integrations import DeliveryForwarded, ParcelSeen, ReturnForwarded
from shared.events.limits import has_passed
from shared.events.order import OrderShipped

_UNKNOWN = (
    "order_unknown",
    "no order of this number has come from the channel: resubmit it when it has",
)


def shipped(state: ChannelOrder, event: OrderShipped, context: Context) -> Items:
    """Remember a parcel of a channel's order."""
    if not state.fingerprint or event.package_id in state.parcels:
        return []
    return [
        ParcelSeen(
            order_id=event.order_id,
            fulfillment_id=event.fulfillment_id,
            package_id=event.package_id,
            tracking_number=event.tracking_number,
            lines=event.lines,
        )
    ]


def deliver(states: States, command: TakeDelivery, context: Context) -> Items:
    """Tell the fulfillment service of an arrival, once. What is under way is known here already."""
    state: ChannelOrder = states[command.subject]
    if not state.fingerprint:
        return _refuse(states, command, *_UNKNOWN)
    parcels = [
        (id, p) for id, p in state.parcels.items() if p.tracking_number == command.tracking_number
    ]
    if not parcels:
        why = f"no parcel of this order left under {command.tracking_number!r}: it was sent elsewhere, or has not left"
        return _refuse(states, command, "tracking_unknown", why)
    if command.delivered_at is not None and not has_passed(command.delivered_at, context.now):
        why = f"it cannot have arrived at {command.delivered_at.isoformat()}: resubmit it with a time that has passed"
        return _refuse(states, command, "delivered_at", why)
    out: Items = []
    for id, parcel in parcels:
        if command.delivered_at is not None and not parcel.delivered:
            out += [
                DeliveryForwarded(
                    order_id=command.order_id,
                    package_id=id,
                    source=command.source,
                    reference=command.reference,
                ),
                ConfirmDelivery(
                    fulfillment_id=parcel.fulfillment_id,
                    order_id=command.order_id,
                    package_id=id,
                    delivered_at=command.delivered_at,
                ),
            ]
    return [*out, *refusal.settled(states[command.refusal], command, context)]


def give_back(states: States, command: TakeReturn, context: Context) -> Items:
    """Ask the returns service to expect what comes back, once, and no more than left."""
    state: ChannelOrder = states[command.subject]
    if not state.fingerprint:
        return _refuse(states, command, *_UNKNOWN)
    settled = refusal.settled(states[command.refusal], command, context)
    if command.request.return_id in state.returns:
        return settled
    short = [
        f"line {x.line_id}: {x.quantity} back, {state.returnable.get(x.line_id, 0)} left and not asked back"
        for x in command.request.lines
        if x.quantity > state.returnable.get(x.line_id, 0)
    ]
    if short:
        return _refuse(states, command, "not_shipped", "; ".join(short)[:2000])
    forwarded = ReturnForwarded(
        order_id=command.order_id,
        return_id=command.request.return_id,
        source=command.source,
        reference=command.reference,
        lines=tuple(
            LineQuantity(line_id=x.line_id, sku=x.sku, quantity=x.quantity)
            for x in command.request.lines
        ),
    )
    return [forwarded, command.request, *settled]


def _refuse(states: States, command: TakeDelivery | TakeReturn, code: str, detail: str) -> Items:
    kept = refusal.keep(states[command.refusal], command, command.channel, code, detail)
    return [*kept, Refused(code=code, detail=detail)]
