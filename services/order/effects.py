"""Calls to the payment provider, and what its answers are to the order."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog

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
from shared.payments.port import (
    Authorised,
    Captured,
    Declined,
    InvalidRequest,
    Outcome,
    PaymentProvider,
    ProviderUnavailable,
    Refunded,
    Refused,
    Voided,
)
from shared.service.engine import Performers

log = structlog.get_logger()

Request = AuthorisePayment | CapturePayment | VoidPayment | RefundPayment
Answer = AuthorisationAnswered | CaptureAnswered | VoidAnswered | RefundAnswered


def performers(provider: PaymentProvider) -> Performers:
    """What performs each of the order's effects. The effect's id is the provider's idempotency key."""

    async def authorise(request: AuthorisePayment, key: str) -> Outcome:
        return await provider.authorise(key, request.payment_id, request.amount, request.method)

    async def capture(request: CapturePayment, key: str) -> Outcome:
        return await provider.capture(key, request.provider_ref, request.amount)

    async def void(request: VoidPayment, key: str) -> Outcome:
        return await provider.void(key, request.provider_ref)

    async def refund(request: RefundPayment, key: str) -> Outcome:
        return await provider.refund(key, request.provider_ref, request.amount)

    return {
        AuthorisePayment: _retried(authorise),
        CapturePayment: _retried(capture),
        VoidPayment: _retried(void),
        RefundPayment: _retried(refund),
    }


def answer(request: Request, outcome: Outcome) -> Answer:
    """What an outcome at the provider is to the order. Raises TypeError for one that answers another kind of request."""
    match request, outcome:
        case AuthorisePayment(), Authorised() | Declined():
            return AuthorisationAnswered(
                order_id=request.order_id,
                payment_id=request.payment_id,
                amount=request.amount,
                provider_ref="" if isinstance(outcome, Declined) else outcome.provider_ref,
                declined=outcome.code if isinstance(outcome, Declined) else "",
            )
        case CapturePayment(), Captured() | Refused():
            return CaptureAnswered(
                order_id=request.order_id,
                payment_id=request.payment_id,
                capture_id=request.capture_id,
                package_id=request.package_id,
                amount=request.amount,
                refused=_reason(outcome),
            )
        case VoidPayment(), Voided() | Refused():
            return VoidAnswered(
                order_id=request.order_id, payment_id=request.payment_id, refused=_reason(outcome)
            )
        case RefundPayment(), Refunded() | Refused():
            return RefundAnswered(
                order_id=request.order_id,
                payment_id=request.payment_id,
                refund_id=request.refund_id,
                return_id=request.return_id,
                amount=request.amount,
                refused=_reason(outcome),
            )
    raise TypeError(f"{type(outcome).__name__} is no answer to {type(request).__name__}")


def _reason(outcome: Outcome) -> str:
    return outcome.reason if isinstance(outcome, Refused) else ""


def _not_understood(request: Request, message: str) -> Outcome:
    if isinstance(request, AuthorisePayment):
        return Declined("invalid_request", message)
    return Refused("invalid_request", message)


def _retried(perform: Callable[[Any, str], Awaitable[Outcome]]) -> Performer:
    """An unknown outcome is asked for again, under the same key. What the provider does not understand, it never will, and
    nothing came of it: that is an answer as well, or an order would wait for one that never comes."""

    async def performer(request: Any, key: str) -> Answer:
        try:
            return answer(request, await perform(request, key))
        except ProviderUnavailable as error:
            raise TryAgain(str(error)) from error
        except InvalidRequest as error:
            if isinstance(request, VoidPayment):
                raise  # it states nothing of the order's that could be wrong: parked until the fault here is mended
            log.error("payment_not_understood", effect=key, error=str(error))
            return answer(request, _not_understood(request, str(error)))

    return performer
