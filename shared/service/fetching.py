"""Small documents of a provider that is known by its address: bounded in time and in bytes."""

import asyncio
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx

ANSWER_S_MAX = 5.0
DOCUMENT_MAX_BYTES = 256 * 1024


async def get(url: str) -> bytes:
    """The document at ``url``. Raises httpx.HTTPError, TimeoutError, or ValueError for an answer that is none."""
    status, body = await _ask("GET", url)
    if status != 200:
        raise ValueError(f"answered {status}")
    return body


async def post_form(
    url: str, form: Mapping[str, str], auth: tuple[str, str] | None = None
) -> tuple[int, bytes]:
    """What ``url`` answers to a form, sent with a name and password where given: status and document. Raises like `get`,
    but not for the status."""
    return await _ask("POST", url, data=form, auth=auth)


async def _ask(method: str, url: str, **what: Any) -> tuple[int, bytes]:
    body = bytearray()
    async with (
        asyncio.timeout(ANSWER_S_MAX),
        httpx.AsyncClient(verify=_certificates(), timeout=ANSWER_S_MAX) as client,
        client.stream(method, url, headers={"accept": "application/json"}, **what) as answer,
    ):
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > DOCUMENT_MAX_BYTES:
                raise ValueError(f"answered more than {DOCUMENT_MAX_BYTES} bytes")
        return answer.status_code, bytes(body)


@cache
def _certificates() -> ssl.SSLContext:
    """Reading the certificates of all authorities holds everything else up for a moment: once is enough."""
    return httpx.create_ssl_context()
