"""Runs many seeds on all cores, with a progress bar; shrinks those that fail."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.simulation.chaos import KINDS, kinds_of
from tests.simulation.running import ORDERS, play
from tests.simulation.world import Outcome

SHRINK_SECONDS_MAX = 120.0


class Case(NamedTuple):
    """All that an outcome depends on, besides the code."""

    seed: int
    orders: int = ORDERS
    kinds: tuple[str, ...] | None = None

    def play(self) -> Outcome:
        """Run it."""
        return play(self.seed, self.orders, self.kinds)

    @property
    def command(self) -> str:
        """What reproduces it."""
        kinds = "" if self.kinds is None else f" KINDS={','.join(self.kinds) or 'none'}"
        return f"make sim SEED={self.seed} ORDERS={self.orders}{kinds}"


@contextmanager
def workers(jobs: int) -> Iterator[Callable[[Iterable[Case]], Iterator[tuple[Case, Outcome]]]]:
    """Something that plays cases side by side, and yields each with its outcome as it ends."""
    if jobs == 1:
        yield lambda cases: ((case, case.play()) for case in cases)
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield lambda cases: pool.imap_unordered(_play, cases)


def regressions() -> list[Case]:
    """Cases that once broke."""
    known = tomllib.loads((Path(__file__).parent / "regressions.toml").read_text())["case"]
    return [
        Case(c["seed"], c["orders"], tuple(c["kinds"]) if "kinds" in c else None) for c in known
    ]


def _play(case: Case) -> tuple[Case, Outcome]:
    return case, case.play()


def fixed_hashes() -> None:
    """Begin this process anew with fixed hashes: the order of Python's sets of texts is part of an outcome."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def shrunk(case: Case, fails: Callable[[Case], bool]) -> Case:
    """A smaller case that fails as well: fewer kinds of fault, then fewer orders."""
    until = time.monotonic() + SHRINK_SECONDS_MAX
    kinds = kinds_of(case.seed) if case.kinds is None else case.kinds
    best = Case(case.seed, case.orders, kinds)
    if not fails(best):
        return case
    step = max(1, len(kinds) // 2)
    while best.kinds and time.monotonic() < until:
        smaller = False
        for start in range(0, len(best.kinds), step):
            fewer = best.kinds[:start] + best.kinds[start + step :]
            if time.monotonic() < until and fails(best._replace(kinds=fewer)):
                best, smaller = best._replace(kinds=fewer), True
                break
        if not smaller and step == 1:
            break
        step = step if smaller else step // 2
    for orders in (1, 2, 3, 5, 8, 12):
        fewer_orders = best._replace(orders=orders)
        if orders < best.orders and time.monotonic() < until and fails(fewer_orders):
            return fewer_orders
    return best


def simulate(cases: list[Case], jobs: int, console: Console) -> int:
    """Play all cases; show, shrink and count what is broken. Returns how many were."""
    fired: Counter[str] = Counter()
    failures: list[tuple[Case, Outcome]] = []
    started, played = time.monotonic(), 0
    with workers(jobs) as run, _progress(console) as progress:
        bar = progress.add_task("seeds", total=len(cases), rate="")
        for case, outcome in run(cases):
            played += 1
            fired.update(outcome.fired)
            if outcome.violations:
                failures.append((case, outcome))
                progress.console.print(f"[red]{case.command}[/red]: {outcome.violations[0]}")
            rate = f"{played / (time.monotonic() - started):.1f} seeds/s"
            progress.update(bar, advance=1, rate=rate)
    seconds = time.monotonic() - started
    console.print(_table(fired))
    for case, outcome in sorted(failures)[:5]:
        _tell(case, outcome, console)
    console.print(
        f"{played:,} seeds in {seconds:.0f} s: {played / seconds:.2f} seeds/s on {jobs} cores"
    )
    kinds = sum(fired[kind] > 0 for kind in KINDS)
    violations = sum(len(outcome.violations) for _, outcome in failures)
    print(  # noqa: T201 - read by scripts
        f"seeds={played} violations={violations} faults={fired.total()} kinds={kinds}", flush=True
    )
    return violations


def _progress(console: Console) -> Progress:
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True)


def _table(fired: Counter[str]) -> Table:
    table = Table("fault", "fired", title="Faults", title_justify="left")
    table.columns[1].justify = "right"
    for kind in KINDS:
        table.add_row(kind, f"{fired[kind]:,}")
    return table


def _tell(case: Case, outcome: Outcome, console: Console) -> None:
    for text in outcome.violations[:5]:
        console.print(f"[red]seed {case.seed}[/red]: {text}", highlight=False)
    small = shrunk(case, lambda c: bool(c.play().violations))
    console.print(f"reproduce at {_commit()} with:", highlight=False)
    console.print(small.command, highlight=False, soft_wrap=True, style="bold")


def _commit() -> str:
    """The version that is running, as git names it."""
    git = ["git", "describe", "--always", "--dirty"]
    where = Path(__file__).parent
    done = subprocess.run(git, cwd=where, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "an unknown version"
