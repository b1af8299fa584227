"""Money by the unit: what each unit of an order costs, and what it gives back, exact to the minor unit.

An order's charges are spread over its lines once, at sale, by largest remainder; a line's amount is spread over its
units by running totals. Captures by package and refunds by unit therefore always add up to the whole, whatever the
split.
"""

from collections.abc import Sequence

from shared.events.message import Charge, OrderLine


def spread(amount: int, weights: Sequence[int]) -> list[int]:
    """Split ``amount`` in proportion to ``weights`` (all >= 0), by largest remainder; the parts sum to the amount.

    Weights that sum to 0 count as equal. Ties go to the earlier part.
    """
    if not weights:
        raise ValueError("nothing to spread over")
    total = sum(weights)
    if total == 0:
        weights, total = [1] * len(weights), len(weights)
    parts = [amount * w // total for w in weights]
    remainders = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % total), i))
    for i in remainders[: amount - sum(parts)]:
        parts[i] += 1
    return parts


def units(amount: int, quantity: int, before: int, count: int) -> int:
    """What ``count`` units cost, of ``quantity`` that cost ``amount`` together, after the first ``before``."""
    return amount * (before + count) // quantity - amount * before // quantity


def order_total(lines: Sequence[OrderLine], charges: Sequence[Charge]) -> int:
    """Lines + tax + shipping + fees - discount, in minor units."""
    return sum(line.total for line in lines) + sum(signed(c) for c in charges)


def signed(charge: Charge) -> int:
    """A charge's part of the total: a discount subtracts."""
    return -charge.amount if charge.kind == "discount" else charge.amount


def shares(lines: Sequence[OrderLine], charges: Sequence[Charge]) -> tuple[list[int], list[int]]:
    """For each line, what it costs with its share of all charges, and what of that a return gives back: goods, tax and
    discount, not shipping and fees."""
    if not lines:
        return [], []
    weights = [line.total for line in lines]
    back = sum(signed(c) for c in charges if c.kind in ("tax", "discount"))
    keep = sum(c.amount for c in charges if c.kind in ("shipping", "fee"))
    if not charges:
        return weights, weights
    # A discount above the goods takes shipping with it: then nothing is left to give back.
    refundable = spread(max(0, sum(weights) + back), weights)
    payable = spread(sum(weights) + back + keep, weights)
    return payable, [min(r, p) for r, p in zip(refundable, payable, strict=True)]
