"""ETag and If-Match (RFC 9110, section 13): edits that cannot overwrite somebody else's."""

import re

from shared.service.problems import FieldError, Problem

_ETAG = re.compile(r'^"(0|[1-9]\d{0,17})"\Z')


def etag(version: int) -> str:
    """The strong entity tag of a stream at `version`."""
    return f'"{version}"'


def expected_version(if_match: str | None, *, required: bool = True) -> int | None:
    """The version that If-Match names, None for `*` (any) or when absent and not required.

    Raises Problem 428 when it is required and absent, 400 when it isn't one of our tags.
    """
    if if_match is None:
        if required:
            raise Problem(
                428,
                "if-match-needed",
                "If-Match needed",
                detail="Read the resource and send its ETag as If-Match.",
            )
        return None
    if if_match.strip() == "*":
        return None
    match = _ETAG.match(if_match.strip())
    if match is None:
        raise Problem(
            400,
            "if-match",
            "If-Match is not an ETag of this resource",
            detail='Send the ETag as it was received, such as "7" with its quotes.',
            errors=[FieldError("/If-Match", "Not an ETag of this resource", "etag", "header")],
        )
    return int(match.group(1))


def check_version(expected: int | None, actual: int) -> None:
    """Raises Problem 412 when the resource has moved on since `expected`."""
    if expected is not None and expected != actual:
        raise Problem(
            412,
            "changed-since",
            "The resource has changed",
            detail=f"It is at version {actual}, not {expected}: read it again and decide anew.",
            headers={"ETag": etag(actual)},
        )
