"""The payment provider port: what an order needs from whoever moves the money.

Business answers (declined, refused) are data. Exceptions are for what a caller must treat
differently:

* `ProviderUnavailable`: no answer, so the outcome is UNKNOWN. Send the same request with the same
  key again, or ask `lookup(key)`; never assume that nothing happened.
* `IdempotencyMismatch`, `InvalidRequest`, `CredentialsRejected`: the caller is wrong; a retry can't
  help.

Every call is idempotent by its key: the same key and request give the same stored answer, for ever.
Money is in minor units (pence, cents) with an ISO 4217 currency code.
"""

from typing import ClassVar, Literal, Protocol

import msgspec

from shared.events import Money

__all__ = [
    "Authorised",
    "Captured",
    "CredentialsRejected",
    "DeclineCode",
    "Declined",
    "IdempotencyMismatch",
    "InvalidRequest",
    "Money",
    "Outcome",
    "PaymentError",
    "PaymentProvider",
    "ProviderUnavailable",
    "Refunded",
    "RefusalReason",
    "Refused",
    "Voided",
]

DeclineCode = Literal[
    "insufficient_funds",
    "invalid_method",
    "authentication_required",
    "declined",
    "invalid_request",
]
RefusalReason = Literal[
    "unknown_reference",
    "currency_mismatch",
    "exceeds_authorised",
    "voided",
    "capture_refused",
    "nothing_to_void",
    "exceeds_captured",
    "refund_refused",
    "invalid_request",
]


class Authorised(msgspec.Struct, frozen=True, tag_field="outcome", tag="authorised"):
    """The amount is set aside; `provider_ref` names the authorisation in every later call."""

    provider_ref: str
    amount: Money


class Declined(msgspec.Struct, frozen=True, tag_field="outcome", tag="declined"):
    """The shopper's bank or the provider said no to an authorisation. Final for this key."""

    code: DeclineCode
    message: str


class Captured(msgspec.Struct, frozen=True, tag_field="outcome", tag="captured"):
    """The money is taken; `capture_ref` names this one of possibly several captures."""

    provider_ref: str
    capture_ref: str
    amount: Money


class Voided(msgspec.Struct, frozen=True, tag_field="outcome", tag="voided"):
    """What was authorised and not captured, `amount`, is released; nothing more can be captured."""

    provider_ref: str
    void_ref: str
    amount: Money


class Refunded(msgspec.Struct, frozen=True, tag_field="outcome", tag="refunded"):
    """The amount goes back to the shopper.

    `refund_ref` names this one of possibly several refunds.
    """

    provider_ref: str
    refund_ref: str
    amount: Money


class Refused(msgspec.Struct, frozen=True, tag_field="outcome", tag="refused"):
    """A capture, void or refund that can't be done as asked. Final for this key."""

    reason: RefusalReason
    message: str


Outcome = Authorised | Declined | Captured | Voided | Refunded | Refused


class PaymentError(Exception):
    """Base of everything the port raises on purpose.

    `problem` names it on the wire (RFC 9457 type).
    """

    problem: ClassVar[str] = "payment-error"


class ProviderUnavailable(PaymentError):
    """No usable answer: the outcome is unknown. Retry with the same key, or look the key up."""

    problem = "provider-unavailable"


class IdempotencyMismatch(PaymentError):
    """The key was used before with another request. Never retry; it is a bug in making keys."""

    problem = "idempotency-mismatch"


class InvalidRequest(PaymentError):
    """The request can't be understood (amount, currency, key); nothing was recorded. The order service takes it for a
    decline or refusal, `invalid_request`, unless it was a void."""

    problem = "invalid-request"


class CredentialsRejected(PaymentError):
    """The provider doesn't know our API key; nothing was recorded."""

    problem = "unauthorised"


class PaymentProvider(Protocol):
    """Moves money, each call at most once per key.

    `key` is 1 to 255 printable ASCII characters without spaces and should be derived from the
    event that causes the call. Amounts are at least one minor unit. All calls may raise the
    `PaymentError` family.
    """

    async def authorise(
        self, key: str, payment_id: str, amount: Money, method: str
    ) -> Authorised | Declined:
        """Set `amount` aside on the shopper's `method` (a token, never a card number)."""

    async def capture(self, key: str, provider_ref: str, amount: Money) -> Captured | Refused:
        """Take `amount`; may be called several times, never for more than authorised in total."""

    async def void(self, key: str, provider_ref: str) -> Voided | Refused:
        """Release everything authorised and not yet captured."""

    async def refund(self, key: str, provider_ref: str, amount: Money) -> Refunded | Refused:
        """Give `amount` back.

        May be called several times, never for more than captured in total.
        """

    async def lookup(self, key: str) -> Outcome | None:
        """Return the stored answer to the request with this key, or None if none is recorded *yet*.

        A request still under way may be recorded after None was returned, so None alone doesn't
        allow the use of another key: repeat the request with the same one.
        """
