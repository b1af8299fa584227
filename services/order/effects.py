"""Calls to the payment provider, and what its answers are to the order."""

from collections.abc import Awaitable, Callable
from typing import Any

from services.order.domain.messages import (
    AuthorisationAnswered,
    AuthorisePayment,
    CaptureAnswered,
    CapturePayment,
    RefundAnswered,
    RefundPayment,
    VoidAnswered,
    VoidPayment,
)
from shared.ledger.effects import Performer, TryAgain
from shared.payments.port import Declined, PaymentProvider, ProviderUnavailable, Refused
from shared.service.runtime import Performers


def performers(provider: PaymentProvider) -> Performers:
    """What performs each of the order's effects. The effect's id is the provider's idempotency key."""

    async def authorise(request: AuthorisePayment, key: str) -> AuthorisationAnswered:
        outcome = await provider.authorise(key, request.payment_id, request.amount, request.method)
        declined = outcome.code if isinstance(outcome, Declined) else ""
        return AuthorisationAnswered(
            order_id=request.order_id,
            payment_id=request.payment_id,
            amount=request.amount,
            provider_ref="" if isinstance(outcome, Declined) else outcome.provider_ref,
            declined=declined,
        )

    async def capture(request: CapturePayment, key: str) -> CaptureAnswered:
        outcome = await provider.capture(key, request.provider_ref, request.amount)
        return CaptureAnswered(
            order_id=request.order_id,
            payment_id=request.payment_id,
            capture_id=request.capture_id,
            package_id=request.package_id,
            amount=request.amount,
            refused=_reason(outcome),
        )

    async def void(request: VoidPayment, key: str) -> VoidAnswered:
        outcome = await provider.void(key, request.provider_ref)
        return VoidAnswered(
            order_id=request.order_id, payment_id=request.payment_id, refused=_reason(outcome)
        )

    async def refund(request: RefundPayment, key: str) -> RefundAnswered:
        outcome = await provider.refund(key, request.provider_ref, request.amount)
        return RefundAnswered(
            order_id=request.order_id,
            payment_id=request.payment_id,
            refund_id=request.refund_id,
            return_id=request.return_id,
            amount=request.amount,
            refused=_reason(outcome),
        )

    return {
        AuthorisePayment: _retried(authorise),
        CapturePayment: _retried(capture),
        VoidPayment: _retried(void),
        RefundPayment: _retried(refund),
    }


def _reason(outcome: object) -> str:
    return outcome.reason if isinstance(outcome, Refused) else ""


def _retried(perform: Callable[[Any, str], Awaitable[Any]]) -> Performer:
    """An unknown outcome is asked for again, under the same key."""

    async def performer(request: Any, key: str) -> Any:
        try:
            return await perform(request, key)
        except ProviderUnavailable as error:
            raise TryAgain(str(error)) from error

    return performer
