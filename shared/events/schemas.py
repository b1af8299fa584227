"""JSON Schemas of the published language, one file a type: ``python -m shared.events.schemas [--check]``.

The committed files are the baseline of what was shipped. A type may replace its schema only where both stay readable
to each other (`shared.events.compatibility`); the schema before then moves to ``superseded``, and every later one is
compared with all of them. Schemas of types that an upcaster reads stay as they were.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from shared.events.codec import PUBLISHED, UPCASTERS
from shared.events.compatibility import breaks, same
from shared.events.message import Event, Message

FOLDER = Path(__file__).parent / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
NEXT = (
    "Published messages only grow. Keep the old type as it was, or give the change a type of the next version and an "
    "upcaster from the version before: docs/contracts.md says how."
)


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


class Shipped:
    """The schemas of every version that was ever shipped, in a folder, beside the types of today."""

    def __init__(
        self,
        folder: Path = FOLDER,
        types: Iterable[type[Message]] = PUBLISHED,
        upcast: Iterable[str] = UPCASTERS,
    ) -> None:
        self._folder = folder
        self._schemas = {t.tag(): _plain(schema_of(t)) for t in types if t.route() is not None}
        self._upcast = set(upcast)

    def path(self, tag: str) -> Path:
        """Where the newest schema of a type lies."""
        return self._folder / f"{tag}.json"

    def revisions(self, tag: str) -> list[Path]:
        """The schemas that a type had, oldest first; the newest is the last."""
        before = (self._folder / "superseded").glob(f"{tag}.r*.json")
        numbered = sorted(before, key=lambda p: int(p.stem.rpartition(".r")[2]))
        return numbered + ([self.path(tag)] if self.path(tag).exists() else [])

    def broken(self) -> list[str]:
        """What the types of today would break of what was shipped, one line each."""
        shipped = {p.stem for p in self._folder.glob("*.json")}
        gone = shipped - self._schemas.keys() - self._upcast
        return [
            f"{tag}: the type was removed, and no upcaster reads its messages"
            for tag in sorted(gone)
        ] + [
            f"{tag}: {reason} (shipped as {path.name})"
            for tag, schema in sorted(self._schemas.items())
            for path in self.revisions(tag)
            for reason in breaks(_read(path), schema)
        ]

    def drift(self) -> list[str]:
        """Names of files that are missing or differ from their types."""
        return sorted(
            self.path(tag).name
            for tag, schema in self._schemas.items()
            if not self.path(tag).exists() or self.path(tag).read_bytes() != written(schema)
        )

    def write(self) -> None:
        """Bring the files up to the types; call only when nothing is `broken`."""
        (self._folder / "superseded").mkdir(parents=True, exist_ok=True)
        for tag, schema in self._schemas.items():
            path, before = self.path(tag), self.revisions(tag)
            if before and not same(_read(path), schema):
                path.rename(self._folder / "superseded" / f"{tag}.r{len(before)}.json")
            path.write_bytes(written(schema))


def written(document: Mapping[str, Any]) -> bytes:
    """A generated JSON document as its file holds it."""
    return (
        msgspec.json.format(msgspec.json.encode(document, order="deterministic"), indent=2) + b"\n"
    )


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """As it is read back: lists for tuples."""
    return msgspec.json.decode(msgspec.json.encode(document), type=dict[str, Any])


def _read(path: Path) -> dict[str, Any]:
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])


def main() -> int:
    """Write the files, or with ``--check`` say which differ; exit status 1 on drift, and on a change that would break
    a reader: then nothing is written."""
    shipped = Shipped()
    broken = shipped.broken()
    if broken:
        sys.stdout.writelines(f"breaking change: {line}\n" for line in broken)
        sys.stdout.write(f"{NEXT}\n")
        return 1
    if "--check" not in sys.argv[1:]:
        shipped.write()
        return 0
    changed = shipped.drift()
    if changed:
        sys.stdout.writelines(f"schema differs from its type: {name}\n" for name in changed)
        sys.stdout.write("run: python -m shared.events.schemas, and look at what changed\n")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
