"""Units of an order's lines, and how they move from one quantity to another."""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from services.views.domain.order_part import Line, OrderPart
from services.views.domain.units import per_line

ODDITIES_MAX = 20


def move(part: OrderPart, moved: Iterable[Any], target: str, *sources: str) -> OrderPart:
    """Move units of each named line into ``target``, from the first of ``sources`` that have them.

    A view must show what it was told, also when that does not add up: units that no source has stay
    where they are, and the difference is noted for people to see."""
    wanted = per_line(moved)
    lines: list[Line] = []
    odd: list[str] = []
    for line in part.lines:
        units_here = wanted.pop(line.line_id, 0)
        if not units_here:
            lines.append(line)
            continue
        changed, left = _take(line, units_here, target, sources)
        lines.append(changed)
        if left:
            odd.append(f"{left} more of {line.sku} {target} than were left of line {line.line_id}")
    odd += [
        f"{n} units {target} of line {id}, which the order does not have"
        for id, n in wanted.items()
    ]
    return replace(part, lines=tuple(lines), oddities=(*part.oddities, *odd)[:ODDITIES_MAX])


def _take(line: Line, left: int, target: str, sources: Iterable[str]) -> tuple[Line, int]:
    changes = {target: getattr(line, target)}
    for source in sources:
        there = getattr(line, source)
        taken = min(left, there)
        if taken:
            changes[source] = there - taken
            changes[target] += taken
            left -= taken
    return replace(line, **changes), left


def move_all(part: OrderPart, target: str, *sources: str) -> OrderPart:
    """Move whatever the sources of every line hold."""
    lines = tuple(_take(line, line.ordered, target, sources)[0] for line in part.lines)
    return replace(part, lines=lines)
