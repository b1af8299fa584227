"""How amounts in minor units are written for people."""

#: Currencies whose minor unit is not a hundredth (ISO 4217, list one).
_DECIMALS = {
    **dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BIF", "DJF", "GNF", "KMF", "RWF", "UYI", "VUV"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}

#: Symbols as English text writes them (Unicode CLDR, locale en); other currencies show their code.
_SYMBOLS = {
    "AUD": "A$",
    "BRL": "R$",
    "CAD": "CA$",
    "CNY": "CN¥",
    "EUR": "€",
    "GBP": "£",
    "HKD": "HK$",
    "ILS": "₪",
    "INR": "₹",
    "JPY": "¥",
    "KRW": "₩",
    "MXN": "MX$",
    "NZD": "NZ$",
    "PHP": "₱",
    "TWD": "NT$",
    "USD": "$",
    "VND": "₫",
}


def decimals(currency: str) -> int:
    """Digits after the point of an amount in this currency; 2 for a code that is not known."""
    return _DECIMALS.get(currency, 2)


def shown(amount: int, currency: str) -> str:
    """``1234, "GBP"`` as English text writes it, £12.34; ¥1,234, KWD 1.234 (with a no-break space). Exact, however large."""
    digits = decimals(currency)
    whole, rest = divmod(abs(amount), 10**digits)
    number = f"{whole:,}" + (f".{rest:0{digits}d}" if digits else "")
    symbol = _SYMBOLS.get(currency, f"{currency}\u00a0" if currency else "")
    return f"{'−' if amount < 0 else ''}{symbol}{number}"
