"""What every consumer expects of every message that it handles: the types from its handlers table, the fields from the
``expects.json`` beside it, and one page that shows both."""

from typing import Any

import msgspec

from ops.contracts.tables import HOME, sender, tables
from shared.events import Message
from shared.events.schemas import schema_of

#: Consumer → type → paths of the fields that it reads, such as ``lines[].sku``.
Expectations = dict[str, dict[str, list[str]]]
#: In place of a path: all fields are passed on as they are.
WHOLE = "*"

PAGE = """\
# Who reads what of whom

Generated from the services' handlers and their `expects.json` by `python -m ops.contracts`; [contracts.md](contracts.md)
says how it is kept true. *outside* stands for channels, warehouse, ERP and people. A field that is listed here has a reader:
removing, renaming or narrowing it takes a new version of its type. `*`: all fields are passed on as they are.

| consumer | producer | type | fields that it reads |
|---|---|---|---|
"""


def handled() -> dict[str, list[type[Message]]]:
    """Consumer → the types that reach it through topics, in order of their names."""
    return {
        name: sorted((t for t in table.handlers if t.route() is not None), key=lambda t: t.tag())
        for name, table in tables().items()
    }


def expectations() -> Expectations:
    """What the consumers have written down; empty for one that has nothing written."""
    return {
        name: msgspec.json.decode(path.read_bytes()) if path.exists() else {}
        for name in handled()
        for path in [HOME / name / "expects.json"]
    }


def page() -> bytes:
    """The table as Markdown."""
    expected = expectations()
    rows = [
        f"| {name} | {sender(t)} | `{t.tag()}` | {', '.join(expected[name].get(t.tag(), [])) or '–'} |\n"
        for name, types in handled().items()
        for t in sorted(types, key=lambda t: (sender(t), t.tag()))
    ]
    return (PAGE + "".join(rows)).encode()


def broken() -> list[str]:
    """Where the expectations and the types do not fit, one line each."""
    found = []
    for name, expected in expectations().items():
        types = {t.tag(): t for t in handled()[name]}
        file = f"services/{name}/expects.json"
        found += [
            f"{file}: {tag} is handled and not listed" for tag in sorted(types.keys() - expected)
        ]
        found += [
            f"{file}: {tag} is listed and not handled" for tag in sorted(expected.keys() - types)
        ]
        found += [
            f"{file}: {name} reads {path} of {tag}, but {sender(types[tag])} does not promise it: {why}"
            for tag in sorted(expected.keys() & types)
            for path in expected[tag]
            if path != WHOLE and (why := lacks(schema_of(types[tag]), path))
        ]
    return found


def lacks(schema: dict[str, Any], path: str) -> str:
    """Why a schema does not promise what is at a path; empty when it does. A field that may be missing is promised with
    its default."""
    here = schema
    for step in path.split("."):
        name, many, _ = step.partition("[]")
        here = _struct(here, schema)
        if name not in here.get("properties", {}):
            return f"there is no field {name!r} in {here.get('title', 'it')}"
        here = here["properties"][name]
        if many:
            here = here.get("items", {})
    return ""


def _struct(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The object that a part of a schema describes; of several shapes the one with fields."""
    for one in part.get("anyOf", [part]):
        found: dict[str, Any] = one
        if "$ref" in one:
            found = schema["$defs"][one["$ref"].rpartition("/")[2]]
        if "properties" in found:
            return found
    return {}
