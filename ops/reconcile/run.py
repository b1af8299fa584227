"""Reconciliation: a consistent cut through all the services' logs, and every check on it."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable

from ops.reconcile import mail, money, views
from ops.reconcile.log import Cut, ServiceLog, ViewsLog
from ops.reconcile.mail import Mail
from ops.reconcile.money import LedgerEntry, Provider
from ops.reconcile.postgres import PostgresLog, PostgresViews
from ops.reconcile.report import Report, Tally
from ops.reconcile.sources import Sources
from ops.reconcile.spool import Spool
from ops.reconcile.walk import CHECKS, Progress, Walk
from shared.events import SERVICES, catalogue

CUT_TRIES_MAX = 40
CUT_RETRY_SECONDS = 0.025
SETTLE_POLL_SECONDS = 0.25


class Stopped(Exception):
    """The caller was cancelled; the walk ends at its next step."""


async def reconcile(
    sources: Sources, *, settle_seconds: float = 0.0, progress: Progress | None = None
) -> Report:
    """Check every invariant on everything that the sources hold.

    ``settle_seconds`` is how long to wait, at most, until feeds are consumed and calls to the outside are answered;
    what is under way after that is reported as in flight. ``progress`` is called from another thread with the number
    of messages read. Raises `CannotRead` when a source that was named does not answer.
    """
    started = time.monotonic()
    tally, spool, stop = Tally(CHECKS), Spool(), threading.Event()
    logs: list[PostgresLog] = []
    viewed: list[PostgresViews] = []
    try:
        await asyncio.to_thread(_open, sources, logs, viewed)
        await _cut(logs, viewed, time.monotonic() + settle_seconds)
        views_log = viewed[0] if viewed else None
        walk = Walk(list(logs), views_log, spool, tally)
        await _outside(sources, walk, spool, tally)
        _say_what_is_missing(walk, sources.payments is None, sources.sink is None, tally)
        await asyncio.to_thread(walk.run, _told(progress, stop))
        return tally.report(time.monotonic() - started)
    except asyncio.CancelledError:
        stop.set()
        raise
    finally:
        for database in (*(log.database for log in logs), *(view.database for view in viewed)):
            database.close()
        if (
            not stop.is_set()
        ):  # else the walk's thread may still be at it, and lets go of it as it ends
            spool.close()


def judge(
    logs: list[ServiceLog],
    viewed: ViewsLog | None = None,
    ledger: Iterable[LedgerEntry] | None = None,
    mails: Iterable[Mail] | None = None,
) -> Report:
    """The same checks on logs that are at hand: for simulations and tests. None for what is not there."""
    started = time.monotonic()
    tally, spool = Tally(CHECKS), Spool()
    try:
        walk = Walk(logs, viewed, spool, tally)
        if ledger is not None:
            walk.provider = Provider(spool, walk.cuts, tally)
            walk.provider.add(ledger)
            walk.provider.ready()
        if mails is not None:
            mail.add(spool, mails)
            walk.sink = True
        _say_what_is_missing(walk, ledger is None, mails is None, tally)
        walk.run(lambda _: None)
        return tally.report(time.monotonic() - started)
    finally:
        spool.close()


def _open(sources: Sources, logs: list[PostgresLog], viewed: list[PostgresViews]) -> None:
    """Connect to all databases; what was opened is in the lists even when a later one fails."""
    present = (s for s in SERVICES if s in sources.databases)
    logs.extend(PostgresLog(service, sources.databases[service]) for service in present)
    if "views" in sources.databases:
        viewed.append(PostgresViews(sources.databases["views"]))


async def _cut(logs: list[PostgresLog], viewed: list[PostgresViews], until: float) -> None:
    """Take snapshots that fit together, and wait for quiet until a time."""
    tries = 0
    while True:
        takers = [*(log.take for log in logs), *(view.take for view in viewed)]
        await asyncio.gather(*(asyncio.to_thread(take) for take in takers))
        cuts = {log.service: log.cut for log in logs}
        if viewed:
            cuts["views"] = viewed[0].cut
        tries += 1
        if not fits(cuts) and tries < CUT_TRIES_MAX:
            await asyncio.sleep(CUT_RETRY_SECONDS)
        elif not quiet(cuts) and time.monotonic() < until:
            await asyncio.sleep(SETTLE_POLL_SECONDS)
        else:
            return


def fits(cuts: dict[str, Cut]) -> bool:
    """Whether a cut is consistent: nobody has handled a message that its producer's snapshot does not hold."""
    return all(mark <= head for mark, head in _marks(cuts))


def quiet(cuts: dict[str, Cut]) -> bool:
    """Whether all that was sent is handled, and no call to the outside is owed; parked ones wait for a person."""
    idle = all(len(c.effects) == c.effects_parked and not c.due for c in cuts.values())
    return idle and all(mark == head for mark, head in _marks(cuts))


def _marks(cuts: dict[str, Cut]) -> list[tuple[int, int]]:
    """For each partition that a service consumes: up to where, and where its producer ends."""
    out: list[tuple[int, int]] = []
    for cut in cuts.values():
        for (topic, partition), mark in cut.marks.items():
            producer = catalogue.sequenced_by(topic)
            if producer in cuts:
                out.append((mark, cuts[producer].heads.get((topic, partition), 0)))
    return out


async def _outside(sources: Sources, walk: Walk, spool: Spool, tally: Tally) -> None:
    """Read the provider's ledger and the sink: after the cut, so that they hold whatever our logs say of them."""
    if sources.payments is not None:
        walk.provider = Provider(spool, walk.cuts, tally)
        async for page in sources.payments.pages():
            walk.provider.add(page)
        walk.provider.ready()
    if sources.sink is not None:
        walk.sink = True
        async for mails in sources.sink.pages():
            mail.add(spool, mails)


def _say_what_is_missing(walk: Walk, no_ledger: bool, no_sink: bool, tally: Tally) -> None:
    """Checks that are not made are named, never silently left out."""
    for service in SERVICES:
        if service not in walk.cuts:
            tally.not_checked(
                f"{service}: its log is not among the sources, nor what others did for it"
            )
    if no_ledger:
        checks = (money.LEDGER_HAS, money.EVENT_HAS)
        tally.not_checked(
            f"no provider's ledger: {'; '.join(c.says for c in checks)} (invariant 4)"
        )
    if no_sink:
        tally.not_checked(f"no mail sink: {mail.ARRIVED.says} (invariant 9)")
    if "views" not in walk.cuts:
        says = "; ".join(c.says for c in views.CHECKS)
        tally.not_checked(f"no views: {says} (invariant 12)")


def _told(progress: Progress | None, stop: threading.Event) -> Callable[[int], None]:
    def told(messages: int) -> None:
        if stop.is_set():
            raise Stopped
        if progress is not None:
            progress(messages)

    return told
