"""Amounts: in words, and spread over the lines of an order."""

from collections.abc import Sequence

from shared.events.currencies import decimals

_SIGNS = {"GBP": "£", "EUR": "€", "USD": "$"}


def shown(amount: int, currency: str) -> str:
    """``1234, "GBP"`` as ``£12.34``; a currency without a common sign by its code."""
    digits = decimals(currency)
    whole, rest = divmod(abs(amount), 10**digits)
    number = f"{whole:,}" + (f".{rest:0{digits}d}" if digits else "")
    sign = _SIGNS.get(currency, f"{currency} " if currency else "")
    return f"{'−' if amount < 0 else ''}{sign}{number}"


def spread(amount: int, weights: Sequence[int]) -> list[int]:
    """Split ``amount`` in proportion to ``weights`` by largest remainder, ties to the earlier part.

    The rule by which an order's charges belong to its lines, fixed at sale; weights that sum to 0
    count as equal.
    """
    total = sum(weights)
    if total == 0:
        weights, total = [1] * len(weights), len(weights)
    parts = [amount * w // total for w in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % total), i))
    for i in by_remainder[: amount - sum(parts)]:
        parts[i] += 1
    return parts
