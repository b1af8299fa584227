"""The payment port over HTTP, to the fake provider's process."""

import asyncio
from typing import NoReturn, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from msgspec.json import Decoder
from yarl import URL

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
_JSON = {"Content-Type": "application/json"}
#: A connection that could not be made, broke, or closed before the whole answer was there.
_DROPPED = (
    aiohttp.ClientOSError,
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientPayloadError,
)


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
        if URL(base_url).scheme not in ("http", "https"):
            raise ValueError(
                f"OMS_PAYMENTS_URL is {base_url!r}; must begin with http:// or https://"
            )
        if not (key and key.isascii() and key.isprintable()):
            raise ValueError("OMS_PAYMENTS_KEY must be printable ASCII characters, at least one")
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._free = asyncio.Semaphore(connections_max)
        # Proxies named in the environment must not see payments: aiohttp asks for none by itself.
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections_max, keepalive_timeout=15.0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Authorization": f"Bearer {key}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=min(2.0, timeout_s)),
        )

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

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
        path = f"/outcomes?key={quote(key, safe='')}"
        found = await self._send("GET", path, f"lookup of key {key!r}", _FOUND)
        return found.outcome

    async def entries(self, after: int = 0, limit: int = 500) -> list[Entry]:
        """See `LedgerReader.entries`."""
        path = f"/ledger?after={after}&limit={limit}"
        return (await self._send("GET", path, f"reading the ledger after {after}", _PAGE)).entries

    async def set_faults(self, settings: FaultSettings) -> FaultSettings:
        """Make the provider misbehave from now on; the default settings end it."""
        body = msgspec.json.encode(settings)
        return await self._send("PUT", "/admin/faults", "setting faults", _FAULTS, body, _JSON)

    async def _post(self, key: str, path: str, body: object, answer: Decoder[T]) -> T:
        check_key(key)
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {"Idempotency-Key": key} | _JSON
        what = f"payment request with key {key!r}"
        return await self._send("POST", path, what, answer, content, headers)

    async def _send(
        self,
        method: str,
        path: str,
        what: str,
        answer: Decoder[T],
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> T:
        url = URL(self._base_url + path, encoded=True)
        try:
            async with self._free, asyncio.timeout(self._timeout_s):
                try:
                    status, body = await self._exchange(method, url, content, headers)
                except _DROPPED:
                    status, body = await self._exchange(method, url, content, headers)
        except aiohttp.ClientError as error:
            raise self._unknown(what, f"{type(error).__name__}: {error}") from error
        except TimeoutError as error:
            raise self._unknown(what, f"no answer within {self._timeout_s} s") from error
        if status != 200:
            self._raise(status, body, what)
        try:
            return answer.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._unknown(what, f"an answer that can't be read ({error})") from error

    async def _exchange(
        self, method: str, url: URL, content: bytes | None, headers: dict[str, str] | None
    ) -> tuple[int, bytes]:
        """Status and body of one request on a kept connection."""
        async with self._http.request(
            method, url, data=content, headers=headers, allow_redirects=False
        ) as response:
            return response.status, await response.read()

    def _raise(self, status: int, body: bytes, what: str) -> NoReturn:
        """Raise what a status other than 200 means."""
        try:
            told = msgspec.json.decode(body, type=Problem)
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
