"""Delivers timers that are due to the service's own deciders."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import structlog

from shared.events import BadPayload, UnknownType
from shared.ledger import crashpoints
from shared.ledger.store import Meta, Store, TimerRef, TimerRow, Unavailable
from shared.ledger.table import Table
from shared.ledger.work import Overloaded, Task, Unit
from shared.ledger.writer import Writer, utc_now

log = structlog.get_logger()

POLL_SECONDS = 0.25
TIMERS_MAX = 500
#: How long a timer rests that could not be delivered.
HOLD = timedelta(seconds=30)


def task_of(row: TimerRow, table: Table) -> Task:
    """The task of a due timer. It claims the row, so a timer that was cancelled or moved meanwhile does nothing."""
    meta = msgspec.json.decode(row.meta, type=Meta)
    return Task(
        message=table.codec.decode(row.type, row.message),
        id=f"timer:{row.subject}:{row.name}:{row.due_at.isoformat()}",
        correlation_id=meta.correlation,
        traceparent=meta.trace,
        cause=meta.causation,
        timer=TimerRef(row.subject, row.name, row.due_at),
    )


class Timers:
    """Fires a service's timers. One whose decider fails is tried again after a while, and delays no other."""

    def __init__(
        self,
        table: Table,
        store: Store,
        writer: Writer,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._table = table
        self._store = store
        self._writer = writer
        self._clock = clock
        self._held: dict[TimerRef, datetime] = {}

    async def fire_due(self) -> int:
        """Deliver what is due now; returns how many timers were handed over."""
        now = self._clock()
        self._held = {ref: until for ref, until in self._held.items() if until > now}
        due = await self._store.due_timers(now, TIMERS_MAX + len(self._held))
        tasks: list[Task] = []
        for row in due:
            if TimerRef(*row[:3]) in self._held:
                continue
            try:
                tasks.append(task_of(row, self._table))
            except (UnknownType, BadPayload) as error:
                self._hold(TimerRef(*row[:3]), error)
        if tasks:
            crashpoints.reach(crashpoints.BEFORE_TIMERS)
            results = await self._writer.submit(Unit(tasks))
            for task, result in zip(tasks, results, strict=True):
                if isinstance(result, Exception) and task.timer is not None:
                    self._hold(task.timer, result)
        return len(tasks)

    def _hold(self, timer: TimerRef, error: Exception) -> None:
        self._held[timer] = self._clock() + HOLD
        log.error("timer_failed", subject=timer.subject, name=timer.name, error=str(error))

    async def run(self) -> None:
        """Fire timers until cancelled. A store that is away delays them and loses none."""
        while True:
            try:
                fired = await self.fire_due()
            except (Unavailable, Overloaded) as error:
                log.warning("timers_wait", error=str(error))
                fired = 0
            if fired < TIMERS_MAX:
                await asyncio.sleep(POLL_SECONDS)
