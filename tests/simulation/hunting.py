"""``python -m tests.simulation.hunting``: whether every planted bug is caught; see `make sim-mutants`."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from contextlib import nullcontext

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.simulation.many import fixed_hashes
from tests.simulation.mutants import MUTANTS, planted
from tests.simulation.running import play


def hunt(name: str, seeds: int, orders: int) -> tuple[str, int, str]:
    """Play seeds with one bug until one of them breaks: its name, the seed (-1: none) and what broke. Without a name,
    the code as it is."""
    for seed in range(seeds):
        with planted(name) if name else nullcontext():
            outcome = play(seed, orders)
        if outcome.violations:
            return name, seed, outcome.violations[0]
    return name, -1, ""


def main() -> int:
    """Exit 1 where a bug is not caught, or the code as it is breaks."""
    parser = argparse.ArgumentParser(prog="make sim-mutants", description="Catch planted bugs.")
    parser.add_argument("--seeds", type=int, default=500, help="seeds for each bug, at most")
    parser.add_argument("--clean", type=int, default=100, help="seeds for the code as it is")
    parser.add_argument("--orders", type=int, default=12, help="orders in each world")
    parser.add_argument("--only", help="these bugs alone, with commas")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="worlds at once")
    args = parser.parse_args()
    names = args.only.split(",") if args.only else list(MUTANTS)
    if unknown := set(names) - set(MUTANTS):
        parser.error(f"no such bugs: {sorted(unknown)}; there are {', '.join(MUTANTS)}")
    console = Console()
    table = Table("planted bug", "seed", "caught by", title="Planted bugs", title_justify="left")
    caught = 0
    with (
        multiprocessing.get_context("fork").Pool(args.jobs) as pool,
        Progress(console=console, transient=True) as progress,
    ):
        clean = pool.apply_async(hunt, ("", args.clean, args.orders))
        hunts = [pool.apply_async(hunt, (name, args.seeds, args.orders)) for name in names]
        for waiting in progress.track(hunts, description="bugs"):
            name, seed, why = waiting.get()
            caught += seed >= 0
            table.add_row(name, str(seed) if seed >= 0 else "-", why[:100] or "NOT CAUGHT")
        _, broken, why = clean.get()
    console.print(table)
    false_alarms = int(broken >= 0)
    if false_alarms:
        console.print(f"[red]seed {broken} without any bug[/red]: {why}")
    print(f"planted={len(names)} caught={caught} false_alarms={false_alarms}", flush=True)  # noqa: T201
    return 0 if caught == len(names) and not false_alarms else 1


if __name__ == "__main__":
    fixed_hashes()
    sys.exit(main())
