"""Counting units of order lines."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from shared.events import LineQuantity, Refused

#: A line's units are told apart by SKU too: a bundle's line has units of several.
Key = tuple[str, str]


class Counted(Protocol):
    """Anything that states a quantity of a line."""

    @property
    def line_id(self) -> str: ...
    @property
    def sku(self) -> str: ...
    @property
    def quantity(self) -> int: ...


def tally(lines: Iterable[Counted]) -> dict[Key, int]:
    """Units by line and SKU, repeated entries added up."""
    units: dict[Key, int] = {}
    for line in lines:
        key = (line.line_id, line.sku)
        units[key] = units.get(key, 0) + line.quantity
    return units


def as_lines(units: Mapping[Key, int]) -> tuple[LineQuantity, ...]:
    """The reverse of `tally`; without entries of zero."""
    return tuple(
        LineQuantity(line_id=line_id, sku=sku, quantity=quantity)
        for (line_id, sku), quantity in units.items()
        if quantity
    )


def bad_quantities(lines: Iterable[Counted]) -> Refused | None:
    """A refusal if any quantity is not positive."""
    bad = [f"line {x.line_id} ({x.sku}): {x.quantity}" for x in lines if x.quantity < 1]
    if not bad:
        return None
    return Refused(code="quantity", detail=f"quantities must be at least 1: {'; '.join(bad)}")


def beyond(
    wanted: Mapping[Key, int], limit: Mapping[Key, int], code: str, what: str
) -> Refused | None:
    """A refusal naming each line of which more is wanted than its limit; 0 for an unknown line."""
    over = [
        f"line {key[0]} ({key[1]}): {quantity} asked, {limit.get(key, 0)} {what}"
        for key, quantity in wanted.items()
        if quantity > limit.get(key, 0)
    ]
    return Refused(code=code, detail="; ".join(over)) if over else None
