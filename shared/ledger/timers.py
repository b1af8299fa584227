"""Delivers timers that are due to the service's own deciders."""

import asyncio

import msgspec
import structlog

from shared.ledger.store import Meta, Store, TimerRef, TimerRow, Unavailable
from shared.ledger.table import Table
from shared.ledger.work import Task, Unit
from shared.ledger.writer import Writer, utc_now

log = structlog.get_logger()

POLL_SECONDS = 0.25
TIMERS_MAX = 500


def task_of(row: TimerRow, table: Table) -> Task:
    """The task of a due timer. It claims the row, so a timer that was cancelled or moved meanwhile does nothing."""
    meta = msgspec.json.decode(row.meta, type=Meta)
    return Task(
        message=table.codec.decode(row.type, row.message),
        id=f"timer:{row.subject}:{row.name}:{row.due_at.isoformat()}",
        correlation_id=meta.correlation,
        traceparent=meta.trace,
        timer=TimerRef(row.subject, row.name, row.due_at),
    )


async def fire_due(table: Table, store: Store, writer: Writer) -> int:
    """Deliver what is due now; returns how many timers were handed over."""
    due = await store.due_timers(utc_now(), TIMERS_MAX)
    if due:
        results = await writer.submit(Unit([task_of(row, table) for row in due]))
        for row, result in zip(due, results, strict=True):
            if isinstance(result, Exception):
                log.error("timer_failed", subject=row.subject, name=row.name, error=str(result))
    return len(due)


async def run_timers(table: Table, store: Store, writer: Writer) -> None:
    """Fire timers until cancelled. A store that is away delays them and loses none."""
    while True:
        try:
            fired = await fire_due(table, store, writer)
        except Unavailable as error:
            log.warning("timers_wait", error=str(error))
            fired = 0
        if fired < TIMERS_MAX:
            await asyncio.sleep(POLL_SECONDS)
