"""The provider's answers, and what it does not answer, as the order hears them."""

from typing import Any

import pytest

from services.order.domain.messages import (
    AuthorisationAnswered,
    AuthorisePayment,
    CaptureAnswered,
    CapturePayment,
    RefundAnswered,
    RefundPayment,
    VoidPayment,
)
from services.order.effects import performers
from shared.events import Money
from shared.payments.inprocess import InProcessPayments
from shared.payments.port import InvalidRequest
from shared.payments.rules import AMOUNT_MAX

TOO_MUCH = Money(AMOUNT_MAX + 1, "GBP")


@pytest.mark.parametrize(
    ("amount", "method"),
    [
        (TOO_MUCH, "tok_ok"),
        (Money(100, "GBP"), "carte r\u00e9glement"),
        (Money(100, "GBP"), "x" * 400),
    ],
)
async def test_an_authorisation_that_the_provider_cannot_take_is_declined(
    amount: Money, method: str
) -> None:
    request = AuthorisePayment(order_id="a", payment_id="a.pay1", method=method, amount=amount)
    answer: Any = await perform(request)
    assert answer == AuthorisationAnswered(
        order_id="a", payment_id="a.pay1", amount=amount, declined="invalid_request"
    )


async def test_a_capture_or_refund_that_the_provider_cannot_take_is_refused() -> None:
    named = {"order_id": "a", "payment_id": "a.pay1", "amount": TOO_MUCH}
    capture = {"capture_id": "a.p1.c1", "package_id": "a.p1"}
    refund = {"refund_id": "a.r1.refund", "return_id": "a.r1"}
    assert await perform(
        CapturePayment(**named, **capture, provider_ref="auth_1")
    ) == CaptureAnswered(**named, **capture, refused="invalid_request")
    assert await perform(RefundPayment(**named, **refund, provider_ref="auth_1")) == RefundAnswered(
        **named, **refund, refused="invalid_request"
    )


async def test_a_void_that_the_provider_cannot_take_waits_for_a_person() -> None:
    request = VoidPayment(order_id="a", payment_id="a.pay1", provider_ref="auth_1")
    with pytest.raises(InvalidRequest):
        await perform(request, key="two words")


async def perform(request: Any, key: str = "key-1") -> Any:
    provider = InProcessPayments.in_memory()
    try:
        return await performers(provider)[type(request)](request, key)
    finally:
        await provider.close()
