"""``python -m tests.fuzz``: see `make fuzz` in the README beside."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from benchmarks.testbed import cancel_on_signals
from ops.system import SERVICES
from tests.fuzz.api import Tally, fuzz
from tests.fuzz.ground import Ground, ground
from tests.fuzz.hostile import over_http, over_topics
from tests.fuzz.poison import poison
from tests.fuzz.storm import storm

PARTS = ("poison", "storm", "http", "topics", "api")
console = Console()


async def apis(on: Ground, services: list[str], examples: int) -> Tally:
    """Schemathesis over some services, one after the other."""
    tally, told = Tally(), 0
    for service in services:
        try:
            await asyncio.to_thread(fuzz, on, tally, service, examples, coverage=True)
        except asyncio.CancelledError:
            tally.stop()
            raise
        for fault in list(tally.faults.values())[told:]:
            say(f"{fault.operation}: {fault.check}: {fault.detail}")
        told = len(tally.faults)
        say(f"{service}: {tally.line()}")
    return tally


async def corpora(on: Ground, args: argparse.Namespace) -> list[str]:
    """The hostile inputs over HTTP and on the topics; what was wrong."""
    wrong: list[str] = []
    for name, play in (("http", over_http), ("topics", over_topics)):
        if name in args.parts:
            began = time.monotonic()
            found = await play(on, args.every)
            say(
                f"{name}: inputs={found.inputs} accepted={found.accepted} refused={found.refused} "
                f"parked={found.parked} wrong={len(found.wrong)} seconds={time.monotonic() - began:.0f}"
            )
            wrong += found.wrong
    return wrong


async def loads(on: Ground, args: argparse.Namespace) -> list[str]:
    """Poison among orders, and the storm of equal requests; what was wrong."""
    wrong: list[str] = []
    if "poison" in args.parts:
        bad = await poison(on, args.orders)
        say(
            f"poison: orders={bad.orders} poison={bad.poison} "
            f"parked_s={bad.parked_seconds:.1f} placed_s={bad.placed_seconds:.1f}"
        )
        wrong += bad.wrong
    if "storm" in args.parts:
        blown = await storm(on, args.keys)
        say(f"storm: keys={args.keys} requests={blown.requests} orders={blown.orders}")
        wrong += blown.wrong
    return wrong


async def run(args: argparse.Namespace) -> int:
    """Everything on one system; 1 where something is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        async with ground(Path(folder)) as on:
            cancel_on_signals()  # the supervisor had its own
            wrong = await loads(on, args) + await corpora(on, args)
            wrong += await on.still_sells()
            tally = await apis(on, args.services if "api" in args.parts else [], args.examples)
            wrong += await on.still_sells()
            report = await on.reconciled()
            wrong += [f"reconcile: {v}" for v in report.violations]
            say(f"reconcile: orders={report.orders} violations={len(report.violations)}")
        for line in wrong:
            say(line)
        say(tally.line())
    return int(bool(wrong or tally.faults))


def say(line: str) -> None:
    """A line as it is."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def names(text: str) -> list[str]:
    """A list with commas."""
    return text.split(",")


def main() -> int:
    """Exit 1 where anything is wrong."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Fuzz the running system.")
    parser.add_argument("--examples", type=int, default=1000, help="examples an operation")
    parser.add_argument("--services", type=names, default=list(SERVICES), help="with commas")
    parser.add_argument("--parts", type=names, default=PARTS, help=f"of {','.join(PARTS)}")
    parser.add_argument("--every", type=int, default=1, help="of the corpora each n-th input")
    parser.add_argument("--keys", type=int, default=200, help="of the storm of equal requests")
    parser.add_argument("--orders", type=int, default=5000, help="among which 1 %% is poison")
    try:
        return asyncio.run(run(parser.parse_args()))
    except asyncio.CancelledError:
        say("stopped before the end: nothing is shown")
        return 130


if __name__ == "__main__":
    sys.exit(main())
