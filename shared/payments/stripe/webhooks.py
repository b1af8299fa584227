"""What Stripe reports by itself: signed events about intents and refunds."""

from typing import Any, NamedTuple

import msgspec
import stripe

from shared.payments.port import Outcome, Voided
from shared.payments.stripe import meaning
from shared.payments.stripe.amounts import from_stripe
from shared.payments.stripe.meaning import KEY, Intent, Refund


class WebhookRefused(ValueError):
    """Not signed by Stripe with our secret, too old, or no event; the message says which."""


class Settled(NamedTuple):
    """The call with this key has this outcome."""

    key: str
    outcome: Outcome


def read_webhook(payload: bytes, signature: str, secret: str) -> list[Settled]:
    """The calls that a signed event settles; none for an event of another kind, or one that leaves things open.

    `payload` is the body as it came, `signature` the header `Stripe-Signature`, `secret` the endpoint's `whsec_…`. An
    event carries its object as it was then, and may come twice, late, or after a younger one: only final outcomes are
    told, and whoever records them ignores a call that has its answer. Raises `WebhookRefused`.
    """
    try:
        event = stripe.Webhook.construct_event(payload, signature, secret)
        about: Any = event.data.object.to_dict()
        cause = event.request.idempotency_key if event.request is not None else None
    except stripe.SignatureVerificationError as error:
        raise WebhookRefused(str(error.user_message)) from error
    except (ValueError, AttributeError, KeyError) as error:
        raise WebhookRefused(f"not a Stripe event: {error}") from error
    try:
        if event.type.startswith("payment_intent."):
            return _of_intent(event.type, msgspec.convert(about, Intent), cause or "")
        if event.type.startswith(("refund.", "charge.refund.")):
            return _of_refund(msgspec.convert(about, Refund))
    except msgspec.ValidationError as error:
        raise WebhookRefused(
            f"{event.type} without what its object should have: {error}"
        ) from error
    return []


def _of_intent(type: str, intent: Intent, cause: str) -> list[Settled]:
    keys = {intent.metadata.get(KEY, ""), cause} - {""}
    found = {key: meaning.answer_in(intent, key) for key in sorted(keys)}
    if type == "payment_intent.canceled" and cause and found[cause] is None:
        rest = from_stripe(intent.amount - intent.amount_received, intent.currency)
        found[cause] = Voided(intent.id, intent.id, rest)
    return [Settled(key, outcome) for key, outcome in found.items() if outcome is not None]


def _of_refund(refund: Refund) -> list[Settled]:
    outcome = meaning.refunded(refund, _id(refund.payment_intent))
    return [Settled(refund.key, outcome)] if refund.key and outcome is not None else []


def _id(expandable: Any) -> str:
    """The id in a field that holds an id, or the object itself."""
    return str(expandable["id"] if isinstance(expandable, dict) else expandable or "")
