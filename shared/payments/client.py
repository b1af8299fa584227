"""The payment port over HTTP, to the fake provider's process."""

import asyncio
from typing import NoReturn, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec
from msgspec.json import Decoder

from shared.payments.faults import FaultSettings
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
from shared.payments.rules import Entry, check_key
from shared.payments.wire import PROBLEM_PREFIX, Found, LedgerPage, Problem

T = TypeVar("T")
_AUTHORISE: Decoder[Authorised | Declined] = Decoder(Authorised | Declined)
_CAPTURE: Decoder[Captured | Refused] = Decoder(Captured | Refused)
_VOID: Decoder[Voided | Refused] = Decoder(Voided | Refused)
_REFUND: Decoder[Refunded | Refused] = Decoder(Refunded | Refused)
_FOUND = Decoder(Found)
_PAGE = Decoder(LedgerPage)
_FAULTS = Decoder(FaultSettings)
_DROPPED = (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


class HttpPayments:
    """`PaymentProvider` and `LedgerReader` on `base_url`; close it, or use it as a context manager.

    A call takes at most `timeout_s` from when it has a connection and then raises
    `ProviderUnavailable`; waiting for one of `connections_max` is not counted, or a crowd of calls
    would time out before they were sent, and come back as a larger crowd. A connection that
    breaks (an idle one that the server closed, a restart) is tried once more at once, which is safe
    because of the idempotency key; waiting longer and more often is the caller's policy.
    """

    def __init__(
        self, base_url: str, key: str, *, timeout_s: float = 5.0, connections_max: int = 64
    ) -> None:
        if httpx.URL(base_url).scheme not in ("http", "https"):
            raise ValueError(
                f"OMS_PAYMENTS_URL is {base_url!r}; must begin with http:// or https://"
            )
        if not (key and key.isascii() and key.isprintable()):
            raise ValueError("OMS_PAYMENTS_KEY must be printable ASCII characters, at least one")
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._free = asyncio.Semaphore(connections_max)
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(timeout_s, connect=min(2.0, timeout_s)),
            limits=httpx.Limits(
                max_connections=connections_max,
                max_keepalive_connections=connections_max,
                keepalive_expiry=15.0,
            ),
            trust_env=False,  # a proxy named in the environment must not see payments
        )

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def authorise(
        self, key: str, payment_id: str, amount: Money, method: str
    ) -> Authorised | Declined:
        """See `PaymentProvider.authorise`."""
        body = {"payment_id": payment_id, "amount": amount, "method": method}
        return await self._post(key, "/authorisations", body, _AUTHORISE)

    async def capture(self, key: str, provider_ref: str, amount: Money) -> Captured | Refused:
        """See `PaymentProvider.capture`."""
        path = f"{_path(provider_ref)}/captures"
        return await self._post(key, path, {"amount": amount}, _CAPTURE)

    async def void(self, key: str, provider_ref: str) -> Voided | Refused:
        """See `PaymentProvider.void`."""
        return await self._post(key, f"{_path(provider_ref)}/void", None, _VOID)

    async def refund(self, key: str, provider_ref: str, amount: Money) -> Refunded | Refused:
        """See `PaymentProvider.refund`."""
        path = f"{_path(provider_ref)}/refunds"
        return await self._post(key, path, {"amount": amount}, _REFUND)

    async def lookup(self, key: str) -> Outcome | None:
        """See `PaymentProvider.lookup`."""
        check_key(key)
        request = self._http.build_request("GET", "/outcomes", params={"key": key})
        found = await self._send(request, f"lookup of key {key!r}", _FOUND)
        return found.outcome

    async def entries(self, after: int = 0, limit: int = 500) -> list[Entry]:
        """See `LedgerReader.entries`."""
        params = {"after": after, "limit": limit}
        request = self._http.build_request("GET", "/ledger", params=params)
        return (await self._send(request, f"reading the ledger after {after}", _PAGE)).entries

    async def set_faults(self, settings: FaultSettings) -> FaultSettings:
        """Make the provider misbehave from now on; the default settings end it."""
        content = msgspec.json.encode(settings)
        request = self._http.build_request("PUT", "/admin/faults", content=content)
        return await self._send(request, "setting faults", _FAULTS)

    async def _post(self, key: str, path: str, body: object, answer: Decoder[T]) -> T:
        check_key(key)
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        content = b"" if body is None else msgspec.json.encode(body)
        request = self._http.build_request("POST", path, content=content, headers=headers)
        return await self._send(request, f"payment request with key {key!r}", answer)

    async def _send(self, request: httpx.Request, what: str, answer: Decoder[T]) -> T:
        try:
            async with self._free, asyncio.timeout(self._timeout_s):
                try:
                    response = await self._http.send(request)
                except _DROPPED:
                    response = await self._http.send(request)
        except TimeoutError as error:
            raise self._unknown(what, f"no answer within {self._timeout_s} s") from error
        except httpx.HTTPError as error:
            raise self._unknown(what, f"{type(error).__name__}: {error}") from error
        if response.status_code != 200:
            self._raise(response, what)
        try:
            return answer.decode(response.content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._unknown(what, f"an answer that can't be read ({error})") from error

    def _raise(self, response: httpx.Response, what: str) -> NoReturn:
        """Raise what a status other than 200 means."""
        status = response.status_code
        try:
            told = msgspec.json.decode(response.content, type=Problem)
        except (msgspec.DecodeError, UnicodeDecodeError):
            told = Problem("about:blank", "no problem document", status)
        text = f"{what}: {status} {told.title}: {told.detail}"
        if status in (401, 403):
            raise CredentialsRejected(f"{text} Check OMS_PAYMENTS_KEY of this process.")
        if told.type == PROBLEM_PREFIX + IdempotencyMismatch.problem:
            raise IdempotencyMismatch(text)
        if told.type.startswith(PROBLEM_PREFIX) and status in (400, 413, 422):
            raise InvalidRequest(text)
        raise self._unknown(what, f"status {status} {told.title} {told.detail}".rstrip())

    def _unknown(self, what: str, why: str) -> ProviderUnavailable:
        return ProviderUnavailable(
            f"{what} to {self._base_url}: {why}; its outcome is unknown, retry with the same key"
        )


def _path(provider_ref: str) -> str:
    return f"/authorisations/{quote(provider_ref, safe='')}"
