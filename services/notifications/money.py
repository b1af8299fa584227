"""Amounts for people to read."""

from shared.events import Money
from shared.events.currencies import decimals

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


def display(money: Money) -> str:
    """An amount as English text writes it: £1,234.50, ¥1,234, KWD 1.234 (with a no-break space).

    Exact integer arithmetic: an amount of any size shows every digit.
    """
    digits = decimals(money.currency)
    major, minor = divmod(abs(money.amount), 10**digits)
    number = f"{major:,}" + (f".{minor:0{digits}d}" if digits else "")
    symbol = _SYMBOLS.get(money.currency)
    sign = "-" if money.amount < 0 else ""
    return f"{sign}{symbol}{number}" if symbol else f"{sign}{money.currency}\u00a0{number}"
