"""``python -m benchmarks`` (``oms bench``): measures, prints a table, and writes ``build/bench.json``.

Scenarios: ``journey`` and ``views`` (the full journey without and with views, each beside its transport floor; refold and
rebuild), ``posts`` (``POST /orders`` beside pgbench), ``latency`` (placed to confirmed) and ``overload`` (ten times
capacity). A run replaces the figures that it measured; others stay in the file with the time and commit of their own run.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from aiokafka.errors import KafkaError
from rich.console import Console

from benchmarks import machine, scenarios, table
from benchmarks.figures import BY_NAME, SCENARIOS, Figure, merged, read, selected, write
from benchmarks.scenarios import QUICK, Report, Size
from benchmarks.testbed import BUILD, LOGS, BenchmarkFailed, cancel_on_signals
from ops.stack import StackError
from shared.ledger.store import Unavailable
from shared.stream.port import BrokerLost

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

#: What ends a scenario but not the run; anything else is a fault of the benchmark itself.
FAILURES = (
    BenchmarkFailed,
    StackError,
    BrokerLost,
    Unavailable,
    KafkaError,
    psycopg.Error,
    TimeoutError,
    OSError,
    ValueError,
)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line; exits with 2 and an explanation when it cannot be understood."""
    parser = argparse.ArgumentParser(prog="oms bench", description="Measure the system.")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help=f"figures, or scenarios ({', '.join(SCENARIOS)}), to measure",
    )
    parser.add_argument("--orders", type=int, metavar="N", help="orders of a journey (20000)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small and short, into bench-quick.json: no figures to state",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    found = parser.parse_args(argv)
    if found.orders is not None and found.orders < 1:
        parser.error("--orders must be at least 1")
    try:
        found.wanted = selected(found.only)
    except ValueError as error:
        parser.error(str(error))
    return found


class Bench:
    """One run: figures are written as they are found, so that a failure keeps what came before it."""

    def __init__(self, wanted: set[str], size: Size, path: Path, console: Console) -> None:
        self._wanted = wanted
        self._size = size
        self._path = path
        self._console = console
        self._run = machine.run()
        self.figures: list[Figure] = []
        self.failures: dict[str, str] = {}

    async def run(self) -> None:
        """All scenarios that the wanted figures need, one after the other."""
        cancel_on_signals()
        report = Report(self._tell, self._say)
        needed = {BY_NAME[name].scenario for name in self._wanted}
        for scenario in (s for s in SCENARIOS if s in needed):
            self._console.rule(scenario)
            try:
                await scenarios.run(scenario, self._wanted, self._size, report)
            except* FAILURES as errors:
                self._failed(scenario, _first(errors))
        scenarios.finish(self._wanted, report)

    def _tell(self, found: Figure) -> None:
        found = msgspec.structs.replace(found, run=self._run)
        self.figures.append(found)
        write(self._path, merged(read(self._path), [found]))
        floor = f", {found.ratio:.2f} of the floor {found.floor:,}" if found.ratio else ""
        self._say(f"{found.name} = {found.value:,} {found.unit}{floor}")

    def _failed(self, scenario: str, error: BaseException) -> None:
        self.failures[scenario] = f"{type(error).__name__}: {error}"
        self._console.print(
            f"{scenario} failed: {self.failures[scenario]}\nThe logs of its processes are in {LOGS}.",
            style="red",
            markup=False,
        )

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; returns the exit status: 0, 1 when a scenario failed, 2 for wrong arguments, 130 when interrupted."""
    options = arguments(argv)
    size = QUICK if options.quick else Size()
    if options.orders is not None:
        size = size._replace(orders=options.orders)
    path = BUILD / ("bench-quick.json" if options.quick else "bench.json")
    BUILD.mkdir(exist_ok=True)
    console = Console(stderr=True)
    bench = Bench(options.wanted, size, path, console)
    try:
        asyncio.run(bench.run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print(f"interrupted; what was measured is in {path}", markup=False)
        return INTERRUPTED
    _show(bench, options.json, path)
    return FAILED if bench.failures else OK


def _show(bench: Bench, as_json: bool, path: Path) -> None:
    if as_json:
        out: list[dict[str, Any]] = msgspec.to_builtins(merged([], bench.figures))
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(out), indent=2).decode() + "\n")
        return
    console = Console()
    console.print(table.figures(merged([], bench.figures)))
    for extra in table.details(bench.figures):
        console.print(extra)
    console.print(f"written to {path}", markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
