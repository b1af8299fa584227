"""``python -m tests.fuzz``: see `make fuzz` in the README beside."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.testbed import cancel_on_signals
from ops.system import SERVICES
from tests.fuzz.api import Tally, fuzz
from tests.fuzz.ground import Ground, ground
from tests.fuzz.hostile import over_http, over_topics
from tests.fuzz.storm import storm

PARTS = ("http", "topics", "storm", "api")
console = Console()


async def apis(on: Ground, services: list[str], examples: int) -> Tally:
    """Schemathesis over some services, one after the other."""
    tally, told = Tally(), 0
    for service in services:
        await asyncio.to_thread(fuzz, on, tally, service, examples, coverage=True)
        for fault in list(tally.faults.values())[told:]:
            say(f"{fault.operation}: {fault.check}: {fault.detail}")
        told = len(tally.faults)
        say(f"{service}: {tally.line()}")
    return tally


async def hostile(on: Ground, parts: set[str], every: int) -> list[str]:
    """The corpora over HTTP and on the topics; what was wrong."""
    wrong: list[str] = []
    for name, play in (("http", over_http), ("topics", over_topics)):
        if name in parts:
            found = await play(on, every)
            say(
                f"{name}: inputs={found.inputs} accepted={found.accepted} refused={found.refused} "
                f"parked={found.parked} wrong={len(found.wrong)} seconds={found.seconds:.0f}"
            )
            wrong += found.wrong
    return wrong


async def run(parts: set[str], services: list[str], examples: int, every: int, keys: int) -> int:
    """Everything on one system; what came of it, and 1 where something is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        async with ground(Path(folder)) as on:
            cancel_on_signals()  # the supervisor had its own
            wrong = await hostile(on, parts, every)
            if "storm" in parts:
                blown = await storm(on, keys)
                say(f"storm: keys={keys} requests={blown.requests} orders={blown.orders}")
                wrong += blown.wrong
            wrong += await on.still_sells()
            tally = await apis(on, services if "api" in parts else [], examples)
            wrong += await on.still_sells()
            report = await on.reconciled()
            wrong += [f"reconcile: {v}" for v in report.violations]
        for line in wrong:
            say(line)
        say(tally.line())
    return int(bool(wrong or tally.faults))


def say(line: str) -> None:
    """A line as it is."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description="Fuzz the running system.")
    parser.add_argument("--examples", type=int, default=1000, help="examples an operation")
    parser.add_argument("--services", default=",".join(SERVICES), help="these, with commas")
    parser.add_argument("--parts", default=",".join(PARTS), help="only these, with commas")
    parser.add_argument("--every", type=int, default=1, help="of the corpora each n-th input")
    parser.add_argument("--keys", type=int, default=200, help="of the storm of equal requests")
    args = parser.parse_args()
    services, parts = args.services.split(","), set(args.parts.split(","))
    return asyncio.run(run(parts, services, args.examples, args.every, args.keys))


if __name__ == "__main__":
    sys.exit(main())
