"""The door of the fake provider: who may come in, and with how large a body."""

import asyncio
import hmac

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.payments.port import CredentialsRejected
from shared.payments.problems import problem

BODY_BYTES_MAX = 65_536
BODY_SECONDS_MAX = 10.0
DISCARDED_BYTES_MAX = 32 * 1024 * 1024
_OPEN = frozenset({"/livez", "/readyz"})


class Guard:
    """ASGI middleware: bearer key on every path but the probes, checked before the body is read."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._expected = f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer 401, 408 or 413 with a problem document."""
        if scope["type"] != "http" or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
            await problem(
                CredentialsRejected.problem,
                "A valid API key is required",
                401,
                "Send Authorization: Bearer <the key in OMS_PAYMENTS_KEY of the provider>.",
                headers={"WWW-Authenticate": "Bearer", "Connection": "close"},
            )(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                body = await _read(receive)
        except TimeoutError:
            await _refuse(408, "body-too-slow", "The body took too long")(scope, receive, send)
            return
        if body is None:
            await _refuse(413, "body-too-large", f"The body is over {BODY_BYTES_MAX} bytes")(
                scope, receive, send
            )
            return
        await self._app(scope, _replay(body, receive), send)


def _refuse(status: int, name: str, title: str) -> ASGIApp:
    return problem(name, title, status, headers={"Connection": "close"})


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body, or None if it is too large.

    Most of a large body is read and dropped, for closing on a caller that still sends resets the
    connection before the caller sees the answer; from `DISCARDED_BYTES_MAX` on, that is its own
    fault.
    """
    body = bytearray()
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body)
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= BODY_BYTES_MAX:
            body += chunk
        if size > DISCARDED_BYTES_MAX or not message.get("more_body", False):
            return bytes(body) if size <= BODY_BYTES_MAX else None


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body once, then whatever comes next: that the caller has hung up."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
