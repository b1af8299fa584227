"""Amounts in words."""

from shared.events.currencies import decimals

_SIGNS = {"GBP": "£", "EUR": "€", "USD": "$"}


def shown(amount: int, currency: str) -> str:
    """``1234, "GBP"`` as ``£12.34``; a currency without a common sign by its code."""
    whole, rest = divmod(abs(amount), 10 ** decimals(currency))
    number = f"{whole:,}" + (f".{rest:0{decimals(currency)}d}" if decimals(currency) else "")
    sign = _SIGNS.get(currency, f"{currency} " if currency else "")
    return f"{'−' if amount < 0 else ''}{sign}{number}"
