"""The outermost ASGI layer: trace, caller, limits, errors and metrics for every request.

Plain ASGI on purpose: Starlette's BaseHTTPMiddleware adds a task group and a queue to each
request, which alone costs more than everything here.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote

import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.ledger.store import Unavailable
from shared.ledger.work import Overloaded
from shared.service import telemetry
from shared.service.body import BODY_MAX_BYTES, bounded, too_large
from shared.service.failures import log_unexpected
from shared.service.limits import Headers, RateLimits
from shared.service.metrics import Metrics
from shared.service.problems import (
    MEDIA_TYPE,
    Problem,
    from_http_exception,
    internal_error,
    validation_problem,
)
from shared.service.security import Keyring, Principal, unauthenticated
from shared.service.trust import is_token

IN_FLIGHT_MAX = 2000
LINGER_S = 2.0
LINGER_BYTES = 32 << 20
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
#: A percent sign that begins no escape, be it that the path was cut there.
_NO_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_PROBES = frozenset(("/livez", "/readyz"))
log = structlog.stdlib.get_logger("oms.http")

#: Status, headers and body of an answer.
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


class Exchange:
    """Wraps `send`: remembers the status, adds the headers that every answer has."""

    __slots__ = ("_common", "_send", "rate", "status")

    def __init__(self, send: Send, trace: telemetry.Trace) -> None:
        self._send = send
        self._common = (
            (b"x-correlation-id", trace.correlation_id.encode("ascii")),
            (b"x-content-type-options", b"nosniff"),
        )
        self.status = 0
        self.rate: Headers = ()

    async def __call__(self, message: Message) -> None:
        """ASGI send."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._common, *self.rate]
        await self._send(message)


class Edge:
    """See the module. `inner` is FastAPI's stack; `hot` maps (method, path) to hot operations."""

    def __init__(
        self,
        inner: ASGIApp,
        keyring: Keyring,
        metrics: Metrics,
        route_of: Callable[[Scope], str],
        *,
        rates: RateLimits,
        body_max: int = BODY_MAX_BYTES,
        in_flight_max: int = IN_FLIGHT_MAX,
        cookie: str | None = None,
        tokens: Callable[[bytes], Awaitable[Principal]] | None = None,
        access_log: bool = False,
    ) -> None:
        self.hot: dict[tuple[str, str], ASGIApp] = {}
        self.keyring = keyring
        self.in_flight = 0
        self._inner = inner
        self._metrics = metrics
        self._route_of = route_of
        self._rates = rates
        self._body_max = body_max
        self._in_flight_max = in_flight_max
        self.tokens = tokens
        self._cookie = cookie
        self._access_log = access_log
        metrics.in_flight.set_function(lambda: float(self.in_flight))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        started_s = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        trace = _trace_of(headers)
        scope["oms.headers"] = headers
        token = telemetry.enter(trace)
        exchange = Exchange(send, trace)
        hot = self.hot.get((scope["method"], scope["path"]))
        self.in_flight += 1
        try:
            exchange.rate = await self._admit(scope, headers)
            if hot is not None:
                await hot(scope, receive, exchange)
            else:
                # Without a declared length (chunked) the bytes are counted as they come.
                counted = b"content-length" not in headers
                source = bounded(receive, self._body_max) if counted else receive
                await self._inner(scope, source, exchange)
        except asyncio.CancelledError:
            # Drain ran out of time: the client gets an answer it can retry, not a reset.
            await self._problem(scope, exchange, trace, _cancelled())
            raise
        except Exception as error:  # noqa: BLE001 - logged, and every request gets an answer
            await self._failed(scope, receive, exchange, trace, error)
        finally:
            self.in_flight -= 1
            route = scope["path"] if hot is not None else self._route_of(scope)
            self._finish(scope, exchange.status, route, time.perf_counter() - started_s)
            telemetry.leave(token)

    async def _admit(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Headers:
        """Whether the request may go on, and what is left to its caller. Raises `Problem`."""
        length = headers.get(b"content-length")
        if length is not None and (not length.isdigit() or int(length[:20]) > self._body_max):
            raise too_large(self._body_max)
        probe = scope["path"] in _PROBES
        if self.in_flight > self._in_flight_max and not probe:
            raise Problem(
                503,
                "overloaded",
                "Too many requests at once",
                detail="Repeat with the same Idempotency-Key a little later.",
                retry_after_s=1,
            )
        # PostgreSQL text holds no NUL: no path or query parameter may bring one to a statement.
        if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
            raise Problem(400, "bad-request", detail="The address contains a NUL character (%00).")
        address = scope["client"][0] if scope.get("client") else ""
        try:
            principal = await self._authenticate(scope, headers)
        except Problem:
            # Whoever guesses keys is a stranger, and is slowed down as one.
            self._rates.admit(None, address)
            raise
        scope["oms.principal"] = principal
        return () if probe else self._rates.admit(principal, address)

    async def _authenticate(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Principal | None:
        authorization = headers.get(b"authorization")
        if authorization is not None:
            kind, _, key = authorization.partition(b" ")
            if kind.lower() != b"bearer":
                raise unauthenticated("Only the Bearer scheme is accepted in Authorization.")
            key = key.strip()
            if self.tokens is not None and is_token(key):
                return await self.tokens(key)
        elif b"x-api-key" in headers:
            key = headers[b"x-api-key"].strip()
        elif self._cookie and b"cookie" in headers and scope["method"] in ("GET", "HEAD"):
            # Only for reading: a cookie is sent along with forged cross-site posts as well.
            key = _cookie_value(headers[b"cookie"], self._cookie)
            if self.tokens is not None and is_token(key):
                return await _signed_in(self.tokens, key)
            return self.keyring.authenticate(key) if key else None
        else:
            return None
        principal = self.keyring.authenticate(key)
        if principal is None:
            raise unauthenticated("This API key is unknown or has been withdrawn.")
        return principal

    async def _failed(
        self,
        scope: Scope,
        receive: Receive,
        exchange: Exchange,
        trace: telemetry.Trace,
        error: Exception,
    ) -> None:
        problem = as_problem(error)
        if problem is None:
            log_unexpected(log, "http.failed", error, route=self._route_of(scope))
            problem = internal_error()
        if exchange.status:
            return
        await self._problem(scope, exchange, trace, problem, last=problem.status_code != 413)
        if problem.status_code == 413:
            await _linger(scope, receive)
            await exchange({"type": "http.response.body", "body": b"", "more_body": False})

    async def _problem(
        self,
        scope: Scope,
        exchange: Exchange,
        trace: telemetry.Trace,
        problem: Problem,
        *,
        last: bool = True,
    ) -> None:
        if exchange.status:
            return
        status, headers, body = render(problem, scope, trace)
        await exchange({"type": "http.response.start", "status": status, "headers": headers})
        await exchange({"type": "http.response.body", "body": body, "more_body": not last})

    def _finish(self, scope: Scope, status: int, route: str, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        # 499: the client went away before there was an answer.
        self._metrics.requests.observe(method, route, status or 499, seconds)
        if self._access_log:
            log.info(
                "http.request",
                method=method,
                route=route,
                status=status or 499,
                duration_ms=round(seconds * 1000, 3),
            )


def _trace_of(headers: Mapping[bytes, bytes]) -> telemetry.Trace:
    traceparent = headers.get(b"traceparent")
    correlation = headers.get(b"x-correlation-id")
    if traceparent is None and correlation is None:
        return telemetry.new_trace()
    return telemetry.continue_trace(
        traceparent.decode("latin-1") if traceparent else None,
        correlation.decode("latin-1") if correlation else None,
    )


async def _signed_in(
    tokens: Callable[[bytes], Awaitable[Principal]], token: bytes
) -> Principal | None:
    """Who signed in with this token; nobody once it is no good any more, so that pages ask again."""
    try:
        return await tokens(token)
    except Problem as problem:
        if problem.status_code == 401:
            return None
        raise


def _cookie_value(header: bytes, name: str) -> bytes:
    try:
        morsel = SimpleCookie(header.decode("latin-1")).get(name)
    except CookieError:
        return b""
    return morsel.value.encode("latin-1") if morsel else b""


def _cancelled() -> Problem:
    return Problem(
        503,
        "stopping",
        "The service is stopping",
        detail="Repeat with the same Idempotency-Key: the request may or may not have been done.",
        retry_after_s=2,
        headers={"Connection": "close"},
    )


def as_problem(error: Exception) -> Problem | None:
    """The Problem that answers `error`, or None when the error is not the caller's doing."""
    if isinstance(error, HTTPException):
        return from_http_exception(error)
    if isinstance(error, RequestValidationError):
        return validation_problem(error.errors())
    if isinstance(error, Unavailable | Overloaded):
        return Problem(
            503,
            "try-again",
            "The service cannot do this now",
            detail="Nothing is known to have happened. Send the same request again.",
            retry_after_s=1,
        )
    return None


def render(problem: Problem, scope: Scope, trace: telemetry.Trace | None) -> Answer:
    """Status, headers and body of the answer to `scope`'s request."""
    raw: Any = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    path = _NO_ESCAPE.sub(b"%25", raw.split(b"?", 1)[0][:200])
    instance = quote(path, safe="/%:@!$&'()*+,;=~")
    body = problem.body(instance, trace.trace_id if trace else None)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    for name, value in (problem.headers or {}).items():
        headers.append((name.lower().encode("latin-1"), value.encode("latin-1", "replace")))
    return problem.status_code, headers, body


async def _linger(scope: Scope, receive: Receive) -> None:
    """Discard some of what the client still sends before the connection closes.

    The answer is out already and nothing is kept. But closing while the client still writes makes
    its kernel drop our answer (a reset), and most clients read only after writing; so there is a
    limit of bytes and of seconds for them. A client that waits for permission (Expect:
    100-continue) has sent nothing and must not be asked.
    """
    if b"expect" in scope["oms.headers"]:
        return
    discarded = 0
    try:
        async with asyncio.timeout(LINGER_S):
            while discarded < LINGER_BYTES:
                message = await receive()
                discarded += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
