"""Reading request bodies within limits, and the media type they must have."""

from collections.abc import Mapping

from starlette.types import Message, Receive

from shared.service.problems import Problem

BODY_MAX_BYTES = 1 << 20


def too_large(limit: int) -> Problem:
    """413, and the connection closes: the rest of the body is not wanted."""
    return Problem(
        413,
        "body-too-large",
        "Request body too large",
        detail=f"At most {limit} bytes are accepted; split the request.",
        headers={"Connection": "close"},
    )


def incomplete() -> Problem:
    """400, which nobody may read any more: the client went away."""
    return Problem(400, "body-incomplete", detail="The body ended before its length.")


def check_json_type(headers: Mapping[bytes, bytes]) -> None:
    """Raises Problem 415 unless the body is declared as JSON (application/json or +json)."""
    declared = headers.get(b"content-type", b"")
    if declared == b"application/json":
        return
    media = declared.split(b";", 1)[0].strip().lower()
    if media == b"application/json" or (
        media.startswith(b"application/") and media.endswith(b"+json")
    ):
        return
    raise Problem(
        415,
        "unsupported-media-type",
        "Unsupported media type",
        detail="Send the body as application/json.",
        headers={"Accept": "application/json"},
    )


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole body; raises Problem 413 as soon as it is longer than `limit`, 400 when the
    client goes away before its end."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise too_large(limit)
        return body
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise incomplete()
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()


def bounded(receive: Receive, limit: int) -> Receive:
    """`receive`, which raises Problem 413 once more than `limit` bytes have come."""
    size = 0

    async def inner() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise too_large(limit)
        return message

    return inner
