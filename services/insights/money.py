"""Amounts in words."""

#: Currencies of ISO 4217 whose minor unit is not a hundredth.
_DECIMALS = {
    **dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BIF", "DJF", "GNF", "KMF", "RWF", "UYI", "VUV"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
_SIGNS = {"GBP": "£", "EUR": "€", "USD": "$"}


def decimals(currency: str) -> int:
    """Digits of the minor unit."""
    return _DECIMALS.get(currency, 2)


def shown(amount: int, currency: str) -> str:
    """``1234, "GBP"`` as ``£12.34``; a currency without a common sign by its code."""
    whole, rest = divmod(abs(amount), 10 ** decimals(currency))
    number = f"{whole:,}" + (f".{rest:0{decimals(currency)}d}" if decimals(currency) else "")
    sign = _SIGNS.get(currency, f"{currency} " if currency else "")
    return f"{'−' if amount < 0 else ''}{sign}{number}"
