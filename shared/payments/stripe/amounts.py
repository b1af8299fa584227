"""Money as Stripe counts it: minor units too, but not always those of ISO 4217.

See https://docs.stripe.com/currencies: ISK and UGX have no minor unit any more and are still sent as hundredths; MGA is
sent in whole ariary. Everything else is the same number.
"""

from shared.events import Money
from shared.payments.port import InvalidRequest

_TIMES = {"ISK": 100, "UGX": 100}
_PARTS = {"MGA": 100}


def to_stripe(money: Money) -> int:
    """The amount to send. Raises `InvalidRequest` for one that Stripe cannot express."""
    whole, rest = divmod(
        money.amount * _TIMES.get(money.currency, 1), _PARTS.get(money.currency, 1)
    )
    if rest:
        raise InvalidRequest(
            f"{money.amount} minor units of {money.currency} are no whole unit: Stripe takes only those"
        )
    return whole


def from_stripe(amount: int, currency: str) -> Money:
    """The money in an amount and a (lower-case) currency of Stripe's."""
    code = currency.upper()
    return Money(amount * _PARTS.get(code, 1) // _TIMES.get(code, 1), code)
