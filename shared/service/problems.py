"""Problem details (RFC 9457): the one shape of every error that leaves a service."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.exceptions import HTTPException

ERRORS_MAX = 100
"""How many field errors one answer names; a hostile body could otherwise provoke thousands."""
MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:oms:problem:"


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rejected field: `field` is a JSON pointer (RFC 6901) into the part named by `where`."""

    field: str
    message: str
    code: str
    where: str = msgspec.field(default="body", name="in")


class Problem(HTTPException):
    """Raise it anywhere in a request to answer with a problem document.

    `Problem(409, "order-conflict", "Order A-1 has changed", detail=…, retry_after_s=1)`.
    `slug` becomes the stable `type` URI, `title` is short and the same for every occurrence,
    `detail` says what happened here and what to do next. `extra` adds extension members.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        title: str | None = None,
        *,
        detail: str | None = None,
        errors: Sequence[FieldError] = (),
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        all_headers = dict(headers or {})
        if retry_after_s is not None:
            all_headers["Retry-After"] = str(retry_after_s)
        super().__init__(status_code=status, detail=detail or "", headers=all_headers)
        self.slug = slug
        self.title = title or slug.replace("-", " ").capitalize()
        self.errors = errors
        self.extra = extra or {}

    def body(self, instance: str, trace_id: str | None) -> bytes:
        """The document as JSON bytes for the request path `instance`."""
        document: dict[str, Any] = {
            "type": TYPE_PREFIX + self.slug,
            "title": self.title,
            "status": self.status_code,
            "instance": instance,
        }
        if self.detail:
            document["detail"] = self.detail
        if self.errors:
            document["errors"] = list(self.errors[:ERRORS_MAX])
            if len(self.errors) > ERRORS_MAX:
                document["errors_omitted"] = len(self.errors) - ERRORS_MAX
        if trace_id:
            document["trace_id"] = trace_id
        document.update(self.extra)
        return msgspec.json.encode(document)


_BY_STATUS = {
    400: ("bad-request", "Bad request"),
    401: ("unauthenticated", "Authentication needed"),
    403: ("forbidden", "Not allowed for this role"),
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "Method not allowed"),
    413: ("body-too-large", "Request body too large"),
    415: ("unsupported-media-type", "Unsupported media type"),
    429: ("rate-limited", "Too many requests"),
    500: ("internal", "Internal error"),
    503: ("unavailable", "Service unavailable"),
}


def from_http_exception(error: HTTPException) -> Problem:
    """Starlette's and FastAPI's own HTTPException (unknown path, wrong method …) as a Problem."""
    if isinstance(error, Problem):
        return error
    slug, title = _BY_STATUS.get(error.status_code, (f"http-{error.status_code}", error.detail))
    detail = str(error.detail)
    if error.status_code == 404 and detail == "Not Found":
        detail = "Nothing lives at this path. /openapi.json lists what this service offers."
    if error.status_code == 405:
        detail = "This path exists but not for this method; see the Allow header."
    return Problem(error.status_code, slug, title, detail=detail, headers=error.headers)


def internal_error() -> Problem:
    """The answer to an unexpected exception: it carries nothing but the trace id to look up."""
    return Problem(
        500,
        "internal",
        "Internal error",
        detail="Something failed on our side and was logged with this trace_id. "
        "Repeat the request with the same Idempotency-Key.",
    )


def pointer(parts: Iterable[object]) -> str:
    """A JSON pointer (RFC 6901) from path parts: `("lines", 0, "sku")` gives `/lines/0/sku`."""
    escaped = (printable(str(part)).replace("~", "~0").replace("/", "~1") for part in parts)
    return "".join("/" + part for part in escaped)


def printable(text: str, length_max: int = 200) -> str:
    """`text` made safe to repeat in an answer or a log: no surrogates, no endless names."""
    short = text if len(text) <= length_max else text[:length_max] + "…"
    return short.encode("utf-8", "backslashreplace").decode()


def validation_problem(errors: Iterable[Mapping[str, Any]], *, where: str | None = None) -> Problem:
    """pydantic's errors as one 422 that names every field at once.

    FastAPI's locations begin with the part of the request (`("body", "lines", 0)`); for errors of
    a bare model pass `where`. The rejected value is never repeated: it may be personal data.
    """
    fields: list[FieldError] = []
    for error in errors:
        location: Sequence[Any] = error["loc"]
        part, path = (where, location) if where else (str(location[0]), location[1:])
        message = printable(str(error["msg"]))
        code = str(error["type"])
        fields.append(FieldError(pointer(path), message, code, part))
    count = len(fields)
    return Problem(
        422,
        "validation-failed",
        "The request has invalid fields",
        detail=f"{count} field{'s' if count != 1 else ''} must be corrected; see errors.",
        errors=fields,
    )
