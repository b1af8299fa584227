"""Any sequence of requests.

Memory, SQLite and an independent model agree, and money is conserved.
"""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from shared.payments.ledger import Ledger, MemoryStore
from shared.payments.port import (
    Authorised,
    Captured,
    Declined,
    IdempotencyMismatch,
    Outcome,
    Refunded,
    Voided,
)
from shared.payments.rules import Authorise, Capture, Refund, Request, Void
from shared.payments.sqlite_store import SqliteStore

AMOUNTS = st.integers(1, 12)
CURRENCIES = st.sampled_from(["GBP", "GBP", "GBP", "EUR"])
METHODS = st.sampled_from(
    ["tok_ok", "tok_ok", "tok_declined", "tok_capture_refused", "tok_refund_refused", "cash"]
)


class LedgerMachine(RuleBasedStateMachine):
    refs = Bundle("refs")
    done = Bundle("done")

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.store = SqliteStore(Path(":memory:"))
        self.ledgers = [
            Ledger(MemoryStore(), lambda: self.now),
            Ledger(self.store, lambda: self.now),
        ]
        self.keys = 0
        self.requests = 0
        self.authorised: dict[str, tuple[int, str, str]] = {}
        self.moved: dict[tuple[str, str], int] = defaultdict(int)
        self.voided: set[str] = set()

    def teardown(self) -> None:
        self.store.close()

    def apply(self, request: Request) -> Outcome:
        self.now += timedelta(microseconds=1)
        self.store.begin()
        memory, sqlite = (ledger.apply(request) for ledger in self.ledgers)
        self.store.commit()
        assert memory == sqlite
        assert not memory.replayed
        self.requests += 1
        return memory.outcome

    def key(self) -> str:
        self.keys += 1
        return f"key-{self.keys}"

    @rule(target=refs)
    def stranger(self) -> str:
        return "auth_unknown"

    @rule(target=refs, amount=AMOUNTS, currency=CURRENCIES, method=METHODS)
    def authorise(self, amount: int, currency: str, method: str) -> object:
        outcome = self.apply(Authorise(self.key(), "pay-1", amount, currency, method))
        if method in ("tok_declined", "cash"):
            assert isinstance(outcome, Declined)
            return multiple()
        assert isinstance(outcome, Authorised)
        assert outcome.provider_ref not in self.authorised
        self.authorised[outcome.provider_ref] = (amount, currency, method)
        return outcome.provider_ref

    @rule(target=done, ref=refs, amount=AMOUNTS, currency=CURRENCIES)
    def capture(self, ref: str, amount: int, currency: str) -> Request:
        request = Capture(self.key(), ref, amount, currency)
        outcome = self.apply(request)
        total, own_currency, method = self.authorised.get(ref, (0, "", ""))
        room = total - self.moved[ref, "captured"]
        possible = currency == own_currency and amount <= room and ref not in self.voided
        assert isinstance(outcome, Captured) == (possible and method != "tok_capture_refused")
        if isinstance(outcome, Captured):
            self.moved[ref, "captured"] += amount
        return request

    @rule(target=done, ref=refs, amount=AMOUNTS, currency=CURRENCIES)
    def refund(self, ref: str, amount: int, currency: str) -> Request:
        request = Refund(self.key(), ref, amount, currency)
        outcome = self.apply(request)
        _, own_currency, method = self.authorised.get(ref, (0, "", ""))
        room = self.moved[ref, "captured"] - self.moved[ref, "refunded"]
        possible = currency == own_currency and amount <= room
        assert isinstance(outcome, Refunded) == (possible and method != "tok_refund_refused")
        if isinstance(outcome, Refunded):
            self.moved[ref, "refunded"] += amount
        return request

    @rule(target=done, ref=refs)
    def void(self, ref: str) -> Request:
        request = Void(self.key(), ref)
        outcome = self.apply(request)
        rest = self.authorised.get(ref, (0, "", ""))[0] - self.moved[ref, "captured"]
        assert isinstance(outcome, Voided) == (rest > 0 and ref not in self.voided)
        if isinstance(outcome, Voided):
            assert outcome.amount.amount == rest
            self.voided.add(ref)
        return request

    @rule(request=done)
    def repeat(self, request: Request) -> None:
        for ledger in self.ledgers:
            again = ledger.apply(request)
            assert again.replayed
            assert again.outcome == ledger.lookup(request.key)

    @rule(request=done)
    def reuse_the_key(self, request: Request) -> None:
        for ledger in self.ledgers:
            try:
                ledger.apply(Authorise(request.key, "pay-2", 1, "GBP", "tok_ok"))
            except IdempotencyMismatch:
                continue
            raise AssertionError("another request got the answer of this key")

    @invariant()
    def money_is_conserved_and_the_log_is_complete(self) -> None:
        entries = self.ledgers[0].entries()
        assert entries == self.ledgers[1].entries()
        assert [entry.id for entry in entries] == list(range(1, self.requests + 1))
        sums: dict[tuple[str, str], int] = defaultdict(int)
        for entry in entries:
            sums[entry.provider_ref, entry.kind] += entry.amount
        for ref in self.authorised:
            refunded, captured = sums[ref, "refunded"], sums[ref, "captured"]
            assert 0 <= refunded <= captured <= sums[ref, "authorised"] - sums[ref, "voided"]
            assert (captured, refunded) == (
                self.moved[ref, "captured"],
                self.moved[ref, "refunded"],
            )


LedgerMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, derandomize=True
)
TestLedgerMachine = LedgerMachine.TestCase
