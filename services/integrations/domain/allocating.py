"""What a package comes to, line by line and charge by charge, exact to the minor unit.

The order service charges a package its units' share of the whole. Here the same share is taken apart. Every step is a
difference of running totals, so that parts add up whatever the split: the parts of a package to what was charged for it,
and the packages' shares of a line or a charge to that line or charge.
"""

from collections.abc import Mapping, Sequence

import msgspec

from shared.events import Charge, LineQuantity
from shared.events.erp import DocumentCharge, DocumentLine, line_of
from shared.events.order import OrderPlaced
from shared.events.shares import signed, spread, units


class Share(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A package's part of an order: its units, its part of every charge, and their sum."""

    lines: tuple[DocumentLine, ...]
    charges: tuple[DocumentCharge, ...]
    total: int


def allocate(order: OrderPlaced, before: Mapping[str, int], lines: Sequence[LineQuantity]) -> Share:
    """The share of these units of an order, of whose lines ``before`` units are in earlier packages."""
    charges = sorted(order.charges, key=lambda c: c.kind == "discount")  # no running total below 0
    columns = _running(order, charges)
    at = dict(before)
    index = {line.line_id: n for n, line in enumerate(order.lines)}
    goods: list[DocumentLine] = []
    parts = [0] * len(charges)
    for x in lines:
        line, row = order.lines[index[x.line_id]], columns[index[x.line_id]]
        costs = [units(c, line.quantity, at.get(x.line_id, 0), x.quantity) for c in row]
        goods.append(line_of(line, x.quantity, costs[0]))
        for n in range(len(charges)):
            parts[n] += costs[n + 1] - costs[n]
        at[x.line_id] = at.get(x.line_id, 0) + x.quantity
    found = tuple(
        DocumentCharge(kind=c.kind, amount=part, description=c.description)
        for c, part in zip(charges, parts, strict=True)
    )
    return Share(tuple(goods), found, total_of(goods, found))


def total_of(lines: Sequence[DocumentLine], charges: Sequence[DocumentCharge]) -> int:
    """What a document comes to."""
    return sum(x.amount for x in lines) + sum(x.amount for x in charges)


def _running(order: OrderPlaced, charges: Sequence[Charge]) -> list[list[int]]:
    """For each line: what it costs without charges, with the first, with the first two, and so on."""
    weights = [line.total for line in order.lines]
    amount = sum(weights)
    columns = [weights]
    for charge in charges:
        amount += signed(charge)
        columns.append(spread(amount, weights))
    return [list(row) for row in zip(*columns, strict=True)]
