"""How a good client asks: the same request again, under the same key, until there is an answer."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import httpx

WAIT_FIRST_S, WAIT_LONGEST_S = 0.2, 2.0
#: Longer than any fault lasts.
PATIENCE_S = 240.0
TIMEOUT_S = 10.0


class Patient(httpx.AsyncBaseTransport):
    """Sends again what was not answered, or answered with 429, 503, or *still in flight*. ``count`` has why."""

    def __init__(self, count: Counter[str]) -> None:
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
        self._inner = httpx.AsyncHTTPTransport(limits=limits)
        self._count = count

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        deadline, wait_s = time.monotonic() + PATIENCE_S, WAIT_FIRST_S
        while True:
            try:
                response = await self._inner.handle_async_request(request)
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise
                why = type(error).__name__
            else:
                why = await _not_now(response)
                if not why or time.monotonic() > deadline:
                    return response
                await response.aclose()
            self._count[why] += 1
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 1.5, WAIT_LONGEST_S)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _not_now(response: httpx.Response) -> str:
    """Why to ask again; empty for an answer."""
    if response.status_code in (429, 503):
        return str(response.status_code)
    if response.status_code == 409:
        await response.aread()
        if str(response.json().get("type", "")).endswith("in-flight"):
            return "in flight"
    return ""


def client(url: str, headers: dict[str, str], count: Counter[str]) -> httpx.AsyncClient:
    """A patient client of one service."""
    return httpx.AsyncClient(
        base_url=url, headers=headers, transport=Patient(count), timeout=TIMEOUT_S, trust_env=False
    )
