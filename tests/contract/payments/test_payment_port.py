"""What every adapter of the payment port promises."""

import asyncio
from collections import Counter

import pytest

from shared.payments import (
    Authorised,
    Captured,
    Declined,
    HttpPayments,
    IdempotencyMismatch,
    InProcessPayments,
    InvalidRequest,
    Money,
    PaymentProvider,
    ProviderUnavailable,
    Refunded,
    Refused,
    Voided,
)
from shared.payments.stripe import StripePayments
from tests.contract.payments.conftest import StripeUnderTest

Provider = InProcessPayments | HttpPayments | StripeUnderTest
TEN = Money(amount=1000, currency="GBP")
FOUR = Money(amount=400, currency="GBP")
SIX = Money(amount=600, currency="GBP")


async def authorised(provider: PaymentProvider, method: str = "tok_ok") -> str:
    outcome = await provider.authorise("order/1/authorise", "pay-1", TEN, method)
    assert isinstance(outcome, Authorised)
    assert outcome.amount == TEN
    return outcome.provider_ref


async def test_the_whole_life_of_a_payment(provider: Provider) -> None:
    ref = await authorised(provider)
    captured = await provider.capture("order/1/capture/1", ref, FOUR)
    assert isinstance(captured, Captured)
    assert (captured.provider_ref, captured.amount) == (ref, FOUR)
    refused = await provider.capture("order/1/capture/2", ref, TEN)
    assert isinstance(refused, Refused)
    assert refused.reason == "exceeds_authorised"
    voided = await provider.void("order/1/void", ref)
    assert isinstance(voided, Voided)
    assert voided.amount == SIX
    refunded = await provider.refund("order/1/refund/1", ref, FOUR)
    assert isinstance(refunded, Refunded)
    assert refunded.amount == FOUR
    entries = await provider.entries()
    moved = [e for e in entries if e.kind != "refused"]
    assert [(e.kind, e.operation, e.key, e.payment_id, e.amount) for e in moved] == [
        ("authorised", "authorise", "order/1/authorise", "pay-1", 1000),
        ("captured", "capture", "order/1/capture/1", "pay-1", 400),
        ("voided", "void", "order/1/void", "pay-1", 600),
        ("refunded", "refund", "order/1/refund/1", "pay-1", 400),
    ]
    assert [e.id for e in entries] == list(range(1, len(entries) + 1))
    assert {e.provider_ref for e in entries} == {ref}
    assert all(e.at.tzinfo is not None for e in entries)


async def test_the_same_key_gives_the_same_answer(provider: Provider) -> None:
    ref = await authorised(provider)
    assert await authorised(provider) == ref
    captured = await provider.capture("c", ref, SIX)
    assert await provider.capture("c", ref, SIX) == captured
    refunded = await provider.refund("r", ref, FOUR)
    assert await provider.refund("r", ref, FOUR) == refunded
    voided = await provider.void("v", ref)
    assert await provider.void("v", ref) == voided
    declined = await provider.authorise("d", "pay-2", TEN, "tok_declined")
    assert await provider.authorise("d", "pay-2", TEN, "tok_declined") == declined
    assert len(await provider.entries()) == 5
    for key, outcome in [("c", captured), ("v", voided), ("d", declined)]:
        assert await provider.lookup(key) == outcome
    if not isinstance(provider, StripePayments):  # refunds can't be searched by key there
        assert await provider.lookup("r") == refunded
    assert await provider.lookup("never-used") is None


async def test_the_same_key_for_another_request_is_an_error(provider: Provider) -> None:
    ref = await authorised(provider)
    await provider.capture("c", ref, FOUR)
    with pytest.raises(IdempotencyMismatch, match="order/1/authorise"):
        await provider.authorise("order/1/authorise", "pay-1", FOUR, "tok_ok")
    with pytest.raises(IdempotencyMismatch):
        await provider.capture("c", ref, SIX)
    with pytest.raises(IdempotencyMismatch):
        await provider.refund("c", ref, FOUR)
    with pytest.raises(IdempotencyMismatch):
        await provider.void("c", ref)
    assert len(await provider.entries()) == 2


async def test_a_key_used_by_many_at_once_is_applied_once(provider: Provider) -> None:
    ref = await authorised(provider)
    outcomes = await asyncio.gather(*(provider.capture("c", ref, FOUR) for _ in range(20)))
    assert len(set(map(repr, outcomes))) == 1
    assert [entry.kind for entry in await provider.entries()] == ["authorised", "captured"]


async def test_captures_that_race_never_exceed_the_authorisation(provider: Provider) -> None:
    ref = await authorised(provider)
    outcomes = await asyncio.gather(*(provider.capture(f"c{n}", ref, FOUR) for n in range(12)))
    assert Counter(type(outcome) for outcome in outcomes) == {Captured: 2, Refused: 10}


@pytest.mark.parametrize(
    ("method", "code"), [("tok_declined", "insufficient_funds"), ("cash", "invalid_method")]
)
async def test_declines_are_answers(provider: Provider, method: str, code: str) -> None:
    outcome = await provider.authorise("a", "pay-1", TEN, method)
    assert isinstance(outcome, Declined)
    assert outcome.code == code
    assert outcome.message


async def test_refusals_are_answers(provider: Provider) -> None:
    ref = await authorised(provider, "tok_capture_refused")
    for outcome, reason in [
        (await provider.capture("c", ref, TEN), "capture_refused"),
        (await provider.refund("r", ref, TEN), "exceeds_captured"),
        (await provider.void("v", "auth_nobody/knows?"), "unknown_reference"),
    ]:
        assert isinstance(outcome, Refused)
        assert outcome.reason == reason


async def test_a_slow_answer_is_an_answer(provider: Provider) -> None:
    started = asyncio.get_running_loop().time()
    await authorised(provider, "tok_slow:200")
    assert asyncio.get_running_loop().time() - started >= 0.2


async def test_charged_but_never_answered_is_found_again(provider: Provider) -> None:
    with pytest.raises(ProviderUnavailable, match="outcome is unknown"):
        await authorised(provider, "tok_timeout_after_charge")
    found = await provider.lookup("order/1/authorise")
    assert isinstance(found, Authorised)
    assert await authorised(provider, "tok_timeout_after_charge") == found.provider_ref
    assert len(await provider.entries()) == 1


async def test_captured_but_never_answered_is_found_again(provider: Provider) -> None:
    ref = await authorised(provider, "tok_timeout_after_capture")
    with pytest.raises(ProviderUnavailable):
        await provider.capture("c", ref, FOUR)
    captured = await provider.capture("c", ref, FOUR)
    assert isinstance(captured, Captured)
    assert [entry.kind for entry in await provider.entries()] == ["authorised", "captured"]


async def test_never_answered_and_not_charged(provider: Provider) -> None:
    with pytest.raises(ProviderUnavailable):
        await authorised(provider, "tok_timeout_before")
    assert await provider.lookup("order/1/authorise") is None
    assert await provider.entries() == []
    await authorised(provider, "tok_timeout_before")


async def test_the_first_attempts_fail(provider: Provider) -> None:
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            await authorised(provider, "tok_error_500:3")
    assert await provider.entries() == []
    await authorised(provider, "tok_error_500:3")


@pytest.mark.parametrize(
    ("key", "amount"),
    [
        ("", TEN),
        ("two words", TEN),
        ("caf\u00e9", TEN),
        ("line\nbreak", TEN),
        ("k" * 256, TEN),
        ("k", Money(amount=0, currency="GBP")),
        ("k", Money(amount=-5, currency="GBP")),
        ("k", Money(amount=2**63, currency="GBP")),
        ("k", Money(amount=5, currency="pounds")),
    ],
)
async def test_invalid_requests_record_nothing(provider: Provider, key: str, amount: Money) -> None:
    with pytest.raises(InvalidRequest):
        await provider.authorise(key, "pay-1", amount, "tok_ok")
    assert await provider.entries() == []


async def test_the_ledger_is_read_in_pages(provider: Provider) -> None:
    for number in range(5):
        await provider.authorise(f"k{number}", f"pay-{number}", TEN, "tok_ok")
    assert [e.id for e in await provider.entries(after=0, limit=2)] == [1, 2]
    assert [e.id for e in await provider.entries(after=4, limit=2)] == [5]
    assert await provider.entries(after=5) == []
    with pytest.raises(InvalidRequest):
        await provider.entries(limit=1001)
