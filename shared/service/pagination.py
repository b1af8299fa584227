"""Cursor pagination with Link headers (RFC 8288). Cursors are opaque to clients."""

import base64
import binascii
from typing import Annotated
from urllib.parse import quote, urlencode

import msgspec
from fastapi import Query

from shared.service.problems import FieldError, Problem

LIMIT_DEFAULT, LIMIT_MAX = 50, 500
CURSOR_LENGTH_MAX = 500
CursorPart = str | int | None

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Entries a page")]
Cursor = Annotated[
    str | None,
    Query(max_length=CURSOR_LENGTH_MAX, description="From the Link header of the page before"),
]
_decoder = msgspec.json.Decoder(list[CursorPart])


def encode_cursor(*parts: CursorPart) -> str:
    """The sort key of the last entry of a page as URL-safe text."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).rstrip(b"=").decode()


def decode_cursor(cursor: str, *kinds: type) -> list[CursorPart]:
    """The parts given to `encode_cursor`, one of each of `kinds`; raises Problem 422 naming
    /cursor. Cursors are not signed: treat the parts as input, only their types are certain."""
    try:
        if len(cursor) > CURSOR_LENGTH_MAX:
            raise ValueError("too long")
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        parts = _decoder.decode(base64.b64decode(padded, altchars=b"-_", validate=True))
        if len(parts) != len(kinds):
            raise ValueError("another number of parts")
        for part, kind in zip(parts, kinds, strict=True):
            _check_part(part, kind)
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise Problem(
            422,
            "validation-failed",
            "The request has invalid fields",
            detail="Follow the Link header of a page, or start again without a cursor.",
            errors=[FieldError("/cursor", "Not a cursor of this list", "cursor", "query")],
        ) from error
    return parts


def _check_part(part: CursorPart, kind: type) -> None:
    if type(part) is not kind:
        raise ValueError("another type")
    # Both would reach a SQL parameter and fail there: bigint holds 63 bits, text holds no NUL.
    if isinstance(part, int) and not -(2**63) <= part < 2**63:
        raise ValueError("out of range")
    if isinstance(part, str) and "\x00" in part:
        raise ValueError("NUL")


def link_header(
    path: str,
    *,
    next_cursor: str | None = None,
    previous_cursor: str | None = None,
    first: bool = True,
    parameters: dict[str, str | int] | None = None,
) -> str:
    """The Link header's value for relations next, prev and first; `path` is not yet escaped (an id in it may be any
    text, a header may not); `parameters` are the page's
    other query parameters (filters, limit), kept in every link. Empty when there is no link."""
    kept = list((parameters or {}).items())
    links: list[str] = []

    def add(relation: str, extra: list[tuple[str, str | int]]) -> None:
        query = urlencode(kept + extra)
        links.append(f'<{quote(path)}{"?" + query if query else ""}>; rel="{relation}"')

    if next_cursor is not None:
        add("next", [("cursor", next_cursor)])
    if previous_cursor is not None:
        add("prev", [("cursor", previous_cursor)])
    if first:
        add("first", [])
    return ", ".join(links)
