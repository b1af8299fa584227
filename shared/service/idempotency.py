"""The HTTP half of Idempotency-Key (draft-ietf-httpapi-idempotency-key-header).

The answer's store belongs to the ledger, in the transaction of what the request does. Here are
the key, the fingerprint of the request, the refusals, and a guard for requests in flight.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
from fastapi import Header, Request

from shared.service.problems import FieldError, Problem
from shared.service.security import Principal

KEY_LENGTH_MAX = 255
RETRY_AFTER_S = 1
ANSWERED_MAX = 4096
_KEY = re.compile(rb"^[!#-\[\]-~]{1,%d}\Z" % KEY_LENGTH_MAX)


class IdempotencyKey(msgspec.Struct, frozen=True):
    """One request's identity. Store under (scope, key); compare `fingerprint` (32 bytes)."""

    scope: str
    key: str
    fingerprint: bytes


def parse_key(value: bytes | None) -> str:
    """The key from the raw header, with or without the draft's quotes; raises Problem 400."""
    if value is None:
        raise _bad_key("Idempotency-Key is missing", "missing")
    # The draft makes it a structured-field string, "…"; most clients send it bare.
    if len(value) >= 2 and value[:1] == value[-1:] == b'"':
        value = value[1:-1]
    if not _KEY.match(value):
        raise _bad_key(
            f"Idempotency-Key must be 1 to {KEY_LENGTH_MAX} printable ASCII characters "
            "without space, quote or backslash",
            "invalid",
        )
    return value.decode("ascii")


def _bad_key(what: str, code: str) -> Problem:
    return Problem(
        400,
        "idempotency-key",
        "Idempotency-Key needed",
        detail=f"{what}. Send a fresh unique key for each new request and the same key when you "
        "repeat it.",
        errors=[FieldError("/Idempotency-Key", what, code, "header")],
    )


def fingerprint(principal: Principal, method: str, path: str, body: bytes) -> bytes:
    """SHA-256 over caller, method, path and exact body; parts are length-framed so that no two
    different requests run together to the same bytes."""
    digest = hashlib.sha256()
    for part in (principal.subject.encode(), method.encode(), path.encode("utf-8", "replace")):
        digest.update(len(part).to_bytes(4, "big") + part)
    digest.update(body)
    return digest.digest()


def identify(
    value: bytes | None, principal: Principal, method: str, path: str, body: bytes
) -> IdempotencyKey:
    """Key and fingerprint of a request; raises Problem 400 for a missing or unusable key."""
    key = parse_key(value)
    scope = f"{principal.subject} {method} {path}"
    return IdempotencyKey(scope, key, fingerprint(principal, method, path, body))


async def idempotency(
    request: Request,
    documented: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
) -> IdempotencyKey:
    """FastAPI dependency: `Annotated[IdempotencyKey, Depends(idempotency)]` after require(…).

    `documented` puts the header into OpenAPI; the raw bytes are what is checked.
    """
    principal: Principal = request.scope["oms.principal"]
    body = await request.body()
    value = request.scope["oms.headers"].get(b"idempotency-key")
    return identify(value, principal, request.method, request.url.path, body)


def mismatch() -> Problem:
    """422: the key was used before with another request."""
    return Problem(
        422,
        "idempotency-key-reused",
        "Idempotency-Key was used with another request",
        detail="The same key came before with another body. Use a fresh key for a new request.",
        errors=[
            FieldError("/Idempotency-Key", "Was used with another request", "reused", "header")
        ],
    )


def in_flight() -> Problem:
    """409: the first request with this key is not answered yet."""
    return Problem(
        409,
        "idempotency-in-flight",
        "The same request is being processed",
        detail="Repeat it with the same key in a moment to get its answer.",
        retry_after_s=RETRY_AFTER_S,
    )


class InFlight:
    """Keys being processed by this process. It spares the database a lock wait for impatient
    clients; across processes and crashes the ledger's unique key decides.

    Keys that were answered lately are let through side by side: were each repetition held to be in
    flight, a crowd that repeats one request would get its answer one by one.
    """

    def __init__(self) -> None:
        self._running: dict[tuple[str, str], bytes] = {}
        self._answered: dict[tuple[str, str], None] = {}

    def __len__(self) -> int:
        return len(self._running)

    @contextmanager
    def enter(self, request: IdempotencyKey) -> Iterator[None]:
        """Hold `request` while it is processed; raises Problem 409, or 422 for another body."""
        key = (request.scope, request.key)
        if key in self._answered:
            yield
            return
        running = self._running.get(key)
        if running is not None:
            raise in_flight() if running == request.fingerprint else mismatch()
        self._running[key] = request.fingerprint
        try:
            yield
        finally:
            del self._running[key]
        self._answered[key] = None
        if len(self._answered) > ANSWERED_MAX:
            del self._answered[next(iter(self._answered))]
