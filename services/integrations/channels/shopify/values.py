"""Reading a payload's values: exact ids, money in minor units, times. What cannot be read says where it stands."""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from shared.events.currencies import decimals

#: Above this, a number that went through floating point may be another one than was meant.
EXACT_MAX = 2**53

#: Codes that name no money: "no currency", "for testing", precious metals and drawing rights.
_NO_MONEY = frozenset(
    ["XXX", "XTS", "XAU", "XAG", "XPD", "XPT", "XDR", "XSU", "XUA", "XBA", "XBB", "XBC", "XBD"]
)
_MONEY = re.compile(r"-?[0-9]{1,13}(\.[0-9]{1,8})?")
_CURRENCY = re.compile("[A-Z]{3}")
_GID = re.compile(r"gid://shopify/[A-Za-z]+/([0-9]{1,20})(\?.*)?")

_decoder = msgspec.json.Decoder(float_hook=Decimal)


class Unusable(Exception):
    """An input that no rule takes. ``code`` groups them, the message is for a person."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def decoded(body: bytes) -> dict[str, Any]:
    """The payload as Python values, its fractions exact; a REST document's one wrapper is taken off."""
    try:
        value = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidOperation) as error:
        raise Unusable("not_json", f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Unusable("not_an_object", f"an object is needed, not {type(value).__name__}")
    if len(value) == 1:
        ((name, inner),) = value.items()
        if name in ("order", "refund", "fulfillment") and isinstance(inner, dict):
            return inner
    return value


def exact_id(
    record: Mapping[str, Any], field: str = "id", gid: str = "admin_graphql_api_id"
) -> str:
    """An id as text: from the gid where there is one, because the number may have gone through floating point."""
    if (named := record.get(gid)) is not None:
        found = _GID.fullmatch(named) if isinstance(named, str) else None
        if found is None:
            raise Unusable("id", f"{gid} is no gid://shopify/…/NUMBER")
        return found[1]
    number = record.get(field)
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) <= 20:
        return number  # text went through no floating point
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise Unusable("id", f"{field} is no id")
    if number > EXACT_MAX:
        raise Unusable(
            "inexact_id",
            f"{field} {number} is above 2^53 and no {gid} stands beside it: it may have been rounded",
        )
    return str(number)


def currency_of(record: Mapping[str, Any]) -> str:
    """An ISO 4217 code that names money."""
    code = record.get("currency")
    if not isinstance(code, str) or not _CURRENCY.fullmatch(code):
        raise Unusable("currency", "currency is no ISO 4217 code")
    if code in _NO_MONEY:
        raise Unusable("currency", f"currency {code} names no money")
    return code


def minor_units(record: Mapping[str, Any], field: str, currency: str) -> int:
    """An amount, given as text or as a number, in minor units. Absent is 0."""
    value = record.get(field)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise Unusable("amount", f"{field} is no amount")
    if not _MONEY.fullmatch(text := str(value)):
        raise Unusable("amount", f"{field} is no plain amount: {text[:40]}")
    scaled = Decimal(text).scaleb(decimals(currency))
    if scaled != scaled.to_integral_value():
        raise Unusable("amount", f"{field} {value} is no whole number of {currency} minor units")
    return int(scaled)


def quantity_of(record: Mapping[str, Any], field: str = "quantity") -> int:
    """Pieces: a whole number, 0 to 1,000,000."""
    value = record.get(field)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
        raise Unusable("quantity", f"{field} is no number of pieces")
    return value


def time_of(record: Mapping[str, Any], field: str) -> datetime | None:
    """A time with its offset; None where the shop says none."""
    value = record.get(field)
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise Unusable("time", f"{field} is no RFC 3339 time") from error
    if at.tzinfo is None or not 1970 <= at.year <= 2200:
        raise Unusable("time", f"{field} needs an offset, and a year from 1970 to 2200")
    return at


def text_of(record: Mapping[str, Any], *fields: str) -> str:
    """The first of the fields that holds text, as a database takes it: at most 500 characters, nothing unprintable."""
    for field in fields:
        value = record.get(field)
        if isinstance(value, str) and value.strip():
            shown = "".join(x if x.isprintable() else " " for x in value)
            return shown.encode("utf-8", "replace").decode()[:500].strip()
    return ""


def records(record: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    """A list of objects; absent is empty."""
    value = record.get(field)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(x, dict) for x in value):
        raise Unusable("malformed", f"{field} is no list of objects")
    return value


def inner(record: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """An object; absent is empty."""
    value = record.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unusable("malformed", f"{field} is no object")
    return value
