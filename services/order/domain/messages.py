"""Messages that stay inside the order service: what effects ask of the provider, what it answered, deadlines."""

from typing import Literal

from shared.events import Money
from shared.events.order import OrderCommand


class Internal(OrderCommand, frozen=True, kw_only=True):
    """A message that never travels."""

    @classmethod
    def route(cls) -> None:
        return None


class AuthorisePayment(Internal, frozen=True, kw_only=True, tag="oms.order.authorise_payment.v1"):
    """Ask the provider to guarantee an amount."""

    payment_id: str
    method: str
    amount: Money


class AuthorisationAnswered(
    Internal, frozen=True, kw_only=True, tag="oms.order.authorisation_answered.v1"
):
    """``declined`` is the provider's code, empty when it guarantees the amount."""

    payment_id: str
    amount: Money
    provider_ref: str = ""
    declined: str = ""


class CapturePayment(Internal, frozen=True, kw_only=True, tag="oms.order.capture_payment.v1"):
    """Ask the provider to take money for one package (or, without one, for fees)."""

    payment_id: str
    provider_ref: str
    capture_id: str
    package_id: str
    amount: Money


class CaptureAnswered(Internal, frozen=True, kw_only=True, tag="oms.order.capture_answered.v1"):
    """``refused`` is the provider's reason, empty when the money was taken."""

    payment_id: str
    capture_id: str
    package_id: str
    amount: Money
    refused: str = ""


class VoidPayment(Internal, frozen=True, kw_only=True, tag="oms.order.void_payment.v1"):
    """Ask the provider to give up what was not captured."""

    payment_id: str
    provider_ref: str


class VoidAnswered(Internal, frozen=True, kw_only=True, tag="oms.order.void_answered.v1"):
    """``refused`` is the provider's reason, empty when done."""

    payment_id: str
    refused: str = ""


class RefundPayment(Internal, frozen=True, kw_only=True, tag="oms.order.refund_payment.v1"):
    """Ask the provider to pay back."""

    payment_id: str
    provider_ref: str
    refund_id: str
    return_id: str
    amount: Money


class RefundAnswered(Internal, frozen=True, kw_only=True, tag="oms.order.refund_answered.v1"):
    """``refused`` is the provider's reason, empty when paid."""

    payment_id: str
    refund_id: str
    return_id: str
    amount: Money
    refused: str = ""


class OrderDeadline(Internal, frozen=True, kw_only=True, tag="oms.order.deadline.v1"):
    """The order should have moved on by now. ``step`` is the step that was waited for: a late timer does nothing."""

    step: Literal["placed", "backordered", "confirmed", "cancelling"]


INTERNAL = (
    AuthorisePayment,
    AuthorisationAnswered,
    CapturePayment,
    CaptureAnswered,
    VoidPayment,
    VoidAnswered,
    RefundPayment,
    RefundAnswered,
    OrderDeadline,
)
