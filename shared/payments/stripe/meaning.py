"""What Stripe's objects and errors are to the payment port: pure functions, no calls.

An intent describes itself: every call that changes it leaves a mark in its metadata, named by a digest of the
idempotency key. Stripe forgets idempotency keys after a day; the marks stay, so a call that is repeated a week later
still gets its first answer.
"""

from hashlib import blake2b
from typing import Any, Literal

import msgspec

from shared.payments.port import (
    Authorised,
    Captured,
    DeclineCode,
    Declined,
    Outcome,
    Refunded,
    RefusalReason,
    Refused,
    Voided,
)
from shared.payments.stripe.amounts import from_stripe

#: Metadata of intents and refunds: the key that made them.
KEY = "oms_key"

Done = Literal["authorise", "capture", "void"]


class Fault(msgspec.Struct, frozen=True):
    """Why a charge failed (`error` of an answer, `last_payment_error` of an intent)."""

    code: str | None = None
    decline_code: str | None = None
    message: str | None = None


class Intent(msgspec.Struct, frozen=True):
    """What we read of a PaymentIntent; amounts as Stripe counts them."""

    id: str
    status: str
    amount: int
    currency: str
    amount_capturable: int = 0
    amount_received: int = 0
    metadata: dict[str, str] = {}
    last_payment_error: Fault | None = None
    latest_charge: Any = None

    @property
    def multicapture(self) -> bool:
        """Whether more than one capture is possible; known where `latest_charge` was expanded."""
        found: Any = self.latest_charge
        for name in ("payment_method_details", "card", "multicapture", "status"):
            found = found.get(name) if isinstance(found, dict) else None
        return bool(found == "available")


class Refund(msgspec.Struct, frozen=True):
    """What we read of a Refund."""

    id: str
    amount: int
    currency: str
    status: str | None = None
    payment_intent: Any = None
    metadata: dict[str, str] | None = None
    failure_reason: str | None = None

    @property
    def key(self) -> str:
        """The idempotency key of the call that made it; empty when it was made elsewhere."""
        return (self.metadata or {}).get(KEY, "")


def mark(key: str) -> str:
    """The metadata field of an intent that tells what the call with this key did (at most 40 characters)."""
    return f"oms_{blake2b(key.encode(), digest_size=16).hexdigest()}"


def done(what: Done, amount: int = 0) -> str:
    """The mark's text."""
    return f"{what} {amount}"


def answer_in(intent: Intent, key: str) -> Outcome | None:
    """What the call with this key was answered, if the intent has its mark and its outcome is known."""
    what, _, amount = intent.metadata.get(mark(key), "").partition(" ")
    match what:
        case "authorise":
            return authorised(intent)
        case "capture" if _captures(intent) <= intent.amount_received:
            money = from_stripe(int(amount), intent.currency)
            return Captured(intent.id, f"{intent.id}.{mark(key)[4:16]}", money)
        case "void":
            return Voided(intent.id, intent.id, from_stripe(int(amount), intent.currency))
    return None


def _captures(intent: Intent) -> int:
    """The sum of all captures that are marked; more than was received means that a mark outlived a failed call."""
    parts = (text.split(" ") for name, text in intent.metadata.items() if name != KEY)
    return sum(int(p[1]) for p in parts if p[0] == "capture" and len(p) == 2)


def authorised(intent: Intent) -> Authorised | Declined | None:
    """Whether the money is set aside; None while that is still open at Stripe."""
    match intent.status:
        case "requires_capture" | "succeeded":
            return Authorised(intent.id, from_stripe(intent.amount, intent.currency))
        case "canceled" if intent.latest_charge and not intent.last_payment_error:
            return Authorised(intent.id, from_stripe(intent.amount, intent.currency))
        case "canceled":
            return Declined("declined", "The intent was cancelled at Stripe.")
        case "requires_payment_method" if intent.last_payment_error is not None:
            return declined(intent.last_payment_error)
    return None


#: Decline codes that say that the card itself, or what was typed, is no good.
_WRONG_METHOD = frozenset(
    (
        "card_not_supported",
        "currency_not_supported",
        "expired_card",
        "incorrect_cvc",
        "incorrect_number",
        "incorrect_zip",
        "invalid_account",
        "invalid_cvc",
        "invalid_expiry_month",
        "invalid_expiry_year",
        "invalid_number",
        "lost_card",
        "new_account_information_available",
        "pickup_card",
        "restricted_card",
        "stolen_card",
        "testmode_decline",
    )
)


def declined(fault: Fault) -> Declined:
    """A decline in the port's words; Stripe's code and message stay in `message`."""
    told = fault.decline_code or fault.code or ""
    code: DeclineCode = "declined"
    if told in ("insufficient_funds", "authentication_required"):
        code = told  # type: ignore[assignment]
    elif told in _WRONG_METHOD:
        code = "invalid_method"
    return Declined(code, f"{told}: {fault.message}" if told else str(fault.message))


def no_capture(intent: Intent, amount: int, currency: str) -> Refused | None:
    """Why an amount (as Stripe counts it) can't be captured; None if it can."""
    if intent.currency != currency.lower():
        return Refused("currency_mismatch", f"{intent.id} is in {intent.currency.upper()}.")
    if intent.status == "canceled":
        return Refused("voided", f"{intent.id} was cancelled; authorise again.")
    if intent.status == "succeeded":
        return Refused(
            "exceeds_authorised",
            f"{intent.id} is closed, {intent.amount_received} of {intent.amount} are captured: without multicapture "
            "its first capture is the last.",
        )
    if intent.status != "requires_capture":
        return Refused("capture_refused", f"{intent.id} is {intent.status}.")
    if amount > intent.amount_capturable:
        return Refused(
            "exceeds_authorised",
            f"{amount} is more than the {intent.amount_capturable} that {intent.id} still holds.",
        )
    return None


def released(intent: Intent) -> Voided | Refused | None:
    """The answer to a void of an intent that holds nothing more; None if there is something to release."""
    rest = intent.amount - intent.amount_received
    if intent.status == "canceled" or (intent.status == "succeeded" and rest):
        return Voided(intent.id, intent.id, from_stripe(rest, intent.currency))
    if intent.status == "succeeded":
        return Refused(
            "nothing_to_void", f"All of {intent.id} has been captured; refund it instead."
        )
    return None


def refunded(refund: Refund, provider_ref: str) -> Refunded | Refused | None:
    """Whether the money goes back; None while that is open (a bank may take days)."""
    match refund.status:
        case "succeeded":
            return Refunded(provider_ref, refund.id, from_stripe(refund.amount, refund.currency))
        case "failed" | "canceled":
            why = refund.failure_reason or refund.status
            return Refused("refund_refused", f"{refund.id} {refund.status}: {why}")
    return None


_CAPTURE_CODES: dict[str, RefusalReason] = {
    "resource_missing": "unknown_reference",
    "amount_too_large": "exceeds_authorised",
    "charge_already_captured": "exceeds_authorised",
    "charge_expired_for_capture": "capture_refused",
    "capture_charge_authorization_expired": "capture_refused",
}
_REFUND_CODES: dict[str, RefusalReason] = {
    "resource_missing": "unknown_reference",
    "amount_too_large": "exceeds_captured",
    "charge_already_refunded": "exceeds_captured",
    "charge_not_refundable": "refund_refused",
    "refund_disputed_payment": "refund_refused",
    "balance_insufficient": "refund_refused",
    "insufficient_funds": "refund_refused",
}


def refused_capture(code: str | None, message: str) -> Refused | None:
    """A refusal in an invalid-request error about a capture or void; None if the request itself was wrong."""
    reason = _CAPTURE_CODES.get(code or "")
    return Refused(reason, message) if reason else None


def refused_refund(code: str | None, message: str) -> Refused | None:
    """A refusal in an invalid-request error about a refund; None if the request itself was wrong."""
    reason = _REFUND_CODES.get(code or "")
    return Refused(reason, message) if reason else None
