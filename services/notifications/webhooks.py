"""Performs `CallWebhook`: posts events to endpoints, signed by Standard Webhooks.

The event's own JSON is the body; its CloudEvents attributes are headers (HTTP binary mode).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from services.notifications.addresses import Addresses, CheckedResolver, InsideError, host_of
from services.notifications.domain.endpoints import GONE, Endpoint
from services.notifications.domain.messages import CallWebhook, WebhookAbandoned, WebhookAnswered
from services.notifications.signing import Secrets, signed
from shared.events import Command
from shared.ledger.effects import TryAgain

TIMEOUT_SECONDS = 10.0
CALLS_PER_ENDPOINT_MAX = 32
ANSWER_BYTES_MAX = 64 * 1024
#: After so many failures in a row an endpoint gets one call at a time, and none for a while.
FAILURES_MAX = 5
REST_SECONDS = 5.0

#: Where an endpoint lives now; None when it was removed.
Find = Callable[[str], Awaitable[Endpoint | None]]


@dataclass(slots=True)
class _Line:
    """The state of one endpoint's line: how it has fared lately."""

    slots: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(CALLS_PER_ENDPOINT_MAX)
    )
    failures: int = 0
    rests_until: float = 0.0


class Courier:
    """Delivers webhooks.

    An endpoint that hangs must not hold up mails and other endpoints: it has a bounded number of
    calls at once, and after `FAILURES_MAX` failures in a row it rests, so that what is due for it
    fails at once and waits in the effects table instead of here.
    """

    def __init__(
        self,
        find: Find,
        secrets: Secrets,
        *,
        addresses: Addresses,
        timeout_s: float = TIMEOUT_SECONDS,
        rest_s: float = REST_SECONDS,
    ) -> None:
        self._find = find
        self._secrets = secrets
        self._timeout_s = timeout_s
        self._rest_s = rest_s
        self._lines: dict[str, _Line] = {}
        self._addresses = addresses
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=256,
                resolver=CheckedResolver(addresses),
                use_dns_cache=False,  # a cached address would not be judged again
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # answers are not read, least of all bombs
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            headers={"User-Agent": "oms-webhooks/1", "Content-Type": "application/json"},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def perform(self, call: CallWebhook, _: str) -> Command:
        """Post once: answered with 2xx or 410, or there is no endpoint any more.

        Raises `TryAgain` for every other answer, for none, and while the endpoint rests.
        """
        endpoint = await self._find(call.endpoint_id)
        if endpoint is None or endpoint.disabled:
            self._lines.pop(call.endpoint_id, None)
            return WebhookAbandoned(
                webhook_id=call.webhook_id,
                endpoint_id=call.endpoint_id,
                reason="removed" if endpoint is None else "disabled",
            )
        line = self._lines.setdefault(call.endpoint_id, _Line())
        async with line.slots:
            status = await self._guarded(line, call, endpoint)
        return WebhookAnswered(
            webhook_id=call.webhook_id, endpoint_id=call.endpoint_id, status=status
        )

    async def _guarded(self, line: _Line, call: CallWebhook, endpoint: Endpoint) -> int:
        now = asyncio.get_running_loop().time()
        if now < line.rests_until:
            raise TryAgain(f"endpoint {call.endpoint_id} rests after {line.failures} failures")
        if line.failures >= FAILURES_MAX:
            line.rests_until = now + self._rest_s  # this call is the probe, others wait for it
        try:
            status = await self._post(call, endpoint)
        except TryAgain:
            line.failures += 1
            if line.failures >= FAILURES_MAX:
                line.rests_until = asyncio.get_running_loop().time() + self._rest_s
            raise
        line.failures, line.rests_until = 0, 0.0
        return status

    async def _post(self, call: CallWebhook, endpoint: Endpoint) -> int:
        body = bytes(call.payload)
        secret = self._secrets.of(call.endpoint_id)
        headers = {**cloud_event(call), **signed(call.webhook_id, body, secret)}
        try:
            await self._check_literal(endpoint.url)
            async with (
                asyncio.timeout(self._timeout_s),
                self._http.post(
                    URL(endpoint.url, encoded=True),
                    data=body,
                    headers=headers,
                    allow_redirects=False,  # a redirect could lead inside
                ) as answer,
            ):
                status = answer.status
                await _drain(answer)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            # Its text can hold the address, and addresses can hold tokens.
            if inside := _inside(error):
                raise TryAgain(f"endpoint {call.endpoint_id}: {inside}") from None
            kind = type(error).__name__
            raise TryAgain(f"endpoint {call.endpoint_id} did not answer: {kind}") from None
        if 200 <= status < 300 or status == GONE:
            return status
        raise TryAgain(f"endpoint {call.endpoint_id} answered {status}")

    async def _check_literal(self, url: str) -> None:
        """An address in digits is never resolved, so the resolver does not see it."""
        host = host_of(url)
        if ":" in host or host.replace(".", "").isdigit():
            await self._addresses.check_host(host)


def _inside(error: BaseException | None) -> InsideError | None:
    """The refusal of an address behind an error of the client."""
    while error is not None and not isinstance(error, InsideError):
        error = error.__cause__ or error.__context__
    return error


def cloud_event(call: CallWebhook) -> Mapping[str, str]:
    """The event's CloudEvents 1.0 attributes as HTTP headers, and the webhook's place in its
    endpoint's sequence: a receiver can sort by it and see what is missing."""
    return {
        "ce-specversion": "1.0",
        "ce-id": call.event_id,
        "ce-type": call.event_type,
        "ce-source": f"/oms/{call.event_type.split('.')[1]}",
        "ce-subject": call.subject,
        "oms-webhook-sequence": str(call.sequence),
    }


async def _drain(answer: aiohttp.ClientResponse) -> None:
    """Read a short answer to its end, so that the connection can serve again; a long one is cut."""
    size = 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            return
