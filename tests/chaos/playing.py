"""One run: a system comes up, is loaded and broken, comes to rest, and is judged from what it left behind."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from ops.cli.client import Running
from ops.demo.plan import make_plan
from ops.demo.stories import SHAKY_BANK, SLOW_BANK
from ops.demo.summary import parked_keys
from ops.reconcile import Report, reconcile, sources_of
from ops.system import System
from tests.chaos.faults import KINDS, Kind
from tests.chaos.injector import KILLED, Injected, Injector
from tests.chaos.outside import Outside, Sample
from tests.chaos.town import Town, town

#: What a run is to show: every order has ended so soon after the last fault.
ENDED_SECONDS_MAX = 60.0
#: The last fault is over so long before the last order is due.
TAIL_S = 10.0
ENDED_WITHIN_S = 240.0
SETTLE_S = 30.0
ITEMS_WITHIN_S = 60.0
SHOW_EVERY_S = 5.0
#: Invariants of the domain by what a violation of them would be called.
DOUBLED, OVERSOLD = {4, 6, 9}, {1, 2}


Show = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What a run came to. Seconds are since the load began, ``ended_s`` since the last fault."""

    seed: int
    seconds: float
    rate: float
    planned: int
    accepted: int
    lost: tuple[str, ...]
    unfinished: tuple[str, ...]
    parked: int
    bank: int
    retries: Counter[str]
    refused: Counter[str]
    gave_up: tuple[str, ...]
    otherwise: Counter[str]
    samples: tuple[Sample, ...]
    injected: tuple[Injected, ...]
    missing: dict[str, str]
    ended_s: float
    reconciled: Report

    @property
    def faults(self) -> int:
        """How many faults there were, the bank's included."""
        return len(self.injected) + self.bank

    def broken(self, invariants: set[int]) -> int:
        """Violations of some invariants."""
        return sum(c.violations for c in self.reconciled.counts if c.invariant in invariants)

    def recovery_s(self, fault: Injected) -> float | None:
        """Seconds from when a fault was over, and everything that it met under way, until all went on."""
        if fault.recovered_s is None:
            return None
        over = [fault.lifted_s]
        if fault.kind == KILLED:  # its successor cannot start before what else was broken is mended
            over += [
                other.lifted_s
                for other in self.injected
                if other.kind != KILLED and fault.lifted_s <= other.lifted_s <= fault.recovered_s
            ]
        return fault.recovered_s - max(over)

    @property
    def worst_recovery_s(self) -> float:
        """The longest recovery that was seen."""
        return max((s for f in self.injected if (s := self.recovery_s(f)) is not None), default=0.0)

    @property
    def good(self) -> bool:
        """Whether nothing was lost, doubled, oversold, or left behind, and the books close."""
        return not (self.lost or self.unfinished or self.parked) and self.reconciled.clean

    @property
    def in_time(self) -> bool:
        """Whether every order had ended soon enough after the last fault."""
        return self.ended_s <= ENDED_SECONDS_MAX

    @property
    def last_line(self) -> str:
        """For scripts."""
        return (
            f"orders={self.accepted} faults={self.faults} lost={len(self.lost)} "
            f"doubled={self.broken(DOUBLED)} oversold={self.broken(OVERSOLD)} "
            f"unfinished={len(self.unfinished) + self.parked} "
            f"worst_recovery_s={self.worst_recovery_s:.1f}"
        )


async def play(
    data: Path, seconds: float, rate: float, seed: int, show: Show, kinds: tuple[Kind, ...] = KINDS
) -> Result:
    """A run of so many seconds over a fresh directory. The same seed gives the same orders, and draws the same faults;
    when they meet is up to the machine. ``show`` is told how far it has come."""
    plan = make_plan(max(1, int(seconds * rate)), seed, f"c{seed}")
    async with town(data) as there:
        outside = Outside(there.system, plan)
        try:
            await outside.open_shop()
            await _items_known(there.system, len(plan.products()))
            injector = Injector(there, seed, lambda since: outside.confirmed_due > since, kinds)
            breaking = asyncio.create_task(injector.run(max(0.0, seconds - TAIL_S)))
            outside.start(_shown(outside, injector, show))
            await asyncio.gather(outside.place_all(rate), breaking)
            lifted = injector.began + max((f.lifted_s for f in injector.injected), default=0.0)
            ended_s = await _until_ended(outside) - lifted
            await injector.recovered()
            async with sources_of(data) as sources:
                reconciled = await reconcile(sources, settle_seconds=SETTLE_S)
            return Result(
                seed=seed,
                seconds=seconds,
                rate=rate,
                planned=len(plan.orders),
                accepted=len(outside.accepted),
                lost=_lost(outside.samples, _logged(there)),
                unfinished=tuple(outside.open_orders()),
                parked=await parked_keys(Running.of(there.system)),
                bank=sum(p.story in (SLOW_BANK, SHAKY_BANK) for p in plan.orders),
                retries=outside.retries,
                refused=outside.refused,
                gave_up=tuple(outside.gave_up),
                otherwise=Counter(
                    f"{p.planned.story.name}: {p.now}"
                    for p in outside.tracker.unfinished
                    if p.end is not None
                ),
                samples=tuple(outside.samples),
                injected=tuple(injector.injected),
                missing=injector.missing,
                ended_s=ended_s,
                reconciled=reconciled,
            )
        finally:
            await outside.close()


async def _shown(outside: Outside, injector: Injector, show: Show) -> None:
    """Tell how far it has come, every few seconds, until cancelled."""
    while True:
        await asyncio.sleep(SHOW_EVERY_S)
        last = injector.injected[-1].kind if injector.injected else "none yet"
        show(
            f"{time.monotonic() - injector.began:5.0f} s: {len(outside.accepted)} orders accepted, "
            f"{outside.tracker.counts.ended} ended; {len(injector.injected)} faults, the last: {last}"
        )


async def _until_ended(outside: Outside) -> float:
    """When the last order had ended; or when it was enough."""
    deadline = time.monotonic() + ENDED_WITHIN_S
    while not outside.finished() or len(outside.accepted) < len(outside.plan.orders):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.2)
    return time.monotonic()


async def _items_known(system: System, count: int) -> None:
    """The order service learns from inventory what may be ordered."""
    async with asyncio.timeout(ITEMS_WITHIN_S):
        while _count(system.dsns["order"], "select count(*) from items") < count:
            await asyncio.sleep(0.1)


def _lost(samples: list[Sample], logged: set[str]) -> tuple[str, ...]:
    """Accepted orders of which the log does not know, each with the road that took it."""
    return tuple(sorted(f"{s.order_id}, by {s.road}" for s in samples if s.order_id not in logged))


def _logged(there: Town) -> set[str]:
    """Orders of which the order service's log knows."""
    sql = "select distinct stream from messages where stream like 'order-%' and version > 0"
    with psycopg.connect(there.system.dsns["order"]) as c:
        return {stream.removeprefix("order-") for (stream,) in c.execute(sql).fetchall()}


def _count(dsn: str, sql: str) -> int:
    with psycopg.connect(dsn) as c:
        row = c.execute(sql).fetchone()
    assert row is not None
    return int(row[0])
