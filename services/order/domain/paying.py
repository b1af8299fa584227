"""What the provider's answers mean for an order."""

from services.order.domain.messages import (
    AuthorisationAnswered,
    CaptureAnswered,
    RefundAnswered,
    VoidAnswered,
)
from services.order.domain.reserving import confirmation, stock_open
from services.order.domain.state import Order
from shared.events import Context, Items
from shared.events.currencies import shown
from shared.events.order import (
    CaptureRefused,
    HoldPlaced,
    OrderCancelled,
    OrderCompleted,
    OrderRejected,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentVoided,
    RefundFailed,
    RefundIssued,
)


def authorised(state: Order, answer: AuthorisationAnswered, context: Context) -> Items:
    """The provider guarantees the amount, or not. A cancelled order waits for this answer before it gives it up."""
    if not state.authorising:
        return []
    if answer.declined:
        declined = PaymentDeclined(
            order_id=state.order_id, payment_id=answer.payment_id, code=answer.declined
        )
        if state.cancelling:
            return [declined, *_cancelled_if(state, not stock_open(state))]
        if state.ended:
            return [declined]
        return [
            declined,
            OrderRejected(
                order_id=state.order_id, reason="payment_declined", detail=answer.declined
            ),
        ]
    guaranteed = PaymentAuthorised(
        order_id=state.order_id,
        payment_id=answer.payment_id,
        provider_ref=answer.provider_ref,
        amount=answer.amount,
    )
    if state.lines or state.cancelling or state.ended:
        return [guaranteed]
    return [guaranteed, confirmation(state)]


def captured(state: Order, answer: CaptureAnswered, context: Context) -> Items:
    """Money was taken for a package, which may now leave; or it waits behind a hold."""
    package = state.packages.get(answer.package_id)
    if package is None or package.status != "packed":
        return []
    if answer.capture_id != state.capture_id(answer.package_id):
        return []  # a late answer to an attempt that was over says nothing about this one
    if answer.refused:
        amount = shown(answer.amount.amount, answer.amount.currency)
        hold = _hold(state, f"capture of {amount} refused: {answer.refused}")
        refused = CaptureRefused(
            order_id=state.order_id,
            payment_id=answer.payment_id,
            capture_id=answer.capture_id,
            package_id=answer.package_id,
            reason=answer.refused,
        )
        return [refused, hold]
    taken = PaymentCaptured(
        order_id=state.order_id,
        payment_id=answer.payment_id,
        capture_id=answer.capture_id,
        package_id=answer.package_id,
        amount=answer.amount,
    )
    return [taken] if state.lines else [taken, OrderCompleted(order_id=state.order_id)]


def voided(state: Order, answer: VoidAnswered, context: Context) -> Items:
    """What was not captured is given up: a step of a cancellation, or the end of an order sent in part."""
    if state.payment is None or state.payment.voided:
        return []
    if answer.refused:
        return [_hold(state, f"void refused: {answer.refused}")]
    given_up = PaymentVoided(order_id=state.order_id, payment_id=answer.payment_id)
    return [given_up, *_cancelled_if(state, bool(state.cancelling) and not stock_open(state))]


def refunded(state: Order, answer: RefundAnswered, context: Context) -> Items:
    """The money is back with the shopper, or a person must see to it."""
    if answer.refund_id not in state.refunds_open:
        return []
    if answer.refused:
        failed = RefundFailed(
            order_id=state.order_id,
            refund_id=answer.refund_id,
            payment_id=answer.payment_id,
            return_id=answer.return_id,
            reason=answer.refused,
        )
        return [failed, _hold(state, f"refund {answer.refund_id} refused: {answer.refused}")]
    return [
        RefundIssued(
            order_id=state.order_id,
            refund_id=answer.refund_id,
            payment_id=answer.payment_id,
            return_id=answer.return_id,
            amount=answer.amount,
        )
    ]


def _cancelled_if(state: Order, done: bool) -> Items:
    return [OrderCancelled(order_id=state.order_id, reason=state.cancelling)] if done else []


def _hold(state: Order, reason: str) -> HoldPlaced:
    return HoldPlaced(
        order_id=state.order_id,
        hold_id=f"{state.order_id}.h{state.holds_placed + 1}",
        kind="payment",
        reason=reason,
    )
