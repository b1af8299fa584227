"""Progress, for people at a terminal (bars) and for logs (plain lines)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

LINE_EVERY_S = 2.0


class Show(Protocol):
    """What progress is told to."""

    def counts(self, now: Mapping[str, int]) -> None:
        """How far each of the named counts is."""


class Bars:
    """A bar for each count."""

    def __init__(self, progress: Progress, totals: Mapping[str, int]) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {
            name: progress.add_task(name, total=total) for name, total in totals.items()
        }

    def counts(self, now: Mapping[str, int]) -> None:
        """See `Show`."""
        for name, task in self._tasks.items():
            self._progress.update(task, completed=now[name])


class Lines:
    """A line every two seconds."""

    def __init__(self, console: Console, totals: Mapping[str, int]) -> None:
        self._console = console
        self._totals = totals
        self._began = self._last = monotonic()

    def counts(self, now: Mapping[str, int]) -> None:
        """See `Show`."""
        if monotonic() - self._last >= LINE_EVERY_S:
            self._last = monotonic()
            self.line(now)

    def line(self, now: Mapping[str, int]) -> None:
        """Print where things stand."""
        shown = "  ".join(f"{name} {now[name]}/{total}" for name, total in self._totals.items())
        self._console.print(f"{monotonic() - self._began:6.1f} s  {shown}", soft_wrap=True)


@contextmanager
def showing(console: Console, totals: Mapping[str, int]) -> Iterator[Show]:
    """Bars on a terminal, lines elsewhere. ``totals`` may be exceeded: they are what is expected."""
    if not console.is_terminal:
        yield Lines(console, totals)
        return
    columns = (
        TextColumn("{task.description:>10}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, expand=True) as progress:
        yield Bars(progress, totals)
