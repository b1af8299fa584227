"""Test payment methods of the fake provider, in the manner of Stripe's test cards.

=============================  ====================================================================
`tok_ok`                       everything succeeds
`tok_declined`                 authorisation declined: insufficient_funds
`tok_slow[:ms]`                authorised at once, answered `ms` later (300)
`tok_timeout_before[:n]`       the first `n` attempts with a key (1) hang and record nothing
`tok_timeout_after_charge`     authorised and recorded, but the answer never comes
`tok_error_500[:n]`            the first `n` attempts with a key (2) fail with a server error
`tok_capture_refused`          authorises; every capture is refused
`tok_timeout_after_capture`    as after_charge, for captures
`tok_refund_refused`           authorises and captures; every refund is refused
`tok_timeout_after_refund`     as after_charge, for refunds
=============================  ====================================================================

A retry with the same key, or a lookup, finds whatever was recorded and is answered promptly.
Anything else as a method is declined with `invalid_method`, so that a misspelt token can't pass
for a working card.
"""

import re
from functools import lru_cache
from typing import Literal

import msgspec

Operation = Literal["authorise", "capture", "void", "refund"]

ATTEMPTS_MAX = 100
DELAY_MS_MAX = 60_000


class Behaviour(msgspec.Struct, frozen=True):
    """How the provider treats a payment method; the default is a card that works."""

    known: bool = True
    declines: bool = False
    refuses: Operation | None = None
    loses_answer_to: Operation | None = None
    delay_ms: int = 0
    fails_first: int = 0
    hangs_first: int = 0


UNKNOWN = Behaviour(known=False)
_TOKENS = {
    "tok_ok": Behaviour(),
    "tok_declined": Behaviour(declines=True),
    "tok_timeout_after_charge": Behaviour(loses_answer_to="authorise"),
    "tok_capture_refused": Behaviour(refuses="capture"),
    "tok_timeout_after_capture": Behaviour(loses_answer_to="capture"),
    "tok_refund_refused": Behaviour(refuses="refund"),
    "tok_timeout_after_refund": Behaviour(loses_answer_to="refund"),
}
_NUMBERED = re.compile(r"(tok_slow|tok_timeout_before|tok_error_500)(?::([0-9]{1,6}))?", re.ASCII)


@lru_cache(maxsize=1024)
def behaviour_of(method: str) -> Behaviour:
    """Return what the table above says of `method`; `UNKNOWN` if it isn't in it."""
    if (behaviour := _TOKENS.get(method)) is not None:
        return behaviour
    if (match := _NUMBERED.fullmatch(method)) is None:
        return UNKNOWN
    number = None if match[2] is None else int(match[2])
    match match[1]:
        case "tok_slow":
            delay_ms = 300 if number is None else number
            return Behaviour(delay_ms=delay_ms) if delay_ms <= DELAY_MS_MAX else UNKNOWN
        case "tok_timeout_before":
            attempts = 1 if number is None else number
            return Behaviour(hangs_first=attempts) if attempts <= ATTEMPTS_MAX else UNKNOWN
        case _:
            attempts = 2 if number is None else number
            return Behaviour(fails_first=attempts) if attempts <= ATTEMPTS_MAX else UNKNOWN
