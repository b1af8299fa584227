"""``python -m tests.simulation``: plays seeds; see `make sim` in the README beside."""

from __future__ import annotations

import argparse
import os
import sys

from rich.console import Console

from tests.simulation.many import Case, fixed_hashes, regressions, simulate
from tests.simulation.running import ORDERS, play


def main() -> int:
    """Exit 1 on any violation."""
    parser = argparse.ArgumentParser(prog="make sim", description="Simulate the whole system.")
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="this one seed alone")
    parser.add_argument("--orders", type=int, default=ORDERS, help="orders in each world")
    parser.add_argument("--kinds", help="these kinds of fault alone, with commas, or none")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="worlds at once")
    parser.add_argument("--trace", action="store_true", help="print what happens (with --seed)")
    parser.add_argument("--regressions", action="store_true", help="also what once broke")
    args = parser.parse_args()
    kinds = None
    if args.kinds:
        kinds = () if args.kinds == "none" else tuple(args.kinds.split(","))
    if args.seed is None:
        seeds = range(args.first, args.first + args.seeds)
    else:
        seeds = range(args.seed, args.seed + 1)
        if args.trace:
            play(args.seed, args.orders, kinds, trace=True)
    cases = [Case(seed, args.orders, kinds) for seed in seeds]
    if args.regressions:
        cases += regressions()
    jobs = max(1, min(args.jobs, len(cases)))
    return 1 if simulate(cases, jobs, Console()) else 0


if __name__ == "__main__":
    fixed_hashes()
    sys.exit(main())
