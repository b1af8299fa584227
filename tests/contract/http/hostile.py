"""From a JSON schema: a body that is valid, and every way to break one of its values.

Bodies are JSON texts, not Python values: NaN, 1e309, a lone surrogate and a duplicate name have no Python value that
would be written that way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

Schema = dict[str, Any]

#: One of these suits every pattern that is used for text.
SAMPLES = (
    "web",
    "A1",
    "GBP",
    "GB",
    "2026-01-01T00:00:00Z",
    "https://example.org/hook",
    "a@b.example",
    "import.web",
    "1",
)
LONG = json.dumps("x" * 100_000)
DEEP = "[" * 300 + "]" * 300
TEXTS = (
    '"\\u0000"',
    '"a\\u0000b"',
    '"\\ud800"',
    '"\\udc00x"',
    "NaN",
    "0",
    "0.1",
    "true",
    "[]",
    "{}",
    DEEP,
)
NUMBERS = (
    "NaN", "Infinity", "-Infinity", "1e309", "-1e309", "0.1", "2.0", "1e2", str(2**63), str(2**64), str(-(2**63)),
    "9" * 400, "true", '"2"', '"\\u0000"', "[]", "{}", DEEP,
)  # fmt: skip


class Broken(NamedTuple):
    """A body with one wrong value, and the JSON pointer of that value."""

    name: str
    body: bytes
    pointer: str


def valid(schema: Schema, components: Schema) -> Any:
    """A value that the schema takes: required and optional fields, one element of each array."""
    schema = resolved(schema, components)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    match schema["type"]:
        case "object":
            return {k: valid(v, components) for k, v in schema.get("properties", {}).items()}
        case "array":
            return [valid(schema["items"], components)]
        case "boolean":
            return True
        case "integer" | "number":
            return max(schema.get("minimum", 1), 1)
        case "string":
            return _text(schema)
    raise AssertionError(f"no value is known for {schema}")


def resolved(schema: Schema, components: Schema) -> Schema:
    """The schema without references; of alternatives the one that is not null or empty."""
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    for way in schema.get("anyOf", ()):
        if way.get("type") != "null" and way.get("const") != "":
            return resolved(way, components)
    return schema


def nullable(schema: Schema) -> bool:
    """Whether null is a value of it."""
    return any(way.get("type") == "null" for way in schema.get("anyOf", ()))


def _text(schema: Schema) -> str:
    low, high = schema.get("minLength", 0), schema.get("maxLength", 10**6)
    wanted = [r"^\d{4}-"] if schema.get("format") == "date-time" else []
    wanted += [schema["pattern"]] if "pattern" in schema else []
    for sample in SAMPLES:
        if low <= len(sample) <= high and all(re.search(p, sample) for p in wanted):
            return sample
    raise AssertionError(f"no sample suits {schema}")


def broken(schema: Schema, components: Schema) -> Iterator[Broken]:
    """Every value of the valid body in turn replaced by everything that it must not be."""
    body = valid(schema, components)
    for path, place in places(schema, components, ()):
        pointer = "".join(f"/{part}" for part in path)
        for value in _wrong(place, components):
            yield Broken(f"{pointer}={value[:30]}", placed(body, path, value), pointer)
        if not nullable(place):
            yield Broken(f"{pointer}=null", placed(body, path, "null"), pointer)
        if resolved(place, components).get("type") == "object":
            unknown = (*path, "status")
            yield Broken(f"{pointer}/status", placed(body, unknown, '"paid"'), f"{pointer}/status")
    for name in resolved(schema, components).get("required", ()):
        rest = {k: v for k, v in body.items() if k != name}
        yield Broken(f"no {name}", json.dumps(rest).encode(), f"/{name}")


def places(
    schema: Schema, components: Schema, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], Schema]]:
    if path:
        yield path, schema
    inner = resolved(schema, components)
    for name, value in inner.get("properties", {}).items():
        yield from places(value, components, (*path, name))
    if inner.get("type") == "array":
        yield from places(inner["items"], components, (*path, 0))


def _wrong(schema: Schema, components: Schema) -> Iterator[str]:
    inner = resolved(schema, components)
    match inner.get("type", "string"):
        case "string":
            yield from TEXTS
            if "maxLength" in inner:
                yield LONG
            if inner.get("minLength"):
                yield '""'
        case "integer" | "number":
            yield from NUMBERS
            if inner.get("minimum", -1) >= 0:
                yield "-1"
            if inner.get("minimum", 0) >= 1:
                yield from ("0", "-0")
            if "maximum" in inner:
                yield str(inner["maximum"] + 1)
        case "array":
            yield from ("{}", '"x"', "1", "[null]", "[[]]", DEEP)
            if "maxItems" in inner:
                element = json.dumps(valid(inner["items"], components))
                yield "[" + ",".join([element] * (inner["maxItems"] + 1)) + "]"
        case "object":
            yield from ("[]", '"x"', "1", "true", DEEP)


def placed(body: Any, path: tuple[str | int, ...], value: str) -> bytes:
    """The body as JSON, with a raw JSON text at a place."""
    marker = "\ue000"
    copy = json.loads(json.dumps(body))
    at = copy
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = marker
    text = json.dumps(copy, ensure_ascii=False).replace(f'"{marker}"', value)
    return text.encode("utf-8", "surrogatepass")


#: Bodies that are no JSON object whatever the schema: name, bytes, the statuses that may answer.
WHOLE: list[tuple[str, bytes]] = [
    ("empty", b""),
    ("null", b"null"),
    ("array", b"[]"),
    ("text", b'"x"'),
    ("number", b"1"),
    ("NaN", b"NaN"),
    ("not json", b"hello"),
    ("cut off", b'{"a":'),
    ("trailing", b"{} {}"),
    ("nul", b"\x00"),
    ("byte order mark", b"\xef\xbb\xbf{}"),
    ("utf-16", '{"a":1}'.encode("utf-16")),
    ("bad utf-8", b'{"a":"\xff\xfe"}'),
    ("raw surrogate", b'{"a":"\xed\xa0\x80"}'),
    ("surrogate name", rb'{"\ud800":1}'),
    ("nul name", rb'{"\u0000":1}'),
    ("unknown", b'{"server_owned":1}'),
    ("deep", b'{"a":' * 5000 + b"1" + b"}" * 5000),
    ("many brackets", b"[" * 200_000),
    ("a thousand unknown", json.dumps({f"x{n}": 1 for n in range(1000)}).encode()),
]
