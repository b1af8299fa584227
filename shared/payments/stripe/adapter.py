"""The payment port's calls to Stripe."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import msgspec
import stripe

from shared.payments import rules
from shared.payments.port import (
    Authorised,
    Captured,
    CredentialsRejected,
    Declined,
    IdempotencyMismatch,
    InvalidRequest,
    Money,
    Outcome,
    ProviderUnavailable,
    Refunded,
    Refused,
    Voided,
)
from shared.payments.stripe import meaning
from shared.payments.stripe.amounts import to_stripe
from shared.payments.stripe.meaning import KEY, Fault, Intent, Refund, done, mark

_PAYMENT = "oms_payment"
_EXPAND = ["latest_charge"]

T = TypeVar("T")


class StripePayments:
    """`PaymentProvider` on Stripe's API, with a secret key (or a restricted one for intents and refunds).

    The port's key is Stripe's Idempotency-Key. `timeout_s` is that of one request; at most `requests_max` are under way,
    because Stripe limits requests a second. Nothing is retried here: who calls has a policy for `ProviderUnavailable`.
    An outcome that is open at Stripe (a bank that takes its time) is also told as `ProviderUnavailable`: ask again with
    the same key, or wait for the webhook.
    """

    def __init__(
        self,
        key: str,
        *,
        url: str = "https://api.stripe.com",
        timeout_s: float = 30.0,
        requests_max: int = 16,
    ) -> None:
        if not key:
            raise ValueError(
                "OMS_STRIPE_KEY is empty; set it to Stripe's secret key (sk_… or rk_…)"
            )
        self._http = stripe.HTTPXClient(timeout=timeout_s)
        client = stripe.StripeClient(
            key,
            http_client=self._http,
            base_addresses={"api": url.rstrip("/")},
            max_network_retries=0,
        )
        self._intents = client.v1.payment_intents
        self._refunds = client.v1.refunds
        self._free = asyncio.Semaphore(requests_max)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def authorise(
        self, key: str, payment_id: str, amount: Money, method: str
    ) -> Authorised | Declined:
        """See `PaymentProvider.authorise`. `method` is a PaymentMethod (`pm_…`).

        The shopper is not there to answer a bank's question, so a bank that asks one has declined.
        """
        rules.validate(rules.Authorise(key, payment_id, amount.amount, amount.currency, method))
        marks = {KEY: key, _PAYMENT: payment_id, mark(key): done("authorise", to_stripe(amount))}
        call = self._intents.create_async(
            {
                "amount": to_stripe(amount),
                "currency": amount.currency.lower(),
                "payment_method": method,
                "allowed_payment_method_types": ["card"],
                "payment_method_options": {"card": {"request_multicapture": "if_available"}},
                "capture_method": "manual",
                "confirm": True,
                "error_on_requires_action": True,
                "metadata": marks,
            },
            {"idempotency_key": key},
        )
        try:
            intent = _intent(await self._ask(key, call))
        except stripe.CardError as error:
            return meaning.declined(_fault(error))
        except stripe.InvalidRequestError as error:
            if error.param == "payment_method":
                return Declined("invalid_method", str(error.user_message))
            if error.code in ("amount_too_small", "amount_too_large"):
                return Declined("declined", f"{error.code}: {error.user_message}")
            raise _invalid(key, error) from error
        # The same key replays the first answer, so an intent that was open then is read afresh.
        outcome = meaning.authorised(intent) or meaning.authorised(
            await self._intent(intent.id, key)
        )
        return outcome or _open(key, f"{intent.id} is {intent.status}")

    async def capture(self, key: str, provider_ref: str, amount: Money) -> Captured | Refused:
        """See `PaymentProvider.capture`.

        Where card and account allow multicapture, the rest stays authorised; elsewhere the first capture is the last,
        Stripe releases the rest, and a second one is refused with `exceeds_authorised`.
        """
        rules.validate(rules.Capture(key, provider_ref, amount.amount, amount.currency))
        asked = to_stripe(amount)
        try:
            intent = await self._intent(provider_ref, key)
            if (known := meaning.answer_in(intent, key)) is not None:
                return _same(key, known, Captured, amount)
            if refused := meaning.no_capture(intent, asked, amount.currency):
                return refused
            params: Any = {
                "amount_to_capture": asked,
                "metadata": {mark(key): done("capture", asked)},
                **({"final_capture": False} if intent.multicapture else {}),
            }
            call = self._intents.capture_async(provider_ref, params, {"idempotency_key": key})
            intent = _intent(await self._ask(key, call))
        except stripe.CardError as error:
            return Refused("capture_refused", meaning.declined(_fault(error)).message)
        except stripe.InvalidRequestError as error:
            return self._capture_refused(key, error)
        return _same(key, meaning.answer_in(intent, key), Captured, amount)

    def _capture_refused(self, key: str, error: stripe.InvalidRequestError) -> Refused:
        if error.code == "payment_intent_unexpected_state":
            _open(key, "the intent changed meanwhile")
        if refused := meaning.refused_capture(error.code, str(error.user_message)):
            return refused
        raise _invalid(key, error) from error

    async def void(self, key: str, provider_ref: str) -> Voided | Refused:
        """See `PaymentProvider.void`. An intent that is cancelled already, by whomever, counts as voided."""
        rules.validate(rules.Void(key, provider_ref))
        try:
            intent = await self._intent(provider_ref, key)
            known = meaning.answer_in(intent, key) or meaning.released(intent)
            if isinstance(known, Voided | Refused):
                return known
            options: Any = {"idempotency_key": key}
            rest = intent.amount - intent.amount_received
            if intent.amount_received == 0:
                call: Awaitable[Any] = self._intents.cancel_async(provider_ref, {}, options)
            else:
                # A partly captured intent can't be cancelled: a last capture of nothing releases the rest.
                params: Any = {
                    "amount_to_capture": 0,
                    "final_capture": True,
                    "metadata": {mark(key): done("void", rest)},
                }
                call = self._intents.capture_async(provider_ref, params, options)
            intent = _intent(await self._ask(key, call))
        except stripe.InvalidRequestError as error:
            return self._capture_refused(key, error)
        return meaning.released(intent) or _open(key, f"{intent.id} is {intent.status}")

    async def refund(self, key: str, provider_ref: str, amount: Money) -> Refunded | Refused:
        """See `PaymentProvider.refund`."""
        rules.validate(rules.Refund(key, provider_ref, amount.amount, amount.currency))
        try:
            intent = await self._intent(provider_ref, key)
            if intent.currency != amount.currency.lower():
                return Refused("currency_mismatch", f"{intent.id} is in {intent.currency.upper()}.")
            refund = await self._refund_of(key, provider_ref)
            if refund is None:
                if to_stripe(amount) > intent.amount_received:
                    return Refused(
                        "exceeds_captured",
                        f"Only {intent.amount_received} of {intent.id} are captured.",
                    )
                refund = _refund(
                    await self._ask(
                        key,
                        self._refunds.create_async(
                            {
                                "payment_intent": provider_ref,
                                "amount": to_stripe(amount),
                                "metadata": {KEY: key},
                            },
                            {"idempotency_key": key},
                        ),
                    )
                )
            outcome = meaning.refunded(refund, provider_ref)
            if outcome is None:
                refund = _refund(await self._ask(key, self._refunds.retrieve_async(refund.id)))
                outcome = meaning.refunded(refund, provider_ref)
        except stripe.CardError as error:
            return Refused("refund_refused", meaning.declined(_fault(error)).message)
        except stripe.InvalidRequestError as error:
            if refused := meaning.refused_refund(error.code, str(error.user_message)):
                return refused
            raise _invalid(key, error) from error
        if isinstance(outcome, Refused):
            return outcome
        if outcome is None:
            _open(key, f"{refund.id} is {refund.status}")
        return _same(key, outcome, Refunded, amount)

    async def lookup(self, key: str) -> Outcome | None:
        """See `PaymentProvider.lookup`. Finds authorisations, captures and voids that left a mark, about a minute after
        they were made (Stripe's search lags); refunds and cancelled intents cannot be searched by key."""
        rules.check_key(key)
        query = f'-metadata["{mark(key)}"]:null'
        try:
            found = await self._ask(key, self._intents.search_async({"query": query, "limit": 1}))
        except stripe.InvalidRequestError as error:
            raise _invalid(key, error) from error
        return meaning.answer_in(_intent(found.data[0]), key) if found.data else None

    async def _intent(self, provider_ref: str, key: str) -> Intent:
        return _intent(
            await self._ask(key, self._intents.retrieve_async(provider_ref, {"expand": _EXPAND}))
        )

    async def _refund_of(self, key: str, provider_ref: str) -> Refund | None:
        """The refund that an earlier call with this key made."""
        page = await self._ask(
            key, self._refunds.list_async({"payment_intent": provider_ref, "limit": 100})
        )
        async for each in page.auto_paging_iter():
            if (refund := _refund(each)).key == key:
                return refund
        return None

    async def _ask(self, key: str, call: Awaitable[T]) -> T:
        """Await one call. Card and invalid-request errors mean something else in every operation and pass."""
        try:
            async with self._free:
                return await call
        except (stripe.CardError, stripe.InvalidRequestError):
            raise
        except stripe.IdempotencyError as error:
            raise IdempotencyMismatch(f"payment request with key {key!r}: {error}") from error
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            raise CredentialsRejected(
                f"Stripe refuses our key ({error.http_status}). Check OMS_STRIPE_KEY and what it is allowed to do."
            ) from error
        except stripe.StripeError as error:
            raise ProviderUnavailable(
                f"payment request with key {key!r} to Stripe: {type(error).__name__} {error.http_status or ''} "
                f"{error.user_message or ''}; its outcome is unknown, retry with the same key"
            ) from error


def _intent(found: Any) -> Intent:
    return msgspec.convert(found.to_dict(), Intent)


def _refund(found: Any) -> Refund:
    return msgspec.convert(found.to_dict(), Refund)


def _fault(error: stripe.CardError) -> Fault:
    told: Any = error.json_body
    return msgspec.convert(told["error"], Fault)


def _invalid(key: str, error: stripe.InvalidRequestError) -> InvalidRequest:
    return InvalidRequest(
        f"payment request with key {key!r}: Stripe says {error.code or error.http_status} "
        f"about {error.param or 'the request'}: {error.user_message}"
    )


A = TypeVar("A", Captured, Refunded)


def _same(key: str, known: Outcome | None, kind: type[A], amount: Money) -> A:
    """The answer that was found, if it answers this very request."""
    if known is None:
        _open(key, "the answer does not show what was done")
    if not isinstance(known, kind) or known.amount != amount:
        raise IdempotencyMismatch(f"key {key!r} was used before: {known}")
    return known


def _open(key: str, why: str) -> Any:
    raise ProviderUnavailable(
        f"payment request with key {key!r}: {why}; its outcome is not known yet, retry with the same key"
    )
