"""``python -m tests.chaos``: loads the whole system and breaks it; see `make chaos` in the README beside."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
from pathlib import Path

from rich.console import Console

from tests.chaos.faults import KINDS, Kind
from tests.chaos.playing import ENDED_SECONDS_MAX, Result, play
from tests.chaos.report import write

BUILD = Path("build")
DATA = BUILD / "chaos"
#: Of the whole run, the start and the check of the books included, beyond the time in which orders come.
END_WITHIN_S = 900.0


def main() -> int:
    """Exit 1 when anything was lost, doubled, oversold, left unfinished or ended too late, or the books do not close."""
    parser = argparse.ArgumentParser(prog="make chaos", description="Break the real stack.")
    parser.add_argument("--seconds", type=float, default=600, help="how long orders come")
    parser.add_argument("--rate", type=float, default=20, help="orders a second")
    parser.add_argument(
        "--seed", type=int, help="what is ordered, and what fails; drawn if not given"
    )
    parser.add_argument("--kinds", default="", help="these faults alone beside kills, with commas")
    args = parser.parse_args()
    kinds = tuple(k for k in KINDS if not args.kinds or k.name in args.kinds.split(","))
    seed = random.randrange(1_000_000) if args.seed is None else args.seed
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"{args.seconds:g} s at {args.rate:g} orders/s, seed {seed}; logs in {DATA / 'logs'}")
    shutil.rmtree(DATA, ignore_errors=True)
    try:
        result = asyncio.run(_run(args.seconds, args.rate, seed, kinds, out))
    except asyncio.CancelledError:
        out.print("Stopped: there is no result.")
        return 130
    for kind, why in result.missing.items():
        out.print(f"Not injected: {kind}, {why}")
    if not result.in_time:
        out.print(
            f"Too late: {result.ended_s:.0f} s after the last fault, of {ENDED_SECONDS_MAX:g} at most"
        )
    out.print(result.last_line)
    return 0 if result.good and result.in_time else 1


async def _run(
    seconds: float, rate: float, seed: int, kinds: tuple[Kind, ...], out: Console
) -> Result:
    async with asyncio.timeout(seconds + END_WITHIN_S):
        result = await play(DATA.resolve(), seconds, rate, seed, out.print, kinds)
    out.print(f"Report: {await write(result, BUILD)}")
    return result


if __name__ == "__main__":
    sys.exit(main())
