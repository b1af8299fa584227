"""How a good client asks: the same request again, under the same key, until there is an answer."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import aiohttp
import httpx

WAIT_FIRST_S, WAIT_LONGEST_S = 0.2, 5.0
#: Of one client; whoever is not among them waits without asking, so that a service that comes back is not trodden down.
IN_FLIGHT_MAX = 24
#: Longer than any fault lasts.
PATIENCE_S = 240.0
TIMEOUT_S = 10.0


class Patient(httpx.AsyncBaseTransport):
    """Sends again what was not answered, or answered with 429, 503, or *still in flight*. ``count`` has why.

    On aiohttp's connections: httpx's own pool goes through every connection and every waiting request each time, and took
    half of the processor time that the load needs.
    """

    def __init__(self, count: Counter[str]) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=IN_FLIGHT_MAX),
            timeout=aiohttp.ClientTimeout(sock_connect=TIMEOUT_S, sock_read=TIMEOUT_S),
            auto_decompress=False,
        )
        self._count = count

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        deadline, wait_s = time.monotonic() + PATIENCE_S, WAIT_FIRST_S
        while True:
            try:
                response = await self._ask(request)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                if time.monotonic() > deadline:
                    raise httpx.TransportError(repr(error), request=request) from error
                why = type(error).__name__
            else:
                why = _not_now(response)
                if not why or time.monotonic() > deadline:
                    return response
            self._count[why] += 1
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, WAIT_LONGEST_S)

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        async with self._session.request(
            request.method, str(request.url), headers=request.headers, data=request.content
        ) as answer:
            return httpx.Response(
                answer.status, headers=answer.raw_headers, content=await answer.read()
            )

    async def aclose(self) -> None:
        await self._session.close()


def _not_now(response: httpx.Response) -> str:
    """Why to ask again; empty for an answer."""
    if response.status_code in (429, 503):
        return str(response.status_code)
    if response.status_code == 409 and str(response.json().get("type", "")).endswith("in-flight"):
        return "in flight"
    return ""


def client(url: str, headers: dict[str, str], count: Counter[str]) -> httpx.AsyncClient:
    """A patient client of one service."""
    return httpx.AsyncClient(
        base_url=url, headers=headers, transport=Patient(count), trust_env=False
    )
