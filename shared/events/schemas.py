"""JSON Schemas of the published language, one file a type: ``python -m shared.events.schemas [--check]``."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from shared.events.codec import PUBLISHED
from shared.events.message import Event, Message

FOLDER = Path(__file__).parent / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(message: type[Message]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a type's payload."""
    (schema,), components = msgspec.json.schema_components([message], ref_template="#/$defs/{name}")
    own = components.pop(message.__name__)
    assert schema == {"$ref": f"#/$defs/{message.__name__}"}
    own["properties"]["type"] = {"const": message.tag()}
    document = {"$schema": DIALECT, "$id": f"urn:{message.tag().replace('.', ':')}", **own}
    document["x-topic"] = message.route()
    document["x-kind"] = "event" if issubclass(message, Event) else "command"
    return document | ({"$defs": components} if components else {})


def files() -> dict[Path, bytes]:
    """What every schema file should hold."""
    return {
        FOLDER / f"{t.tag()}.json": msgspec.json.format(
            msgspec.json.encode(schema_of(t), order="deterministic"), indent=2
        )
        + b"\n"
        for t in PUBLISHED
        if t.route() is not None
    }


def drift() -> list[str]:
    """Names of files that are missing, differ from the types, or belong to no type."""
    wanted = files()
    found = {p: p.read_bytes() for p in FOLDER.glob("*.json")}
    return sorted(p.name for p in wanted.keys() | found.keys() if wanted.get(p) != found.get(p))


def main() -> int:
    """Write the files, or with ``--check`` say which differ; exit status 1 on drift."""
    if "--check" in sys.argv[1:]:
        changed = drift()
        sys.stdout.writelines(f"schema differs from its type: {name}\n" for name in changed)
        if changed:
            sys.stdout.write("run: python -m shared.events.schemas, and look at what changed\n")
        return 1 if changed else 0
    FOLDER.mkdir(exist_ok=True)
    for stale in set(FOLDER.glob("*.json")) - files().keys():
        stale.unlink()
    for path, content in files().items():
        path.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
