"""The hostile corpus over HTTP: every operation of every service, every field, parameter and header."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import quote

from shared.service.problems import MEDIA_TYPE
from tests.contract.http.hostile import broken, placed, places, resolved, valid
from tests.fuzz import values
from tests.fuzz.wire import Answer, Headers

#: Values that suit a field by its name, so that what is odd elsewhere in the body is reached.
FITTING: dict[str, Any] = {
    "sku": "FUZZ",
    "location": "EAST",
    "currency": "GBP",
    "channel": "web",
    "payment_method": "tok_ok",
    "line_id": "1",
    "backorder": "refuse",
}
#: Names under which things are kept: each accepted request makes its own.
FRESH = ("external_id", "number", "movement_id", "return_id", "receipt_id", "pick_id", "reference")
#: Every one of these that is accepted has the figures built anew.
COSTLY = "/rebuild"
JSON = (b"content-type", b"application/json")
_numbers = count()


class Case(NamedTuple):
    """One request. ``field``: where given, the request must be refused and this JSON pointer named."""

    label: str
    method: bytes
    target: bytes
    headers: Headers
    body: bytes
    field: str | None = None


class Asked(NamedTuple):
    """An operation, with what a good request for it looks like."""

    method: str
    path: str
    known: dict[str, str]
    key: str
    parameters: list[dict[str, Any]]
    schema: dict[str, Any] | None
    components: dict[str, Any]

    @property
    def label(self) -> str:
        return f"{self.method} {self.path}"

    def headers(self) -> Headers:
        """As a client that knows the API."""
        number = next(_numbers)
        out = [(b"idempotency-key", b"fuzz-%d" % number)]
        if self.key:
            out.append((b"authorization", f"Bearer {self.key}".encode()))
        return [JSON, *out] if self.schema is not None else out

    def target(self, changed: str = "", to: bytes = b"", query: bytes = b"") -> bytes:
        """The address with ids that exist, one of them changed."""
        out = b""
        for part in re.split(r"(\{[^}]+\})", self.path):
            name = part[1:-1]
            if not part.startswith("{"):
                out += part.encode()
            else:
                out += to if name == changed else quote(self.known.get(name, "x1")).encode()
        return out + (b"?" + query if query else b"")

    def body(self) -> Any:
        """A good body; None where the operation takes none."""
        if self.schema is None:
            return None
        return _fitted(valid(self.schema, self.components), self.known)

    def case(self, label: str, *, body: bytes | None = None, **changes: Any) -> Case:
        """A request that is good but for its changes."""
        if body is None:
            body = b"" if self.schema is None else json.dumps(self.body()).encode()
        made = Case(
            f"{self.label}: {label}", self.method.encode(), self.target(), self.headers(), body
        )
        return made._replace(**changes)


def _fitted(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_fitted(x, known) for x in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for name, inner in value.items():
        if isinstance(inner, str) and name in FRESH:
            out[name] = f"f{next(_numbers)}"
        elif isinstance(inner, str):
            out[name] = FITTING.get(name, known.get(name, inner))
        else:
            out[name] = _fitted(inner, known)
    return out


def operations(
    document: dict[str, Any], keys: dict[str, str], known: dict[str, str]
) -> Iterator[Asked]:
    """Every operation of a service's document."""
    components = document["components"]["schemas"]
    for path, by_method in document["paths"].items():
        for method, told in by_method.items():
            roles = told.get("x-roles", [])
            # Another role than a channel's, where there is one: that could be refused for its channel's sake.
            role = min(roles, key=lambda role: role == "channel", default="")
            schema = None
            if "requestBody" in told:
                schema = told["requestBody"]["content"]["application/json"]["schema"]
            yield Asked(
                method.upper(), path, known, keys.get(role, ""), told.get("parameters", []),
                schema, components,
            )  # fmt: skip


def corpus(asked: Asked) -> Iterator[Case]:
    """Everything that is tried on one operation."""
    yield from _headers(asked)
    for parameter in asked.parameters:
        for label, value in values.ADDRESSES.items():
            name = parameter["name"]
            if parameter["in"] == "path":
                yield asked.case(f"{{{name}}} {label}", target=asked.target(name, value))
            elif parameter["in"] == "query":
                query = name.encode() + b"=" + value
                yield asked.case(f"?{name} {label}", target=asked.target(query=query))
    if asked.schema is not None:
        yield from _bodies(asked)


def _headers(asked: Asked) -> Iterator[Case]:
    for n, (label, more) in enumerate(values.HEADERS.items()):
        if asked.path == COSTLY and n % 10:
            continue
        replaced = {name for name, _ in more}
        kept = [h for h in asked.headers() if h[0] not in replaced]
        yield asked.case(f"header {label}", headers=[*kept, *more])


def _bodies(asked: Asked) -> Iterator[Case]:
    schema, components = asked.schema, asked.components
    assert schema is not None
    for label, body in values.BROKEN_JSON.items():
        yield asked.case(f"body {label}", body=body, field="")
    for case in broken(schema, components):
        yield asked.case(case.name, body=case.body, field=case.pointer)
    for path, place in places(schema, components, ()):
        pointer = "".join(f"/{part}" for part in path)
        kind = resolved(place, components).get("type", "string")
        good = asked.body()
        odd: dict[str, bytes] = {}
        if kind == "string":
            odd = values.ODD_JSON
            for label, value in values.BAD_TEXTS.items():
                yield asked.case(f"{pointer} {label}", body=_raw(good, path, value), field="")
        elif kind in ("integer", "number"):
            odd = values.EDGE_NUMBERS
        for label, value in odd.items():
            body = _raw(asked.body(), path, value)
            yield asked.case(f"{pointer} {label}", body=body)
    if isinstance(good := asked.body(), dict) and good:
        name = next(iter(good))
        twice = json.dumps(good)[:-1] + f',"{name}":"other"}}'
        yield asked.case("a name twice", body=twice.encode())


def _raw(body: Any, path: tuple[str | int, ...], value: bytes) -> bytes:
    """The body with bytes at a place, which need not be text."""
    marker = b'"\xef\x80\x80"'
    return placed(body, path, '"\uf000"').replace(marker, value)


def fault(case: Case, answer: Answer) -> str:
    """What is wrong with an answer, or nothing."""
    told = f"{answer.status} {answer.body[:300]!r}"
    if answer.status >= 500:
        return told
    if answer.status < 400:
        return "" if case.field is None else f"accepted: {told}"
    if case.method == b"HEAD":
        return ""
    if answer.kind != MEDIA_TYPE.encode():
        return f"not a problem document: {answer.kind!r} {told}"
    problem = json.loads(answer.body)
    if problem["status"] != answer.status or len(answer.body) > 50_000:
        return f"a wrong problem document: {told}"
    if case.field is None:
        return ""
    named = [error["field"] for error in problem.get("errors", ())]
    if not any(n == case.field or n.startswith(f"{case.field}/") for n in named):
        return f"{case.field or 'the body'} is not named: {told}"
    return ""
