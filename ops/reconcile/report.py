"""What a reconciliation found: violations, how much each check looked at, what was in flight, what was not checked."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import msgspec
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

#: Violations that are kept in full. One broken service may break every order: the rest is counted.
VIOLATIONS_MAX = 1_000
SHOWN_MAX = 50


class Check(NamedTuple):
    """One thing that is looked at, under the invariant of the domain that it belongs to."""

    invariant: int
    says: str


class Where(Protocol):
    """What a violation can be pinned to: a log entry, or a `Place`."""

    @property
    def service(self) -> str: ...
    @property
    def stream(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def id(self) -> str: ...


class Place(NamedTuple):
    """A place that is no log entry; ``number`` is a version, a position or 0."""

    service: str
    stream: str
    number: int = 0
    id: str = ""


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One broken invariant. ``version`` is 0 where the culprit has none (a command, a missing row)."""

    invariant: int
    check: str
    service: str
    stream: str
    version: int
    event_id: str
    message: str


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many things one check looked at, and how many of them broke it."""

    invariant: int
    check: str
    checked: int
    violations: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome. ``in_flight`` are states, not faults: work that was under way when the logs were read."""

    violations: tuple[Violation, ...]
    violations_total: int
    counts: tuple[Count, ...]
    in_flight: dict[str, int]
    not_checked: tuple[str, ...]
    notes: tuple[str, ...]
    messages: int
    orders: int
    duration_s: float

    @property
    def clean(self) -> bool:
        """Whether no invariant is broken."""
        return self.violations_total == 0

    @property
    def complete(self) -> bool:
        """Whether every check was made and nothing was under way."""
        return not self.not_checked and not self.in_flight

    def as_json(self) -> dict[str, Any]:
        """The report as plain data."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return {"clean": self.clean, "complete": self.complete, **built}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The report for a terminal."""
        yield Group(*_shown(self))


def _shown(report: Report) -> Iterable[Any]:
    table = Table(title="Reconciliation", title_justify="left")
    for name, justify in (("inv.", "right"), ("check", "left"), ("checked", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for count in report.counts:
        broken = count.violations
        mark = Text(f"{broken} violated", style="bold red") if broken else Text("")
        table.add_row(str(count.invariant), count.check, f"{count.checked:,}", mark)
    yield table
    for v in report.violations[:SHOWN_MAX]:
        at = f"{v.service} {v.stream}" + (f" version {v.version}" if v.version else "")
        named = f" [{v.event_id}]" if v.event_id else ""
        yield Text.assemble(
            (f"invariant {v.invariant}", "bold red"), " ", (at, "bold"), named, f": {v.message}"
        )
    if report.violations_total > SHOWN_MAX:
        yield Text(f"… {report.violations_total - SHOWN_MAX} more; --json lists them", style="red")
    for what, n in sorted(report.in_flight.items()):
        yield Text(f"in flight: {n:,} {what}", style="yellow")
    for what in report.not_checked:
        yield Text(f"NOT CHECKED: {what}", style="bold yellow")
    for what in report.notes:
        yield Text(f"note: {what}")
    size = f"{report.messages:,} messages, {report.orders:,} orders in {report.duration_s:.1f} s"
    if report.clean:
        yield Text(f"Clean: {size}", style="bold green")
    else:
        yield Text(f"{report.violations_total:,} violations: {size}", style="bold red")


class Tally:
    """Gathers what the checks see. Every check is known from the start, so that one that saw nothing says 0."""

    def __init__(self, checks: Iterable[Check]) -> None:
        self._checked = dict.fromkeys(checks, 0)
        self._broken = dict.fromkeys(self._checked, 0)
        self._violations: list[Violation] = []
        self._in_flight: dict[str, int] = {}
        self._not_checked: list[str] = []
        self._notes: list[str] = []
        self.messages = 0
        self.orders = 0

    def saw(self, check: Check, n: int = 1) -> None:
        """``n`` more things were looked at."""
        self._checked[check] += n

    def violation(self, check: Check, where: Where, message: str) -> None:
        """Something broke the check's invariant."""
        self._broken[check] += 1
        if len(self._violations) < VIOLATIONS_MAX:
            self._violations.append(
                Violation(
                    invariant=check.invariant,
                    check=check.says,
                    service=where.service,
                    stream=where.stream,
                    version=where.number,
                    event_id=where.id,
                    message=message,
                )
            )

    def in_flight(self, what: str, n: int = 1) -> None:
        """Something is under way, and is judged when it has arrived."""
        if n:
            self._in_flight[what] = self._in_flight.get(what, 0) + n

    def not_checked(self, what: str) -> None:
        """A check that could not be made, and why."""
        self._not_checked.append(what)

    def note(self, what: str) -> None:
        """Worth knowing, and no fault."""
        self._notes.append(what)

    def report(self, duration_s: float) -> Report:
        """Everything that was gathered."""
        return Report(
            violations=tuple(self._violations),
            violations_total=sum(self._broken.values()),
            counts=tuple(
                Count(invariant=c.invariant, check=c.says, checked=n, violations=self._broken[c])
                for c, n in sorted(self._checked.items())
            ),
            in_flight=self._in_flight,
            not_checked=tuple(self._not_checked),
            notes=tuple(self._notes),
            messages=self.messages,
            orders=self.orders,
            duration_s=duration_s,
        )
