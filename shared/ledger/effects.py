"""Performs effects: calls to the outside that an event made due.

The row was committed with the event; the call is made after that, under the effect's own id as idempotency key, until it
is answered. The answer is a message to the service's own decider, and settles the row in the same transaction.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec
import structlog

from shared.events import Command
from shared.ledger.batch import LEASE
from shared.ledger.store import EffectRow, Meta, Store, Unavailable
from shared.ledger.work import Overloaded, Task, Unit
from shared.ledger.writer import Writer, utc_now

log = structlog.get_logger()

#: Performs one request under an idempotency key, and answers with the message to decide about.
Performer = Callable[[Any, str], Awaitable[Command]]

POLL_SECONDS = 0.5
CONCURRENT_MAX = 256
ATTEMPTS_MAX = 30
RETRY_FIRST_SECONDS = 0.2
RETRY_LONGEST_SECONDS = 60.0


class TryAgain(Exception):
    """The outside did not answer, or not now: the outcome is unknown. The effect is performed again later."""


def retry_after(attempts: int) -> float:
    """Seconds until the next attempt: doubling, capped, with full jitter so that a crowd spreads out."""
    longest: float = min(RETRY_LONGEST_SECONDS, RETRY_FIRST_SECONDS * 2**attempts)
    return longest * random.uniform(0.5, 1.0)


class Effects:
    """Runs a service's effects. ``performers`` maps a request type to what performs it."""

    def __init__(
        self, store: Store, writer: Writer, performers: Mapping[type[msgspec.Struct], Performer]
    ) -> None:
        self._store = store
        self._writer = writer
        self._performers = {str(t.__struct_config__.tag): p for t, p in performers.items()}
        self._decoders = {str(t.__struct_config__.tag): msgspec.json.Decoder(t) for t in performers}
        self._fresh: list[EffectRow] = []
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._wake = asyncio.Event()

    def take(self, rows: list[EffectRow]) -> None:
        """Effects that were just committed and leased to this process: performed at once, without reading them back."""
        self._fresh += rows
        self._wake.set()

    async def run(self) -> None:
        """Perform until cancelled; then let what is under way finish, up to the lease."""
        renewing = asyncio.create_task(self._renew())
        try:
            while True:
                rows = await self._next()
                if rows:
                    await self._perform_all(rows)
                    continue
                self._wake.clear()
                try:
                    await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
                except TimeoutError:
                    continue
        finally:
            renewing.cancel()
            for task in self._running.values():
                task.cancel()

    async def _next(self) -> list[EffectRow]:
        room = CONCURRENT_MAX - len(self._running)
        if room <= 0:
            await asyncio.wait(self._running.values(), return_when=asyncio.FIRST_COMPLETED)
            return []
        if self._fresh:
            rows, self._fresh = self._fresh[:room], self._fresh[room:]
            return rows
        try:
            now = utc_now()
            rows = await self._store.lease_effects(now, now + LEASE, room)
        except Unavailable as error:
            log.warning("effects_wait", error=str(error))
            return []
        return [r for r in rows if r.id not in self._running]

    async def _perform_all(self, rows: list[EffectRow]) -> None:
        """Start every row; those that answer without waiting (a provider in this process) share one transaction."""
        for row in rows:
            task = asyncio.create_task(self._perform(row), name=f"effect {row.id}")
            self._running[row.id] = task
            task.add_done_callback(lambda _, id=row.id: self._running.pop(id, None))  # type: ignore[misc]
        await asyncio.sleep(0)

    async def _perform(self, row: EffectRow) -> None:
        meta = msgspec.json.decode(row.meta, type=Meta)
        try:
            performer = self._performers.get(row.type)
            if performer is None:
                raise LookupError(f"no performer for {row.type}: was this service downgraded?")
            answer = await performer(self._decoders[row.type].decode(row.request), row.id)
        except TryAgain as error:
            await self._postpone(row, str(error), parked=row.attempts + 1 >= ATTEMPTS_MAX)
            return
        except Exception as error:
            log.exception("effect_failed", id=row.id, type=row.type, subject=row.subject)
            await self._postpone(row, f"{type(error).__name__}: {error}", parked=True)
            return
        task = Task(
            message=answer,
            id=f"effect:{row.id}",
            correlation_id=meta.correlation,
            traceparent=meta.trace,
            effect=row.id,
        )
        try:
            [result] = await self._writer.submit(Unit([task]))
        except (Unavailable, Overloaded) as error:
            # The lease runs out and the effect is performed again: its id makes that harmless.
            log.warning("effect_answer_waits", id=row.id, error=str(error))
            return
        if isinstance(result, Exception):
            await self._postpone(row, f"answer not accepted: {result}", parked=True)

    async def _postpone(self, row: EffectRow, error: str, *, parked: bool) -> None:
        next_at = utc_now() + timedelta(seconds=retry_after(row.attempts))
        level = log.error if parked else log.warning
        level(
            "effect_parked" if parked else "effect_retries", id=row.id, type=row.type, error=error
        )
        try:
            await self._store.postpone_effect(row.id, error[:2000], next_at, parked=parked)
        except Unavailable as away:
            log.warning("effect_lease_runs_out", id=row.id, error=str(away))

    async def _renew(self) -> None:
        """Slow calls keep their lease, so that no second process makes them at the same time."""
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            ids = list(self._running)
            if ids:
                try:
                    await self._store.renew_leases(ids, utc_now() + LEASE)
                except Unavailable as error:
                    log.warning("leases_not_renewed", error=str(error))
