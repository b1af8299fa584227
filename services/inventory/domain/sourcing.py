"""Which location ships what: ordered rules, as a pure function.

1. One location that can ship the whole order; of several, the first by name. Names therefore say
   the priority.
2. Else as few parcels as a greedy choice finds: again and again the location that covers most whole
   lines (then most units, then first by name). A line is split over locations only when no location
   covers it whole.
"""

from collections.abc import Mapping, Sequence

from services.inventory.domain.stock import Level
from shared.events import Allocation, LineQuantity

Levels = Mapping[str, Mapping[str, Level]]


def source(
    lines: Sequence[LineQuantity], wanted: Mapping[str, int], levels: Levels
) -> tuple[Allocation, ...]:
    """Promise every unit of ``lines`` from a location, in the order of the lines.

    ``wanted`` is the sum of the lines for each SKU, ``levels`` maps SKU to location to level. The
    caller has made sure that the free units of each SKU suffice.
    """
    location = one_location(wanted, levels)
    if location is None:
        return fewest_splits(lines, levels)
    return tuple(
        [
            Allocation(
                line_id=line.line_id, sku=line.sku, location=location, quantity=line.quantity
            )
            for line in lines
        ]
    )


def one_location(wanted: Mapping[str, int], levels: Levels) -> str | None:
    """The first location by name that has everything, or None."""
    first = levels[next(iter(wanted))]
    for location in sorted(first):
        for sku, quantity in wanted.items():
            level = levels[sku].get(location)
            if level is None or level.free < quantity:
                break
        else:
            return location
    return None


def fewest_splits(lines: Sequence[LineQuantity], levels: Levels) -> tuple[Allocation, ...]:
    """See rule 2 of the module."""
    free = _free_by_location({line.sku for line in lines}, levels)
    open_lines = {i: line.quantity for i, line in enumerate(lines)}
    taken: dict[int, dict[str, int]] = {}
    while open_lines:
        whole, location, picks = 0, "", dict[int, int]()
        for name in sorted(free):
            lines_here, picks_here = _cover(lines, open_lines, free[name])
            score = (lines_here, sum(picks_here.values()))
            if score > (whole, sum(picks.values())):
                whole, location, picks = lines_here, name, picks_here
        assert picks, "the caller promised that the free units suffice"
        for i, quantity in picks.items():
            here = taken.setdefault(i, {})
            here[location] = here.get(location, 0) + quantity
            free[location][lines[i].sku] -= quantity
            open_lines[i] -= quantity
            if not open_lines[i]:
                del open_lines[i]
    return tuple(
        Allocation(line_id=line.line_id, sku=line.sku, location=location, quantity=quantity)
        for i, line in enumerate(lines)
        for location, quantity in sorted(taken[i].items())
    )


def _free_by_location(skus: set[str], levels: Levels) -> dict[str, dict[str, int]]:
    free: dict[str, dict[str, int]] = {}
    for sku in sorted(skus):
        for location, level in levels[sku].items():
            if level.free > 0:
                free.setdefault(location, {})[sku] = level.free
    return free


def _cover(
    lines: Sequence[LineQuantity], open_lines: Mapping[int, int], free: Mapping[str, int]
) -> tuple[int, dict[int, int]]:
    """How many open lines a location covers whole, and the picks of these; without any, the
    parts that it has.
    """
    whole: dict[int, int] = {}
    parts: dict[int, int] = {}
    left = dict(free)
    for i, quantity in open_lines.items():
        here = left.get(lines[i].sku, 0)
        if here >= quantity:
            whole[i] = quantity
            left[lines[i].sku] = here - quantity
    if whole:
        return len(whole), whole
    for i, quantity in open_lines.items():
        part = min(left.get(lines[i].sku, 0), quantity)
        if part:
            parts[i] = part
            left[lines[i].sku] -= part
    return 0, parts
