"""Amounts for people to read."""

from shared.events import Money


def _exponents(*groups: tuple[int, str]) -> dict[str, int]:
    return {code: digits for digits, codes in groups for code in codes.split()}


#: Digits after the point, where they are not two (ISO 4217, list one).
_EXPONENTS = _exponents(
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
)

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


def exponent(currency: str) -> int:
    """How many digits of an amount in minor units stand after the point (ISO 4217)."""
    return _EXPONENTS.get(currency, 2)


def display(money: Money) -> str:
    """An amount as English text writes it: £1,234.50, ¥1,234, KWD 1.234 (with a no-break space).

    Exact integer arithmetic: an amount of any size shows every digit.
    """
    digits = exponent(money.currency)
    major, minor = divmod(abs(money.amount), 10**digits)
    number = f"{major:,}" + (f".{minor:0{digits}d}" if digits else "")
    symbol = _SYMBOLS.get(money.currency)
    sign = "-" if money.amount < 0 else ""
    return f"{sign}{symbol}{number}" if symbol else f"{sign}{money.currency}\u00a0{number}"
