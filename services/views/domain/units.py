"""Small tools of the parts: rows by id in a tuple, and units of a line that move between
quantities."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from shared.events import LineQuantity

T = TypeVar("T", bound=msgspec.Struct)

#: How an event changes its part of a document; the time is that at which it was said.
Fold = Callable[[Any, Any, datetime], Any]


class Part(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """Base of everything in a stored document: compact, and changed only by making a new one. No
    cycle can form in it, so the garbage collector need not look."""


class Units(Part, frozen=True, array_like=True, kw_only=True):
    """Some units of one order line."""

    line_id: str
    sku: str
    quantity: int


def units(lines: Iterable[LineQuantity]) -> tuple[Units, ...]:
    """The units that an event names."""
    return tuple(Units(line_id=u.line_id, sku=u.sku, quantity=u.quantity) for u in lines)


def count(lines: Iterable[Any]) -> int:
    """How many units there are in all."""
    return sum(u.quantity for u in lines)


def per_line(lines: Iterable[Any]) -> dict[str, int]:
    """Units by line id."""
    out: dict[str, int] = {}
    for u in lines:
        out[u.line_id] = out.get(u.line_id, 0) + u.quantity
    return out


def change(
    items: tuple[T, ...], key: str, make: Callable[[str], T], **changes: Any
) -> tuple[T, ...]:
    """The rows, with the one whose first field is ``key`` changed; ``make(key)`` where there is
    none yet.

    A row can be missing only when its first event is still parked: what follows is kept all the
    same."""
    field = items[0].__struct_fields__[0] if items else None
    for i, item in enumerate(items):
        if getattr(item, field or "") == key:
            return (*items[:i], msgspec.structs.replace(item, **changes), *items[i + 1 :])
    return (*items, msgspec.structs.replace(make(key), **changes))


def find(items: tuple[T, ...], key: str) -> T | None:
    """The row whose first field is ``key``."""
    for item in items:
        if getattr(item, item.__struct_fields__[0]) == key:
            return item
    return None
