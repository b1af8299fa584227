"""Runs one seed."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from shared.ledger import crashpoints
from tests.simulation.chaos import kinds_of
from tests.simulation.loop import RUNNING, run
from tests.simulation.world import Outcome, World

ORDERS = 20


def play(
    seed: int, orders: int = ORDERS, kinds: Iterable[str] | None = None, *, trace: bool = False
) -> Outcome:
    """Live through one world. The same arguments give the same outcome, in every run and on every machine."""
    with _simulated():
        return _lived(World(seed, orders, kinds_of(seed) if kinds is None else kinds, trace=trace))


def _lived(world: World) -> Outcome:
    try:
        run(world.loop, world.live())
    except Exception as error:  # noqa: BLE001 - a world that breaks down is a finding
        world.violation(f"the world broke down: {type(error).__name__}: {error}")
    return Outcome(
        world.seed,
        tuple(world.violations),
        dict(world.chaos.fired),
        world.watch.digest,
        world.loop.now,
        sum(len(s.tables.messages) for s in world.services.values()),
        world.loop.steps,
    )


@contextmanager
def _simulated() -> Iterator[None]:
    """Crash points reach the simulated process, nobody logs, and memory is tidied up only afterwards: what a dead
    process left open would otherwise be closed at some moment that depends on everything that ran before."""

    def reach(label: str) -> None:
        process = RUNNING.get()
        if process is not None:
            process.reach(label)

    before, configured = crashpoints.reach, structlog.get_config()
    crashpoints.reach = reach
    gc.freeze()  # what was there before need not be looked through
    gc.disable()
    structlog.configure(processors=[_silence], cache_logger_on_first_use=False)
    try:
        yield
    finally:
        gc.enable()
        gc.collect()
        gc.unfreeze()
        crashpoints.reach = before
        structlog.configure(**configured)


def _silence(_: Any, __: str, ___: Any) -> Any:
    raise structlog.DropEvent
