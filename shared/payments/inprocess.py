"""The payment port on the fake provider in the same process.

For simulation, benchmarks and tests.
"""

import asyncio
from pathlib import Path
from typing import NoReturn

from shared.payments.fake import FakeProvider, InjectedError, LostAnswerError, Sleep
from shared.payments.faults import Faults
from shared.payments.ledger import Clock, Ledger, MemoryStore, utc_now
from shared.payments.port import (
    Authorised,
    Captured,
    Declined,
    Money,
    Outcome,
    ProviderUnavailable,
    Refunded,
    Refused,
    Voided,
)
from shared.payments.rules import Authorise, Capture, Entry, Refund, Request, Void
from shared.payments.runners import Direct, GroupCommit
from shared.payments.sqlite_store import SqliteStore


class InProcessPayments:
    """`PaymentProvider` and `LedgerReader` without HTTP.

    A lost answer costs the caller `patience_s`.
    """

    def __init__(
        self, provider: FakeProvider, *, patience_s: float = 5.0, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._provider = provider
        self._patience_s = patience_s
        self._sleep = sleep

    @classmethod
    def in_memory(
        cls,
        *,
        clock: Clock = utc_now,
        faults: Faults | None = None,
        sleep: Sleep = asyncio.sleep,
        patience_s: float = 5.0,
    ) -> "InProcessPayments":
        """Make one whose ledger is gone with the object. `clock` and `sleep` may be virtual."""
        runner = Direct(Ledger(MemoryStore(), clock))
        return cls(FakeProvider(runner, faults, sleep), patience_s=patience_s, sleep=sleep)

    @classmethod
    def on_file(
        cls,
        path: Path,
        *,
        clock: Clock = utc_now,
        faults: Faults | None = None,
        patience_s: float = 5.0,
    ) -> "InProcessPayments":
        """Make one whose ledger is the SQLite file at `path`; the server can serve it as well."""
        runner = GroupCommit(SqliteStore(path), clock)
        return cls(FakeProvider(runner, faults), patience_s=patience_s)

    async def authorise(
        self, key: str, payment_id: str, amount: Money, method: str
    ) -> Authorised | Declined:
        """See `PaymentProvider.authorise`."""
        request = Authorise(key, payment_id, amount.amount, amount.currency, method)
        outcome = await self._perform(request)
        assert isinstance(outcome, Authorised | Declined)
        return outcome

    async def capture(self, key: str, provider_ref: str, amount: Money) -> Captured | Refused:
        """See `PaymentProvider.capture`."""
        outcome = await self._perform(Capture(key, provider_ref, amount.amount, amount.currency))
        assert isinstance(outcome, Captured | Refused)
        return outcome

    async def void(self, key: str, provider_ref: str) -> Voided | Refused:
        """See `PaymentProvider.void`."""
        outcome = await self._perform(Void(key, provider_ref))
        assert isinstance(outcome, Voided | Refused)
        return outcome

    async def refund(self, key: str, provider_ref: str, amount: Money) -> Refunded | Refused:
        """See `PaymentProvider.refund`."""
        outcome = await self._perform(Refund(key, provider_ref, amount.amount, amount.currency))
        assert isinstance(outcome, Refunded | Refused)
        return outcome

    async def lookup(self, key: str) -> Outcome | None:
        """See `PaymentProvider.lookup`."""
        try:
            return await self._provider.lookup(key)
        except (InjectedError, LostAnswerError) as error:
            await self._unavailable(error, "lookup", key)

    async def entries(self, after: int = 0, limit: int = 500) -> list[Entry]:
        """See `LedgerReader.entries`."""
        return await self._provider.entries(after, limit)

    async def close(self) -> None:
        """Finish what is under way and close the ledger."""
        await self._provider.close()

    async def _perform(self, request: Request) -> Outcome:
        try:
            return await self._provider.perform(request)
        except (InjectedError, LostAnswerError) as error:
            await self._unavailable(error, type(request).__name__.lower(), request.key)

    async def _unavailable(self, error: Exception, operation: str, key: str) -> NoReturn:
        if isinstance(error, LostAnswerError):
            await self._sleep(self._patience_s)
            what = f"gave no answer within {self._patience_s} s"
        else:
            what = f"failed: {error}"
        raise ProviderUnavailable(
            f"payment {operation} with key {key!r} {what}; "
            "its outcome is unknown, retry with the same key"
        ) from error
