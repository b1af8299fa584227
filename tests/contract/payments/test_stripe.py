"""What is Stripe's own in the Stripe adapter: marks, multicapture, open outcomes, errors told apart."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import stripe as official

from shared.payments import (
    Authorised,
    Captured,
    CredentialsRejected,
    Declined,
    InvalidRequest,
    Money,
    ProviderUnavailable,
    Refunded,
    Refused,
    Voided,
)
from shared.payments.stripe import Settled, StripePayments, WebhookRefused, read_webhook
from shared.payments.stripe.amounts import from_stripe, to_stripe
from shared.payments.stripe.meaning import Fault, declined
from tests.contract.payments.conftest import StripeUnderTest

SECRET = "whsec_contract_tests_only"
TEN = Money(amount=1000, currency="GBP")
FOUR = Money(amount=400, currency="GBP")
SIX = Money(amount=600, currency="GBP")


async def authorised(stripe: StripeUnderTest, method: str = "tok_ok") -> str:
    outcome = await stripe.authorise("o1.pay1:authorise", "o1.pay1", TEN, method)
    assert isinstance(outcome, Authorised)
    return outcome.provider_ref


async def test_requests_are_what_stripes_openapi_allows(
    stripe: StripeUnderTest, stripe_mock: str
) -> None:
    """The whole life of a payment; the fixture fails for each request that stripe-mock refuses."""
    if not stripe_mock:
        pytest.skip("no stripe-mock: `make stripe-mock` builds it where there is Go")
    ref = await authorised(stripe)
    await stripe.capture("c", ref, FOUR)
    await stripe.refund("r", ref, FOUR)
    await stripe.void("v", ref)
    await stripe.lookup("c")
    other = await stripe.authorise("o2.pay1:authorise", "o2.pay1", TEN, "tok_ok")
    assert isinstance(other, Authorised)
    await stripe.void("o2.pay1:void", other.provider_ref)
    posts = [r for r in stripe.double.seen if r.method == "POST"]
    assert [r.headers["idempotency-key"] for r in posts] == [
        "o1.pay1:authorise", "c", "r", "v", "o2.pay1:authorise", "o2.pay1:void",
    ]  # fmt: skip


async def test_stripe_mock_refuses_what_is_wrong(stripe_mock: str) -> None:
    """The check above can fail."""
    if not stripe_mock:
        pytest.skip("no stripe-mock: `make stripe-mock` builds it where there is Go")
    adapter = StripePayments("sk_test_contract", url=stripe_mock)
    params: Any = {"amount": 5, "currency": "gbp", "no_such_field": "1"}
    with pytest.raises(official.InvalidRequestError, match="additional properties"):
        await adapter._intents.create_async(params)
    await adapter.close()


async def test_without_multicapture_the_first_capture_is_the_last(stripe: StripeUnderTest) -> None:
    stripe.double.multicapture = "unavailable"
    ref = await authorised(stripe)
    captured = await stripe.capture("c1", ref, FOUR)
    assert isinstance(captured, Captured)
    second = await stripe.capture("c2", ref, SIX)
    assert isinstance(second, Refused)
    assert second.reason == "exceeds_authorised"
    assert "multicapture" in second.message
    assert await stripe.void("v", ref) == Voided(ref, ref, SIX)


async def test_answers_outlive_stripes_memory_of_keys(stripe: StripeUnderTest) -> None:
    """Stripe forgets idempotency keys after a day; nothing is taken or paid back twice for that."""
    ref = await authorised(stripe)
    captured = await stripe.capture("c", ref, FOUR)
    refunded = await stripe.refund("r", ref, FOUR)
    before = len(await stripe.entries())
    stripe.double.fake = None  # type: ignore[assignment] # whatever reached it now would fail
    assert await stripe.capture("c", ref, FOUR) == captured
    assert await stripe.refund("r", ref, FOUR) == refunded
    assert before == 3


async def test_an_open_outcome_is_unknown_until_it_is_known(stripe: StripeUnderTest) -> None:
    stripe.double.pending = True
    with pytest.raises(ProviderUnavailable, match="processing"):
        await authorised(stripe)
    stripe.double.settle()
    ref = await authorised(stripe)
    await stripe.capture("c", ref, TEN)
    stripe.double.pending = True
    with pytest.raises(ProviderUnavailable, match="pending"):
        await stripe.refund("r", ref, FOUR)
    stripe.double.settle()
    assert isinstance(await stripe.refund("r", ref, FOUR), Refunded)
    assert len(stripe.double.refunds) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, CredentialsRejected),
        (403, CredentialsRejected),
        (409, ProviderUnavailable),
        (429, ProviderUnavailable),
        (500, ProviderUnavailable),
        (503, ProviderUnavailable),
        (400, InvalidRequest),
    ],
)
async def test_errors_are_told_apart(
    stripe: StripeUnderTest, status: int, error: type[Exception]
) -> None:
    ref = await authorised(stripe)
    stripe.double.status = status
    calls: list[Callable[[], Any]] = [
        lambda: stripe.authorise("o2.pay1:authorise", "o2.pay1", TEN, "tok_ok"),
        lambda: stripe.capture("c", ref, FOUR),
        lambda: stripe.void("v", ref),
        lambda: stripe.refund("r", ref, FOUR),
    ]
    for call in calls:
        with pytest.raises(error):
            await call()
    stripe.double.status = 0
    assert len(await stripe.entries()) == 1


async def test_nobody_listens(unused_port: int) -> None:
    adapter = StripePayments("sk_test_contract", url=f"http://127.0.0.1:{unused_port}")
    with pytest.raises(ProviderUnavailable, match="outcome is unknown"):
        await adapter.void("v", "pi_1")
    await adapter.close()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("card_declined", "insufficient_funds", "Too little."), "insufficient_funds"),
        (Fault("card_declined", "generic_decline", "No."), "declined"),
        (Fault("expired_card", None, "Too old."), "invalid_method"),
        (Fault("card_declined", "stolen_card", "No."), "invalid_method"),
        (Fault("authentication_required", None, "Ask."), "authentication_required"),
    ],
)
def test_declines_are_in_the_ports_words(fault: Fault, code: str) -> None:
    answer = declined(fault)
    assert answer.code == code
    assert answer.message == f"{fault.decline_code or fault.code}: {fault.message}"


@pytest.mark.parametrize(
    ("money", "amount"),
    [
        (Money(1099, "GBP"), 1099),
        (Money(500, "JPY"), 500),
        (Money(500, "ISK"), 50_000),
        (Money(500, "MGA"), 5),
    ],
)
def test_amounts_are_stripes(money: Money, amount: int) -> None:
    assert to_stripe(money) == amount
    assert from_stripe(amount, money.currency.lower()) == money


def test_an_amount_that_stripe_cannot_express() -> None:
    with pytest.raises(InvalidRequest, match="MGA"):
        to_stripe(Money(501, "MGA"))


async def test_the_key_is_in_no_log_and_no_error(
    stripe: StripeUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    stripe.double.status = 401
    with caplog.at_level(logging.DEBUG), pytest.raises(CredentialsRejected) as refused:
        await authorised(stripe)
    assert caplog.records
    assert "sk_test_contract" not in caplog.text
    assert "sk_test_contract" not in f"{refused.value} {refused.value.__cause__}"


def signed(event: Any, secret: str = SECRET) -> tuple[bytes, str]:
    body = event if isinstance(event, str) else json.dumps(event)
    header = official.WebhookSignature.generate_signature_header(body, secret)
    return body.encode(), header


def event(type: str, about: Any, key: str | None = None) -> Any:
    request = {"id": "req_1", "idempotency_key": key} if key else None
    return {
        "id": "evt_1",
        "object": "event",
        "type": type,
        "request": request,
        "data": {"object": about},
    }


async def test_events_settle_the_calls_that_they_answer(stripe: StripeUnderTest) -> None:
    ref = await authorised(stripe)
    intent = stripe.double.intents[ref]
    held = Settled("o1.pay1:authorise", Authorised(ref, TEN))
    updated = event("payment_intent.amount_capturable_updated", intent)
    assert read_webhook(*signed(updated), SECRET) == [held]

    captured = await stripe.capture("c", ref, FOUR)
    assert read_webhook(*signed(event("payment_intent.succeeded", intent, "c")), SECRET) == [
        Settled("c", captured),
        held,
    ]

    await stripe.refund("r", ref, FOUR)
    (refund,) = stripe.double.refunds.values()
    back = Settled("r", Refunded(ref, refund["id"], FOUR))
    assert read_webhook(*signed(event("refund.updated", refund)), SECRET) == [back]
    failed = refund | {"status": "failed", "failure_reason": "lost_or_stolen_card"}
    (settled,) = read_webhook(*signed(event("refund.failed", failed)), SECRET)
    assert isinstance(settled.outcome, Refused)
    assert settled.outcome.reason == "refund_refused"


async def test_a_cancelled_and_a_declined_intent(stripe: StripeUnderTest) -> None:
    ref = await authorised(stripe)
    await stripe.void("v", ref)
    cancelled = event("payment_intent.canceled", stripe.double.intents[ref], "v")
    assert Settled("v", Voided(ref, ref, TEN)) in read_webhook(*signed(cancelled), SECRET)

    no = await stripe.authorise("o2.pay1:authorise", "o2.pay1", TEN, "tok_declined")
    assert isinstance(no, Declined)
    intent = next(i for i in stripe.double.intents.values() if i["last_payment_error"])
    failed = event("payment_intent.payment_failed", intent)
    assert read_webhook(*signed(failed), SECRET) == [Settled("o2.pay1:authorise", no)]


async def test_events_that_settle_nothing(stripe: StripeUnderTest) -> None:
    ref = await authorised(stripe)
    pending = stripe.double.intents[ref] | {"status": "processing"}
    elsewhere = stripe.double.intents[ref] | {"metadata": {}}
    for each in (
        event("customer.created", {"id": "cus_1", "object": "customer"}),
        event("payment_intent.processing", pending),
        event("payment_intent.succeeded", elsewhere),
    ):
        assert read_webhook(*signed(each), SECRET) == []


@pytest.mark.parametrize(
    ("body", "header"),
    [
        signed({"id": "evt_1"}, "whsec_somebody_else"),
        (b"{}", ""),
        (b"{}", "t=never,v1=0"),
        (b"\xff\xfe", "t=1,v1=0"),
        signed("[]"),
        signed("no json"),
        signed({"object": "event", "type": "payment_intent.succeeded"}),
        signed(event("payment_intent.succeeded", {"object": "payment_intent"})),
        (b"{}", official.WebhookSignature.generate_signature_header("{}", SECRET, timestamp=1)),
    ],
    ids=[
        "another's secret",
        "no signature",
        "no time",
        "no text",
        "a list",
        "no json",
        "no data",
        "no intent",
        "too old",
    ],
)
def test_what_stripe_did_not_sign_or_send_is_refused(body: bytes, header: str) -> None:
    with pytest.raises(WebhookRefused):
        read_webhook(body, header, SECRET)
