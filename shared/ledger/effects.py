"""Performs effects: calls to the outside that an event made due.

The row was committed with the event; the call is made after that, under the effect's own id as idempotency key, until
it is answered. The answer is a message to the service's own decider, and settles the row in the same transaction.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from shared.events import Command
from shared.ledger import crashpoints
from shared.ledger.batch import LEASE
from shared.ledger.store import EffectRow, Meta, Store, Unavailable
from shared.ledger.work import Overloaded, Task, Unit, printable
from shared.ledger.writer import Writer, utc_now

log = structlog.get_logger()

#: Performs one request under an idempotency key, and answers with the message to decide about.
Performer = Callable[[Any, str], Awaitable[Command]]

POLL_SECONDS = 0.5
CONCURRENT_MAX = 256
#: Fresh effects that wait in memory; more stay in the store alone, until their leases run out. Otherwise an outside that
#: is slower than what comes in would fill the memory.
FRESH_MAX = 4096
ATTEMPTS_MAX = 30
RETRY_FIRST_SECONDS = 0.2
RETRY_LONGEST_SECONDS = 60.0


class TryAgain(Exception):
    """The outside did not answer, or not now: the outcome is unknown. The effect is performed again later."""


def retry_after(attempts: int, chance: Callable[[], float] = random.random) -> float:
    """Seconds until the next attempt: doubling, capped, with jitter so that a crowd spreads out. ``chance`` gives
    numbers from 0 to 1."""
    longest: float = min(RETRY_LONGEST_SECONDS, RETRY_FIRST_SECONDS * 2**attempts)
    return longest * (0.5 + chance() / 2)


class Effects:
    """Runs a service's effects. ``performers`` maps a request type to what performs it."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        performers: Mapping[type[msgspec.Struct], Performer],
        *,
        clock: Callable[[], datetime] = utc_now,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._writer = writer
        self._clock = clock
        self._chance = chance
        self._performers = {str(t.__struct_config__.tag): p for t, p in performers.items()}
        self._decoders = {str(t.__struct_config__.tag): msgspec.json.Decoder(t) for t in performers}
        self._fresh: list[EffectRow] = []
        self._running: dict[str, asyncio.Task[None]] = {}
        self._answers: list[tuple[EffectRow, Command]] = []
        self._look_at = 0.0
        self._wake = asyncio.Event()
        self._answered = asyncio.Event()

    def take(self, rows: list[EffectRow]) -> None:
        """Effects that were just committed and leased to this process: performed at once, without reading them back, as far
        as they fit."""
        self._fresh += rows[: FRESH_MAX - len(self._fresh)]
        self._wake.set()

    async def run(self) -> None:
        """Perform until cancelled. What is under way then is performed again, under its id, by the next process."""
        loops = [asyncio.create_task(self._settle()), asyncio.create_task(self._renew())]
        try:
            await asyncio.gather(self._start(), *loops)
        finally:
            for task in [*loops, *self._running.values()]:
                task.cancel()

    async def _start(self) -> None:
        while True:
            self._wake.clear()
            for row in await self._next():
                task = asyncio.create_task(self._perform(row), name=f"effect {row.id}")
                self._running[row.id] = task
            if not self._fresh:
                try:
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def _next(self) -> list[EffectRow]:
        """What to perform next: fresh effects, and every half second at least what is due in the store. What failed
        before, or was left by a process that died, is there alone: it must have its turn under load as well."""
        while (room := CONCURRENT_MAX - len(self._running)) <= 0:
            await asyncio.wait(self._running.values(), return_when=asyncio.FIRST_COMPLETED)
        loop_time = asyncio.get_running_loop().time()
        if self._fresh and loop_time < self._look_at:
            rows, self._fresh = self._fresh[:room], self._fresh[room:]
            return rows
        self._look_at = loop_time + POLL_SECONDS
        try:
            now = self._clock()
            rows = await self._store.lease_effects(now, now + LEASE, room)
        except Unavailable as error:
            log.warning("effects_wait", error=str(error))
            return []
        return [r for r in rows if r.id not in self._running]

    async def _perform(self, row: EffectRow) -> None:
        try:
            performer = self._performers.get(row.type)
            if performer is None:
                raise LookupError(f"no performer for {row.type}: was this service downgraded?")
            answer = await performer(self._decoders[row.type].decode(row.request), row.id)
            crashpoints.reach(crashpoints.AFTER_EFFECT)
            self._answers.append((row, answer))
            self._answered.set()
        except TryAgain as error:
            await self._postpone(row, str(error), parked=row.attempts + 1 >= ATTEMPTS_MAX)
        except Exception as error:
            log.exception("effect_failed", id=row.id, type=row.type, subject=row.subject)
            await self._postpone(row, f"{type(error).__name__}: {error}", parked=True)
        finally:
            self._running.pop(row.id, None)

    async def _settle(self) -> None:
        """Hand answers to the writer; those that came while it was busy share a transaction."""
        while True:
            await self._answered.wait()
            self._answered.clear()
            answers, self._answers = self._answers, []
            tasks = [_task(row, answer) for row, answer in answers]
            try:
                results = await self._writer.submit(Unit(tasks))
            except (Unavailable, Overloaded) as error:
                # The leases run out and the effects are performed again: their ids make that harmless.
                log.warning("effect_answers_wait", effects=len(tasks), error=str(error))
                await asyncio.sleep(POLL_SECONDS)
                continue
            for (row, _), result in zip(answers, results, strict=True):
                if isinstance(result, Exception):
                    await self._postpone(row, f"answer not accepted: {result}", parked=True)

    async def _postpone(self, row: EffectRow, error: str, *, parked: bool) -> None:
        next_at = self._clock() + timedelta(seconds=retry_after(row.attempts, self._chance))
        level = log.error if parked else log.warning
        level(
            "effect_parked" if parked else "effect_retries", id=row.id, type=row.type, error=error
        )
        try:
            await self._store.postpone_effect(row.id, printable(error), next_at, parked=parked)
        except Unavailable as away:
            log.warning("effect_lease_runs_out", id=row.id, error=str(away))

    async def _renew(self) -> None:
        """Slow calls keep their lease, so that no second process makes them at the same time."""
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            ids = [*self._running, *(row.id for row in self._fresh)]
            if ids:
                try:
                    await self._store.renew_leases(ids, self._clock() + LEASE)
                except Unavailable as error:
                    log.warning("leases_not_renewed", error=str(error))


def _task(row: EffectRow, answer: Command) -> Task:
    """The task of an answer; it claims the effect, so that a second answer does nothing."""
    meta = msgspec.json.decode(row.meta, type=Meta)
    return Task(
        message=answer,
        id=f"effect:{row.id}",
        correlation_id=meta.correlation,
        traceparent=meta.trace,
        cause=meta.causation,
        effect=row.id,
    )
