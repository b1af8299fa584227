"""Problem details (RFC 9457) of the fake provider's HTTP interface."""

from collections.abc import Mapping, Sequence

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from shared.payments.port import (
    IdempotencyMismatch,
    InvalidRequest,
    PaymentError,
    ProviderUnavailable,
)
from shared.payments.wire import PROBLEM_PREFIX, FieldError, Problem

_STATUS: dict[type[PaymentError], tuple[int, str]] = {
    InvalidRequest: (422, "The request can't be understood"),
    IdempotencyMismatch: (422, "The idempotency key was used for another request"),
    ProviderUnavailable: (503, "The ledger isn't available"),
}


def problem(
    name: str,
    title: str,
    status: int,
    detail: str = "",
    *,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer for the problem `urn:oms:problem:payments:<name>`."""
    body = Problem(PROBLEM_PREFIX + name, title, status, detail, tuple(errors))
    return Response(
        msgspec.json.encode(body), status, headers, media_type="application/problem+json"
    )


async def on_payment_error(_: Request, error: Exception) -> Response:
    """Answer for a `PaymentError` raised by the ledger."""
    assert isinstance(error, PaymentError)
    status, title = _STATUS[type(error)]
    return problem(error.problem, title, status, str(error))


async def on_invalid(_: Request, error: Exception) -> Response:
    """Answer for input that doesn't validate, naming each field but not echoing its value."""
    assert isinstance(error, RequestValidationError)
    errors = [
        FieldError(".".join(str(part) for part in each["loc"]).lower(), each["msg"])
        for each in error.errors()
    ]
    unreadable = any(each["type"] == "json_invalid" for each in error.errors())
    missing_key = any(each.field == "header.idempotency-key" for each in errors)
    detail = "; ".join(f"{each.field}: {each.message}" for each in errors)
    status = 400 if unreadable or missing_key else 422
    name = "idempotency-key-missing" if missing_key else InvalidRequest.problem
    return problem(name, "The request can't be understood", status, detail, errors=errors)


async def on_http_error(_: Request, error: Exception) -> Response:
    """Answer for what the framework refuses: no such path, wrong method."""
    assert isinstance(error, HTTPException)
    return problem(
        f"http-{error.status_code}", str(error.detail), error.status_code, headers=error.headers
    )


async def on_crash(_: Request, __: Exception) -> Response:
    """Answer for a defect of the server, without its insides; the log has them."""
    return problem("server-error", "The provider failed", 500, "Retry with the same key.")
