"""Strict JSON: what a request body must be before any model sees it.

The fast decoder refuses NaN, 1e309, lone surrogates and bad UTF-8 but cannot say where; only when
it refuses does the slow scanner here walk the text once more to name the field.
"""

import re
from itertools import islice
from typing import Any, NoReturn

import msgspec
from pydantic_core import from_json

from shared.service.problems import FieldError, Problem, pointer

DEPTH_MAX = 200
"""Nesting that is accepted; pydantic's JSON parser has the same fixed limit."""
TOKENS_MAX = 100_000
"""How far a refused body is scanned for the field's name: at most some 0.2 s of the event loop."""
# An unterminated string is one token to the end, and nothing here backtracks: otherwise a body of
# escaped quotes would be scanned again from each of them.
_TOKEN = re.compile(
    r'(?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z))'
    r'|(?P<punct>[\[\]{},:])|(?P<scalar>[^\s\[\]{},:"]++)',
    re.DOTALL,
)
_ESCAPED_SURROGATE = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_BYTE = re.compile(r"\(byte (\d+)\)")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$")


def decode(body: bytes) -> Any:
    """`body` as Python values; raises Problem 400 (not JSON) or 422 (a value nobody can hold)."""
    # A body with few brackets cannot nest deeply, so only larger ones pay for the second parse,
    # whose recursion limit is fixed; msgspec's follows the interpreter's.
    if body.count(b"[") + body.count(b"{") > DEPTH_MAX:
        _check_depth(body)
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        refuse(body, error)


def _check_depth(body: bytes) -> None:
    try:
        from_json(body, cache_strings="none")
    except ValueError as error:
        # Whatever else it dislikes, the strict decoder finds as well, with a better position.
        if "recursion limit" in str(error):
            refuse(body, error)


def refuse(body: bytes, error: Exception) -> NoReturn:
    """Raise the Problem that explains why `body` could not be decoded, naming the field."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as bad:
        field = _field_at(body, bad.start)
        raise _malformed(
            f"The body is not UTF-8: byte {bad.start} cannot be decoded.",
            FieldError(field, "Must be UTF-8 text", "not_utf8"),
        ) from error
    found = _Scan(text).first_fault()
    if found is None:
        # str(error) of the decoder names only positions and expectations, never the content.
        place = _BYTE.search(str(error))
        path = _field_at(body, int(place[1]) if place else len(body))
        found = FieldError(path, f"Not well-formed JSON: {error}", "json_invalid")
    if found.code in ("json_invalid", "not_finite"):
        raise _malformed(found.message, found) from error
    raise Problem(
        422,
        "validation-failed",
        "The request has invalid fields",
        detail="1 field must be corrected; see errors.",
        errors=[found],
    ) from error


def _malformed(detail: str, field: FieldError) -> Problem:
    return Problem(
        400, "malformed-json", "The body is not valid JSON", detail=detail, errors=[field]
    )


def _field_at(body: bytes, position: int) -> str:
    scan = _Scan(body[:position].decode("utf-8", "replace"))
    scan.first_fault()
    return scan.here


class _Scan:
    """One pass over the tokens of a JSON text, tracking the pointer of the current value."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.stack: list[str | int] = []
        self.key_next = False

    @property
    def here(self) -> str:
        """The pointer of the current value; where a name is due, that of its object."""
        return pointer(self.stack[:-1] if self.key_next else self.stack)

    def first_fault(self) -> FieldError | None:
        """The first value that cannot be accepted; `stack` is then where the scan ended."""
        for token in islice(_TOKEN.finditer(self.text), TOKENS_MAX):
            if token["punct"]:
                fault = self._punctuation(token["punct"])
            elif token["string"]:
                fault = self._string(token["string"])
            else:
                fault = self._scalar(token["scalar"])
            if fault:
                return fault
        return None

    def _punctuation(self, mark: str) -> FieldError | None:
        if mark in "[{":
            if len(self.stack) >= DEPTH_MAX:
                shown = pointer(self.stack[:3])
                return FieldError(shown, f"Nested deeper than {DEPTH_MAX} levels", "too_deep")
            self.stack.append("" if mark == "{" else 0)
            self.key_next = mark == "{"
        elif mark in "]}":
            if self.stack:
                self.stack.pop()
            self.key_next = False
        elif mark == "," and self.stack:
            top = self.stack[-1]
            if isinstance(top, int):
                self.stack[-1] = top + 1
            else:
                self.key_next = True
        return None

    def _string(self, quoted: str) -> FieldError | None:
        if self.key_next and self.stack:
            self.stack[-1] = quoted[1:].removesuffix('"')
            self.key_next = False
        for match in _ESCAPED_SURROGATE.finditer(quoted):
            if match["lone"]:
                return FieldError(self.here, "Text has a lone surrogate escape", "lone_surrogate")
        return None

    def _scalar(self, word: str) -> FieldError | None:
        if word.lstrip("+-").lower() in ("nan", "inf", "infinity"):
            return FieldError(self.here, "Must be a finite number; JSON has no NaN", "not_finite")
        if _NUMBER.match(word):
            digits = len(word)
            if digits > 400 or float(word) in (float("inf"), float("-inf")):
                return FieldError(self.here, "The number is too large", "number_out_of_range")
        return None
