"""The fake provider without a transport.

The ledger, plus the misbehaviour that a request asks for.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from shared.payments.faults import Faults
from shared.payments.port import Outcome
from shared.payments.rules import Authorise, Entry, Request
from shared.payments.runners import Runner
from shared.payments.tokens import behaviour_of

Sleep = Callable[[float], Awaitable[None]]
_ATTEMPTS_KEPT_MAX = 10_000


class InjectedError(Exception):
    """The provider fails on purpose, with nothing recorded."""


class LostAnswerError(Exception):
    """The answer must never reach the caller: whoever carries it hangs instead."""


class FakeProvider:
    """Answers requests as the ledger decides and as tokens and faults spoil it.

    Attempts are counted in memory for the last 10,000 failing keys; a restart counts anew.
    """

    def __init__(
        self, runner: Runner, faults: Faults | None = None, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.faults = Faults() if faults is None else faults
        self._runner = runner
        self._sleep = sleep
        self._attempts: OrderedDict[str, int] = OrderedDict()

    async def perform(self, request: Request) -> Outcome:
        """Answer `request`; raises `InjectedError`, `LostAnswerError` or what the ledger raises."""
        fault = self.faults.draw()
        if fault.latency_s:
            await self._sleep(fault.latency_s)
        if fault.failure == "error":
            raise InjectedError("a fault was set by the administrator")
        if fault.failure == "lost_before":
            raise LostAnswerError
        if isinstance(request, Authorise):
            await self._misbehave_before(request)
        applied = await self._runner.run(lambda ledger: ledger.apply(request))
        if not applied.replayed:
            behaviour = behaviour_of(applied.method)
            if isinstance(request, Authorise) and behaviour.delay_ms:
                await self._sleep(behaviour.delay_ms / 1000)
            if behaviour.loses_answer_to == type(request).__name__.lower():
                raise LostAnswerError
        if fault.failure == "lost_after":
            raise LostAnswerError
        return applied.outcome

    async def lookup(self, key: str) -> Outcome | None:
        """Return the answer recorded for `key`.

        Raises `InjectedError` and `LostAnswerError` as faults say.
        """
        fault = self.faults.draw()
        if fault.latency_s:
            await self._sleep(fault.latency_s)
        if fault.failure == "error":
            raise InjectedError("a fault was set by the administrator")
        if fault.failure is not None:
            raise LostAnswerError
        return await self._runner.run(lambda ledger: ledger.lookup(key))

    async def entries(self, after: int, limit: int) -> list[Entry]:
        """Return up to `limit` ledger entries with ids above `after`; faults don't touch it."""
        return await self._runner.run(lambda ledger: ledger.entries(after, limit))

    async def close(self) -> None:
        """Finish what is under way and let go of the ledger."""
        await self._runner.close()

    async def _misbehave_before(self, request: Authorise) -> None:
        behaviour = behaviour_of(request.method)
        spoilt = behaviour.fails_first or behaviour.hangs_first
        if not spoilt:
            return
        if await self._runner.run(lambda ledger: ledger.lookup(request.key)) is not None:
            return  # answered before a restart forgot the attempts: the stored answer wins
        attempt = self._attempts.pop(request.key, 0) + 1
        if attempt > spoilt:
            return
        self._attempts[request.key] = attempt
        if len(self._attempts) > _ATTEMPTS_KEPT_MAX:
            self._attempts.popitem(last=False)
        if behaviour.fails_first:
            raise InjectedError(f"{request.method}: attempt {attempt} of {spoilt} that fail")
        raise LostAnswerError
