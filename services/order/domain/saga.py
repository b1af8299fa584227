"""The saga: leads an order through stock, payment and warehouse, and back out again.

`Saga.react` answers each event that was just folded with data: commands to the other services, calls to the provider,
timers. It has no state of its own: the order's is enough.

One timer watches the order's step, another its cancellation, so that an attempt to cancel never moves the deadline of an
order that goes on.
"""

from datetime import timedelta

import msgspec

from services.order.domain.messages import (
    AuthorisePayment,
    CapturePayment,
    OrderDeadline,
    RefundPayment,
    VoidPayment,
)
from services.order.domain.reserving import give_back, stock_open
from services.order.domain.state import FEES, Order, Package, fulfillments_of
from services.order.domain.waiting import current_step, is_live
from shared.events import CancelTimer, Context, Effect, Items, LineQuantity, Money, StartTimer
from shared.events import order as e
from shared.events.fulfillment import CancelFulfillment, CreateFulfillment, ReleasePackage
from shared.events.inventory import CommitReservation, ConsumeReservation, ReserveStock

TIMER = "deadline"
CANCELLING_TIMER = "cancelling"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How long the saga waits, in seconds."""

    hold_seconds: int = 900
    placed_seconds: int = 3_600
    backordered_seconds: int = 30 * 86_400
    confirmed_seconds: int = 14 * 86_400
    cancelling_seconds: int = 3_600


class Saga:
    """Reacts to an order's events under a policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def react(self, state: Order, event: e.OrderEvent, context: Context) -> Items:
        """What is to be done about an event; ``state`` has it folded in already."""
        match event:
            case e.OrderPlaced():
                if state.lines:
                    return [self._reserve(state), self._watch(state, "placed", context)]
                return [*_authorise(state), self._watch(state, "placed", context)]
            case e.OrderReserved():
                return [*self._watch_filled(state, context), *_pay_or_commit(state)]
            case e.OrderBackordered():
                return [self._watch(state, "backordered", context)]
            case e.ReservationLost():
                return [self._reserve(state)]
            case e.PaymentAuthorised():
                return _authorised(state)
            case e.OrderConfirmed():
                return self._confirmed(state, context)
            case e.OrderRejected():
                return _rejected(state)
            case e.OrderCompleted():
                return [*_unwatch(state, TIMER), *_void_rest(state)]
            case e.OrderCancelled():
                return _unwatch(state, TIMER, CANCELLING_TIMER)
            case e.CancellationRequested():
                return [self._watch(state, "cancelling", context), *_stop(state)]
            case e.CancellationRefused():
                return _unwatch(state, CANCELLING_TIMER)
            case e.FulfillmentStopped():
                return _undo(state) if "open" not in state.fulfillments.values() else []
            case e.HoldReleased():
                again = self._watch_again(state, context)
                return [*again, *_captures(state), *_void_again(state)]
            case _:
                return _react_to_goods(state, event)

    def _reserve(self, state: Order) -> ReserveStock:
        return ReserveStock(
            reservation_id=state.reservation_id,
            order_id=state.order_id,
            lines=state.quantities(),
            backorder=state.backorder,
            hold_seconds=self._policy.hold_seconds,
        )

    def _confirmed(self, state: Order, context: Context) -> Items:
        if not state.lines:
            return [*_captures(state), self._watch(state, "confirmed", context)]
        create = [
            CreateFulfillment(
                fulfillment_id=id,
                order_id=state.order_id,
                location=location,
                ship_to=state.ship_to,
                lines=tuple(
                    LineQuantity(line_id=a.line_id, sku=a.sku, quantity=a.quantity)
                    for a in state.allocations
                    if a.location == location
                ),
            )
            for id, location in fulfillments_of(state.order_id, state.allocations).items()
        ]
        return [*create, self._watch(state, "confirmed", context)]

    def _watch_filled(self, state: Order, context: Context) -> Items:
        """An order that may have waited for stock has a deadline of weeks: for payment it gets that of an order that was
        just placed."""
        return [self._watch(state, "placed", context)] if state.backorder == "wait" else []

    def _watch_again(self, state: Order, context: Context) -> Items:
        """A person has seen the order: all that is still waited for gets its time anew."""
        if not is_live(state):
            return []
        steps = [current_step(state), *(["cancelling"] if state.cancelling else [])]
        return [self._watch(state, step, context) for step in steps]

    def _watch(self, state: Order, step: str, context: Context) -> StartTimer:
        seconds = getattr(self._policy, f"{step}_seconds", self._policy.confirmed_seconds)
        return StartTimer(
            name=CANCELLING_TIMER if step == "cancelling" else TIMER,
            due_at=context.now + timedelta(seconds=seconds),
            message=OrderDeadline(order_id=state.order_id, step=step),  # type: ignore[arg-type]
        )


def _react_to_goods(state: Order, event: e.OrderEvent) -> Items:
    match event:
        case e.OrderPacked():
            package = state.packages[event.package_id]
            if package.amount == 0:
                return [_release(state, event.package_id, package)]
            return [_capture(state, event.package_id, package)]
        case e.PaymentCaptured() if event.package_id != FEES:
            return [_release(state, event.package_id, state.packages[event.package_id])]
        case e.OrderShipped():
            return [
                ConsumeReservation(
                    reservation_id=state.reservation_id,
                    order_id=state.order_id,
                    lines=event.lines,
                    package_id=event.package_id,
                    location=event.location,
                )
            ]
        case e.LinesCancelled():
            location = fulfillments_of(state.order_id, state.allocations)[event.fulfillment_id]
            part = f"{event.fulfillment_id}.short"
            return [give_back(state, event.reason, event.lines, location, part)]
        case e.ReturnAccepted() if event.refund.amount > 0:
            return [_refund(state, event)]
        case _:
            return []


def _pay_or_commit(state: Order) -> Items:
    if state.payment is not None or state.total == 0:
        return [_commit(state)]
    return _authorise(state)


def _authorise(state: Order) -> Items:
    if state.total == 0 or not state.authorising:
        return []
    payment_id = f"{state.order_id}.pay1"
    request = AuthorisePayment(
        order_id=state.order_id,
        payment_id=payment_id,
        method=state.payment_method,
        amount=Money(state.total, state.currency),
    )
    return [Effect(id=f"{payment_id}:authorise", subject=request.subject, request=request)]


def _authorised(state: Order) -> Items:
    """Money is guaranteed: make the stock firm. An order that ended, or is ending with nothing to stop, gives it up."""
    if state.ended:
        return _void(state)
    if state.cancelling:
        return _void(state) if "open" not in state.fulfillments.values() else []
    return [_commit(state)] if state.reservation == "held" else []


def _commit(state: Order) -> CommitReservation:
    return CommitReservation(
        reservation_id=state.reservation_id, order_id=state.order_id, lines=state.quantities()
    )


def _unwatch(state: Order, *timers: str) -> Items:
    return [CancelTimer(subject=f"order-{state.order_id}", name=name) for name in timers]


def _rejected(state: Order) -> Items:
    out = _unwatch(state, TIMER, *([CANCELLING_TIMER] if state.cancelling else []))
    if stock_open(state):
        out.append(give_back(state, f"order rejected: {state.rejection}"))
    return [*out, *_void(state)]


def _stop(state: Order) -> Items:
    """The first step of cancelling: warehouses first, since a parcel can't be called back; then stock and money."""
    open_ones = [id for id, status in state.fulfillments.items() if status == "open"]
    if not open_ones:
        return _undo(state)
    return [
        CancelFulfillment(fulfillment_id=id, order_id=state.order_id, reason=state.cancelling)
        for id in open_ones
    ]


def _undo(state: Order) -> Items:
    """Nothing will be sent any more: give back stock and money. An authorisation still under way is given up when it is
    answered."""
    out: Items = (
        [give_back(state, f"order cancelled: {state.cancelling}")] if stock_open(state) else []
    )
    return [*out, *_void(state)]


def _captures(state: Order) -> Items:
    """The captures that are still waited for. A free package waits for nobody."""
    return [
        _capture(state, id, p)
        for id, p in state.packages.items()
        if p.status == "packed" and p.amount > 0
    ]


def _capture(state: Order, package_id: str, package: Package) -> Effect:
    assert state.payment is not None
    capture_id = state.capture_id(package_id)
    request = CapturePayment(
        order_id=state.order_id,
        payment_id=state.payment.payment_id,
        provider_ref=state.payment.provider_ref,
        capture_id=capture_id,
        package_id=package_id,
        amount=Money(package.amount, state.currency),
    )
    return Effect(id=f"{capture_id}:capture", subject=request.subject, request=request)


def _release(state: Order, package_id: str, package: Package) -> ReleasePackage:
    return ReleasePackage(
        fulfillment_id=package.fulfillment_id, order_id=state.order_id, package_id=package_id
    )


def _void(state: Order) -> Items:
    payment = state.payment
    if payment is None or payment.voided:
        return []
    request = VoidPayment(
        order_id=state.order_id, payment_id=payment.payment_id, provider_ref=payment.provider_ref
    )
    return [Effect(id=f"{payment.payment_id}:void", subject=request.subject, request=request)]


def _void_rest(state: Order) -> Items:
    """A shopper who got less than ordered gets the rest of the guarantee back at once."""
    payment = state.payment
    return _void(state) if payment is not None and payment.captured < payment.authorised else []


def _void_again(state: Order) -> Items:
    """What an order that ends could not give up, once a person has seen to it at the provider."""
    ending = state.cancelling and "open" not in state.fulfillments.values()
    over = state.status in ("rejected", "completed")
    return _void_rest(state) if ending or over else []


def _refund(state: Order, event: e.ReturnAccepted) -> Effect:
    assert state.payment is not None
    request = RefundPayment(
        order_id=state.order_id,
        payment_id=state.payment.payment_id,
        provider_ref=state.payment.provider_ref,
        refund_id=event.refund_id,
        return_id=event.return_id,
        amount=event.refund,
    )
    return Effect(id=f"{event.refund_id}:refund", subject=request.subject, request=request)
