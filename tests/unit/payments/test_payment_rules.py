"""The fake provider's rules, tokens and faults: given entries, when a request, then an answer."""

from collections import Counter
from datetime import UTC, datetime

import msgspec
import pytest

from shared.payments.faults import NO_FAULT, Faults, FaultSettings
from shared.payments.ledger import Ledger, MemoryStore
from shared.payments.port import (
    Authorised,
    Captured,
    Declined,
    IdempotencyMismatch,
    InvalidRequest,
    Money,
    Outcome,
    Refunded,
    Refused,
    Voided,
)
from shared.payments.rules import AMOUNT_MAX, Authorise, Capture, Refund, Request, Void, reference
from shared.payments.tokens import UNKNOWN, Behaviour, behaviour_of

NOW = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
REF = reference("authorise", "a")
HUNDRED = Authorise("a", "pay-1", 100, "GBP", "tok_ok")


def pounds(amount: int) -> Money:
    return Money(amount=amount, currency="GBP")


def given(*requests: Request) -> Ledger:
    ledger = Ledger(MemoryStore(), lambda: NOW)
    for request in requests:
        outcome = ledger.apply(request).outcome
        assert not isinstance(outcome, Refused), f"the given part failed: {request} {outcome}"
    return ledger


def when(ledger: Ledger, request: Request) -> Outcome:
    return ledger.apply(request).outcome


def reason(outcome: Outcome) -> str:
    assert isinstance(outcome, Refused), outcome
    return outcome.reason


def test_authorises_and_names_the_authorisation_after_its_key() -> None:
    assert when(given(), HUNDRED) == Authorised(REF, pounds(100))


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("tok_declined", "insufficient_funds"),
        ("card", "invalid_method"),
        ("tok_okay", "invalid_method"),
        ("tok_slow:999999", "invalid_method"),
    ],
)
def test_declines_with_a_code_and_sets_nothing_aside(method: str, code: str) -> None:
    ledger = given()
    outcome = when(ledger, Authorise("a", "pay-1", 100, "GBP", method))
    assert isinstance(outcome, Declined)
    assert outcome.code == code
    assert reason(when(ledger, Capture("c", REF, 1, "GBP"))) == "unknown_reference"


def test_captures_in_parts_up_to_what_was_authorised() -> None:
    ledger = given(HUNDRED, Capture("c1", REF, 60, "GBP"))
    assert reason(when(ledger, Capture("c2", REF, 41, "GBP"))) == "exceeds_authorised"
    assert when(ledger, Capture("c3", REF, 40, "GBP")) == Captured(
        REF, reference("capture", "c3"), pounds(40)
    )
    assert reason(when(ledger, Capture("c4", REF, 1, "GBP"))) == "exceeds_authorised"


def test_refunds_in_parts_up_to_what_was_captured() -> None:
    ledger = given(HUNDRED, Capture("c", REF, 60, "GBP"), Refund("r1", REF, 25, "GBP"))
    assert reason(when(ledger, Refund("r2", REF, 36, "GBP"))) == "exceeds_captured"
    assert when(ledger, Refund("r3", REF, 35, "GBP")) == Refunded(
        REF, reference("refund", "r3"), pounds(35)
    )


def test_a_void_releases_the_rest_and_ends_captures_but_not_refunds() -> None:
    ledger = given(HUNDRED, Capture("c", REF, 60, "GBP"))
    assert when(ledger, Void("v", REF)) == Voided(REF, reference("void", "v"), pounds(40))
    assert reason(when(ledger, Capture("c2", REF, 1, "GBP"))) == "voided"
    assert reason(when(ledger, Void("v2", REF))) == "voided"
    assert when(ledger, Refund("r", REF, 60, "GBP")) == Refunded(
        REF, reference("refund", "r"), pounds(60)
    )


def test_refuses_a_void_when_everything_is_captured() -> None:
    assert reason(when(given(HUNDRED, Capture("c", REF, 100, "GBP")), Void("v", REF))) == (
        "nothing_to_void"
    )


@pytest.mark.parametrize("request_", [Capture("x", REF, 1, "EUR"), Refund("x", REF, 1, "EUR")])
def test_refuses_another_currency(request_: Request) -> None:
    assert reason(when(given(HUNDRED), request_)) == "currency_mismatch"


def test_tokens_refuse_captures_and_refunds() -> None:
    ledger = given(Authorise("a", "pay-1", 100, "GBP", "tok_capture_refused"))
    assert reason(when(ledger, Capture("c", REF, 100, "GBP"))) == "capture_refused"
    assert isinstance(when(ledger, Void("v", REF)), Voided)
    ledger = given(
        Authorise("a", "pay-1", 100, "GBP", "tok_refund_refused"), Capture("c", REF, 100, "GBP")
    )
    assert reason(when(ledger, Refund("r", REF, 100, "GBP"))) == "refund_refused"


@pytest.mark.parametrize(
    "other",
    [
        msgspec.structs.replace(HUNDRED, payment_id="pay-2"),
        msgspec.structs.replace(HUNDRED, amount=101),
        msgspec.structs.replace(HUNDRED, currency="EUR"),
        msgspec.structs.replace(HUNDRED, method="tok_declined"),
        Capture("a", REF, 100, "GBP"),
        Refund("a", REF, 100, "GBP"),
        Void("a", REF),
    ],
)
def test_a_key_answers_one_request_only(other: Request) -> None:
    ledger = given(HUNDRED)
    with pytest.raises(IdempotencyMismatch, match="'a' was used for another request"):
        ledger.apply(other)
    assert [entry.id for entry in ledger.entries()] == [1]


@pytest.mark.parametrize(
    "first",
    [Capture("k", REF, 10, "GBP"), Refund("k", REF, 10, "GBP"), Void("k", REF)],
)
def test_refusals_are_final_for_their_key(first: Request) -> None:
    """A capture refused before its authorisation existed stays refused.

    The same key, the same answer.
    """
    ledger = given()
    refused = when(ledger, first)
    assert reason(refused) == "unknown_reference"
    ledger.apply(HUNDRED)
    again = ledger.apply(first)
    assert (again.outcome, again.replayed) == (refused, True)


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (msgspec.structs.replace(HUNDRED, amount=0), "amount"),
        (msgspec.structs.replace(HUNDRED, amount=-1), "amount"),
        (msgspec.structs.replace(HUNDRED, amount=AMOUNT_MAX + 1), "amount"),
        (msgspec.structs.replace(HUNDRED, currency="gbp"), "currency"),
        (msgspec.structs.replace(HUNDRED, currency="GBP\n"), "currency"),
        (msgspec.structs.replace(HUNDRED, key=""), "key"),
        (msgspec.structs.replace(HUNDRED, key="a b"), "key"),
        (msgspec.structs.replace(HUNDRED, key="k" * 256), "key"),
        (msgspec.structs.replace(HUNDRED, payment_id="\ud800"), "payment_id"),
        (msgspec.structs.replace(HUNDRED, payment_id="\0"), "payment_id"),
        (Capture("c", "ref\x00", 1, "GBP"), "provider_ref"),
        (Refund("c", REF, 2**63, "GBP"), "amount"),
    ],
)
def test_what_cannot_be_understood_is_not_recorded(bad: Request, named: str) -> None:
    ledger = given()
    with pytest.raises(InvalidRequest, match=named):
        ledger.apply(bad)
    assert ledger.entries() == []


def test_entries_say_who_what_when() -> None:
    ledger = given(HUNDRED, Capture("c", REF, 60, "GBP"), Void("v", REF))
    kinds = [(e.id, e.kind, e.payment_id, e.provider_ref, e.amount, e.at) for e in ledger.entries()]
    assert kinds == [
        (1, "authorised", "pay-1", REF, 100, NOW),
        (2, "captured", "pay-1", REF, 60, NOW),
        (3, "voided", "pay-1", REF, 40, NOW),
    ]
    assert [entry.id for entry in ledger.entries(after=1, limit=1)] == [2]


@pytest.mark.parametrize(
    ("token", "behaviour"),
    [
        ("tok_slow", Behaviour(delay_ms=300)),
        ("tok_slow:20", Behaviour(delay_ms=20)),
        ("tok_error_500", Behaviour(fails_first=2)),
        ("tok_error_500:7", Behaviour(fails_first=7)),
        ("tok_timeout_before", Behaviour(hangs_first=1)),
        ("tok_timeout_before:3", Behaviour(hangs_first=3)),
        ("tok_error_500:101", UNKNOWN),
        ("tok_slow:-1", UNKNOWN),
        ("tok_slow:\u0663", UNKNOWN),
    ],
)
def test_tokens_take_a_number(token: str, behaviour: Behaviour) -> None:
    assert behaviour_of(token) == behaviour


def test_faults_come_at_their_rates_and_repeat_by_seed() -> None:
    settings = FaultSettings(
        seed=7, error_rate=0.1, lost_before_rate=0.2, lost_after_rate=0.3, latency_ms_max=40
    )
    drawn = [
        fault for faults in [Faults(settings)] for fault in (faults.draw() for _ in range(4000))
    ]
    again = Faults(settings)
    assert drawn == [again.draw() for _ in range(4000)]
    counts = Counter(fault.failure for fault in drawn)
    rates = {"error": 0.1, "lost_before": 0.2, "lost_after": 0.3, None: 0.4}
    assert counts.keys() == rates.keys()
    for failure, count in counts.items():
        assert abs(count / 4000 - rates[failure]) < 0.03  # three standard deviations are 0.024
    assert 0 <= min(fault.latency_s for fault in drawn) < 0.001
    assert 0.039 < max(fault.latency_s for fault in drawn) <= 0.04


def test_no_faults_unless_set() -> None:
    assert Faults(FaultSettings(seed=3)).draw() is NO_FAULT


@pytest.mark.parametrize(
    "bad",
    [
        b'{"error_rate":0.6,"lost_before_rate":0.6}',
        b'{"error_rate":-0.1}',
        b'{"latency_ms_min":5}',
        b'{"eror_rate":0.5}',
    ],
)
def test_fault_settings_are_checked(bad: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(bad, type=FaultSettings)
