"""What the order service told of an order's money: payments, what its packages cost, and refunds."""

from datetime import datetime

from msgspec.structs import replace

from services.views.domain.order_part import OrderPart, Payment, Refund, new_package
from services.views.domain.units import Fold, change, find, per_line
from shared.events import order as o


def _payment(id: str) -> Payment:
    return Payment(payment_id=id)


def _refund(id: str) -> Refund:
    return Refund(refund_id=id)


def _authorised(part: OrderPart, e: o.PaymentAuthorised, at: datetime) -> OrderPart:
    known = find(part.payments, e.payment_id) or _payment(e.payment_id)
    payments = change(
        part.payments,
        e.payment_id,
        _payment,
        provider_ref=e.provider_ref,
        authorised=known.authorised + e.amount.amount,
        declined="",
        at=at,
    )
    return replace(part, payments=payments)


def _declined(part: OrderPart, e: o.PaymentDeclined, at: datetime) -> OrderPart:
    return replace(
        part, payments=change(part.payments, e.payment_id, _payment, declined=e.code, at=at)
    )


def _captured(part: OrderPart, e: o.PaymentCaptured, at: datetime) -> OrderPart:
    payment = find(part.payments, e.payment_id) or _payment(e.payment_id)
    total = payment.captured + e.amount.amount
    payments = change(part.payments, e.payment_id, _payment, captured=total)
    if not e.package_id:
        fees = part.fees_captured + e.amount.amount
        return replace(part, payments=payments, fees_captured=fees)
    package = find(part.packages, e.package_id) or new_package(e.package_id)
    packages = change(
        part.packages, e.package_id, new_package, captured=e.amount.amount, paid_at=at, refusal=""
    )
    paid = per_line(package.lines)
    lines = tuple(
        replace(line, paid=min(line.ordered, line.paid + paid.get(line.line_id, 0)))
        for line in part.lines
    )
    return replace(part, payments=payments, packages=packages, lines=lines)


def _capture_refused(part: OrderPart, e: o.CaptureRefused, at: datetime) -> OrderPart:
    if not e.package_id:
        return part
    return replace(
        part, packages=change(part.packages, e.package_id, new_package, refusal=e.reason)
    )


def _voided(part: OrderPart, e: o.PaymentVoided, at: datetime) -> OrderPart:
    payment = find(part.payments, e.payment_id) or _payment(e.payment_id)
    given_up = payment.authorised - payment.captured
    return replace(part, payments=change(part.payments, e.payment_id, _payment, voided=given_up))


def _return_accepted(part: OrderPart, e: o.ReturnAccepted, at: datetime) -> OrderPart:
    refunds = change(
        part.refunds, e.refund_id, _refund, return_id=e.return_id, amount=e.refund.amount, at=at
    )
    return replace(part, refunds=refunds)


def _refund_issued(part: OrderPart, e: o.RefundIssued, at: datetime) -> OrderPart:
    payment = find(part.payments, e.payment_id) or _payment(e.payment_id)
    refunded = payment.refunded + e.amount.amount
    refunds = change(
        part.refunds,
        e.refund_id,
        _refund,
        payment_id=e.payment_id,
        return_id=e.return_id,
        amount=e.amount.amount,
        state="paid",
        at=at,
    )
    payments = change(part.payments, e.payment_id, _payment, refunded=refunded)
    return replace(part, refunds=refunds, payments=payments)


def _refund_failed(part: OrderPart, e: o.RefundFailed, at: datetime) -> OrderPart:
    refunds = change(
        part.refunds,
        e.refund_id,
        _refund,
        payment_id=e.payment_id,
        return_id=e.return_id,
        state="failed",
        reason=e.reason,
        at=at,
    )
    return replace(part, refunds=refunds)


#: How each event about money changes an order.
FOLDS: dict[type, Fold] = {
    o.PaymentAuthorised: _authorised,
    o.PaymentDeclined: _declined,
    o.PaymentCaptured: _captured,
    o.CaptureRefused: _capture_refused,
    o.PaymentVoided: _voided,
    o.ReturnAccepted: _return_accepted,
    o.RefundIssued: _refund_issued,
    o.RefundFailed: _refund_failed,
}
