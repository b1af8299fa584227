"""Exact prices to minor units, and what rounding leaves over."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple


class Priced(NamedTuple):
    """A quantity at a price. ``exact`` = ``total`` in major units + ``residue``, always."""

    unit_price: int
    total: int
    exact_unit_price: str | None
    exact: Decimal
    residue: Decimal


def to_minor(amount: Decimal, digits: int) -> int:
    """Return ``amount`` (major units) in minor units of ``digits`` decimals, rounded half-even."""
    return int(amount.scaleb(digits).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def to_major(minor: int, digits: int) -> Decimal:
    """Return minor units as an exact decimal in major units."""
    return Decimal(minor).scaleb(-digits)


def price(quantity: int, unit_price: Decimal, digits: int) -> Priced:
    """Price ``quantity`` units; rounding happens once, on the total, never per unit."""
    exact = quantity * unit_price
    total = to_minor(exact, digits)
    unit = to_minor(unit_price, digits)
    is_exact = to_major(unit, digits) == unit_price
    text = None if is_exact else format(unit_price.normalize(), "f")
    return Priced(unit, total, text, exact, exact - to_major(total, digits))
