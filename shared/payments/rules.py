"""What the fake provider answers: pure functions over one authorisation's account.

`0 <= refunded <= captured` and `captured + released <= authorised` hold after every entry.
"""

import re
from datetime import datetime
from hashlib import blake2b
from typing import Literal, assert_never

import msgspec

from shared.payments.port import (
    Authorised,
    Captured,
    DeclineCode,
    Declined,
    InvalidRequest,
    Money,
    Outcome,
    Refunded,
    RefusalReason,
    Refused,
    Voided,
)
from shared.payments.tokens import Operation, behaviour_of

AMOUNT_MAX = 10**12
EntryKind = Literal["authorised", "declined", "captured", "voided", "refunded", "refused"]


class Authorise(msgspec.Struct, frozen=True, gc=False):
    """Set `amount` minor units aside."""

    key: str
    payment_id: str
    amount: int
    currency: str
    method: str


class Capture(msgspec.Struct, frozen=True, gc=False):
    """Take `amount` minor units of an authorisation."""

    key: str
    provider_ref: str
    amount: int
    currency: str


class Void(msgspec.Struct, frozen=True, gc=False):
    """Release what an authorisation still holds."""

    key: str
    provider_ref: str


class Refund(msgspec.Struct, frozen=True, gc=False):
    """Give `amount` captured minor units back."""

    key: str
    provider_ref: str
    amount: int
    currency: str


Request = Authorise | Capture | Void | Refund


class Account(msgspec.Struct, frozen=True, gc=False):
    """One authorisation as its entries leave it; amounts in minor units of `currency`."""

    provider_ref: str
    payment_id: str
    method: str
    currency: str
    authorised: int
    captured: int = 0
    refunded: int = 0
    released: int = 0
    voided: bool = False


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of the ledger: a request and what was answered. `id` is dense and ascending from 1.

    `amount` is what was asked (for a void: what was released); only the kinds authorised,
    captured, voided and refunded moved it. A declined authorisation has no `provider_ref`; a
    refusal for an unknown reference has no `payment_id`. `code` is the reason for declined and
    refused.
    """

    id: int
    kind: EntryKind
    operation: Operation
    key: str
    payment_id: str
    provider_ref: str
    amount: int
    currency: str
    method: str
    code: str
    at: datetime


_MESSAGES: dict[str, str] = {
    "insufficient_funds": "Too little money behind this method; use another one.",
    "invalid_method": "No such payment method; see shared/payments/tokens.py for the test tokens.",
    "unknown_reference": "No authorisation has this reference.",
    "currency_mismatch": "The authorisation is in another currency.",
    "exceeds_authorised": "More than what is authorised and not yet captured.",
    "voided": "The authorisation was voided; authorise again.",
    "capture_refused": "The issuer refused the capture; void it and authorise another method.",
    "nothing_to_void": "Everything authorised has been captured; refund it instead.",
    "exceeds_captured": "More than what is captured and not yet refunded.",
    "refund_refused": "The issuer refused the refund; pay the shopper back another way.",
}
_PREFIX: dict[Operation, str] = {
    "authorise": "auth_",
    "capture": "cap_",
    "void": "void_",
    "refund": "ref_",
}
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_TEXT = re.compile(r"[\x20-\x7e]{1,255}")
_CURRENCY = re.compile(r"[A-Z]{3}")


def reference(operation: Operation, key: str) -> str:
    """Return the provider's reference for the request with this key: the same one every time."""
    return _PREFIX[operation] + blake2b(key.encode(), digest_size=12).hexdigest()


def validate(request: Request) -> None:
    """Raise `InvalidRequest` naming the field, unless the request can be decided."""
    check_key(request.key)
    if isinstance(request, Authorise):
        _check(_TEXT, "payment_id", request.payment_id, "1 to 255 printable ASCII characters")
        _check(_TEXT, "method", request.method, "1 to 255 printable ASCII characters")
    else:
        _check(_KEY, "provider_ref", request.provider_ref, "1 to 255 printable ASCII characters")
    if not isinstance(request, Void):
        _check(_CURRENCY, "currency", request.currency, "an ISO 4217 code such as GBP")
        if not 1 <= request.amount <= AMOUNT_MAX:
            raise InvalidRequest(
                f"amount is {request.amount}; must be 1 to {AMOUNT_MAX} minor units "
                "(nothing to pay means nothing to authorise)"
            )


def check_key(key: str) -> None:
    """Raise `InvalidRequest` unless `key` can be an Idempotency-Key header."""
    _check(_KEY, "idempotency key", key, "1 to 255 printable ASCII characters without spaces")


def _check(pattern: re.Pattern[str], name: str, value: str, rule: str) -> None:
    if pattern.fullmatch(value) is None:
        raise InvalidRequest(f"{name} {value[:40]!a} isn't valid; must be {rule}")


def decide(request: Request, account: Account | None, entry_id: int, at: datetime) -> Entry:
    """Answer a valid, new request.

    `account` is the authorisation it names, None if there is none.
    """
    match request:
        case Authorise(key, payment_id, amount, currency, method):
            code = _declined(method)
            kind: EntryKind = "declined" if code else "authorised"
            ref = "" if code else reference("authorise", key)
            return Entry(
                entry_id,
                kind,
                "authorise",
                key,
                payment_id,
                ref,
                amount,
                currency,
                method,
                code,
                at,
            )
        case Capture(key, ref, amount, currency):
            reason: RefusalReason | Literal[""] = _no_capture(account, amount, currency)
            kind = "refused" if reason else "captured"
            operation: Operation = "capture"
        case Refund(key, ref, amount, currency):
            reason = _no_refund(account, amount, currency)
            kind, operation = "refused" if reason else "refunded", "refund"
        case Void(key, ref):
            reason = _no_void(account)
            kind, operation = "refused" if reason else "voided", "void"
            amount = 0 if account is None or reason else account.authorised - account.captured
            currency = "" if account is None else account.currency
        case _:
            assert_never(request)
    payment_id, method = ("", "") if account is None else (account.payment_id, account.method)
    return Entry(
        entry_id, kind, operation, key, payment_id, ref, amount, currency, method, reason, at
    )


def _declined(method: str) -> DeclineCode | Literal[""]:
    behaviour = behaviour_of(method)
    if not behaviour.known:
        return "invalid_method"
    return "insufficient_funds" if behaviour.declines else ""


def _no_capture(account: Account | None, amount: int, currency: str) -> RefusalReason | Literal[""]:
    if account is None:
        return "unknown_reference"
    if account.currency != currency:
        return "currency_mismatch"
    if account.voided:
        return "voided"
    if amount > account.authorised - account.captured:
        return "exceeds_authorised"
    return "capture_refused" if behaviour_of(account.method).refuses == "capture" else ""


def _no_refund(account: Account | None, amount: int, currency: str) -> RefusalReason | Literal[""]:
    if account is None:
        return "unknown_reference"
    if account.currency != currency:
        return "currency_mismatch"
    if amount > account.captured - account.refunded:
        return "exceeds_captured"
    return "refund_refused" if behaviour_of(account.method).refuses == "refund" else ""


def _no_void(account: Account | None) -> RefusalReason | Literal[""]:
    if account is None:
        return "unknown_reference"
    if account.voided:
        return "voided"
    return "nothing_to_void" if account.captured == account.authorised else ""


def evolve(account: Account | None, entry: Entry) -> Account | None:
    """Return the account after `entry`; the same object if the entry moved nothing."""
    match entry.kind:
        case "declined" | "refused":
            return account
        case "authorised":
            return Account(
                entry.provider_ref, entry.payment_id, entry.method, entry.currency, entry.amount
            )
        case "captured":
            old = _existing(account, entry)
            return msgspec.structs.replace(old, captured=old.captured + entry.amount)
        case "refunded":
            old = _existing(account, entry)
            return msgspec.structs.replace(old, refunded=old.refunded + entry.amount)
        case "voided":
            old = _existing(account, entry)
            return msgspec.structs.replace(old, released=entry.amount, voided=True)
        case _:
            assert_never(entry.kind)


def _existing(account: Account | None, entry: Entry) -> Account:
    if account is None:
        raise AssertionError(
            f"ledger entry {entry.id} ({entry.kind}) has no authorisation before it"
        )
    return account


def answers(entry: Entry, request: Request) -> bool:
    """Tell whether `entry` is the answer to this very request, not only to its key."""
    asked = entry.amount, entry.currency
    match request:
        case Authorise(key, payment_id, amount, currency, method):
            return (
                (entry.operation, entry.key) == ("authorise", key)
                and (entry.payment_id, entry.method) == (payment_id, method)
                and asked == (amount, currency)
            )
        case Capture(key, ref, amount, currency):
            same = asked == (amount, currency)
            operation: Operation = "capture"
        case Refund(key, ref, amount, currency):
            same = asked == (amount, currency)
            operation = "refund"
        case Void(key, ref):
            same, operation = True, "void"
        case _:
            assert_never(request)
    return same and (entry.operation, entry.key, entry.provider_ref) == (operation, key, ref)


def outcome_of(entry: Entry) -> Outcome:
    """Return the answer that `entry` records; always the same for the same entry."""
    amount = Money(amount=entry.amount, currency=entry.currency)
    match entry.kind:
        case "authorised":
            return Authorised(entry.provider_ref, amount)
        case "captured":
            return Captured(entry.provider_ref, reference("capture", entry.key), amount)
        case "voided":
            return Voided(entry.provider_ref, reference("void", entry.key), amount)
        case "refunded":
            return Refunded(entry.provider_ref, reference("refund", entry.key), amount)
        case "declined":
            return msgspec.convert(_no(entry, "declined", "code"), Declined)
        case "refused":
            return msgspec.convert(_no(entry, "refused", "reason"), Refused)
        case _:
            assert_never(entry.kind)


def _no(entry: Entry, outcome: str, field: str) -> dict[str, str]:
    return {"outcome": outcome, field: entry.code, "message": _MESSAGES[entry.code]}
