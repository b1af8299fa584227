"""Credits that name no order, matched to the same customer's earlier sales.

The rule, for a credit of n units of a code at a price: newest sale first, within each of

1. sales at exactly that price;
2. dearer sales (a partial refund);
3. cheaper sales: the units match, but no more is paid back than was paid; the rest stays unmatched
   money.

Price goes before recency because a customer who bought the same thing at two prices is credited at
the price of the sale that is meant. Charges have no identity but their price, so only step 1
applies to them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from ops.importer.money import to_minor


@dataclass(slots=True)
class Sale:
    """One sold line, and what is left of it to credit: units, and money in minor units."""

    order_id: str
    line_id: str
    price: Decimal
    day: date
    quantity_left: int
    minor_left: int


class Part(NamedTuple):
    """Units of a credit matched to one earlier line.

    ``days`` between sale and credit, ``minor`` paid back.
    """

    order_id: str
    line_id: str
    quantity: int
    minor: int
    days: int


class Match(NamedTuple):
    """What a credit row found. ``known`` tells whether the customer ever bought the code before."""

    parts: list[Part]
    quantity_left: int
    minor_left: int
    known: bool


class Asked(NamedTuple):
    """A credit row: positive units at a positive price, ``minor`` in all, on a local day."""

    quantity: int
    price: Decimal
    minor: int
    day: date
    same_price_only: bool


class SalesIndex:
    """Open sales by customer and code.

    Add and take in order of business time: only earlier sales can match.
    """

    def __init__(self, minor_digits: int) -> None:
        self._digits = minor_digits
        self._sales: defaultdict[tuple[str, str], list[Sale]] = defaultdict(list)

    def add(self, key: tuple[str, str], sale: Sale) -> None:
        """Remember a sold line under its ``key``: (customer, code)."""
        assert sale.quantity_left > 0, "only sold units can come back"
        self._sales[key].append(sale)

    def take(self, key: tuple[str, str], asked: Asked) -> Match:
        """Match a credit and use up what it takes: no unit and no penny is credited twice."""
        sales = self._sales.get(key)
        if sales is None:
            return Match([], asked.quantity, asked.minor, known=False)
        parts: list[Part] = []
        quantity, minor = asked.quantity, asked.minor
        for sale in self._preferred(sales, asked):
            if quantity == 0:
                break
            units = min(quantity, sale.quantity_left)
            paid = to_minor(units * min(asked.price, sale.price), self._digits)
            paid = min(paid, sale.minor_left, minor)
            parts.append(
                Part(sale.order_id, sale.line_id, units, paid, (asked.day - sale.day).days)
            )
            sale.quantity_left -= units
            sale.minor_left -= paid
            quantity -= units
            minor -= paid
        if parts:
            self._sales[key] = [sale for sale in sales if sale.quantity_left]
        return Match(parts, quantity, minor, known=True)

    @staticmethod
    def _preferred(sales: list[Sale], asked: Asked) -> list[Sale]:
        newest_first = sales[::-1]
        same = [sale for sale in newest_first if sale.price == asked.price]
        if asked.same_price_only:
            return same
        dearer = [sale for sale in newest_first if sale.price > asked.price]
        cheaper = [sale for sale in newest_first if sale.price < asked.price]
        return same + dearer + cheaper
