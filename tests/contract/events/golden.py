"""Golden bytes: one recorded message of every version of every type that was ever shipped, as it lies in a topic.

``python -m tests.contract.events.golden`` records types that have none yet, and anew those whose bytes changed without
harm (an added field): as ``<type>.r<revision>.record``. A file that exists is never written again: it is what may lie
in a topic or a log, and must stay readable for ever.

A file holds the topic, the key and the headers, a line each, an empty line, and the payload. A message that is never
published has its payload only.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from shared.events import PUBLISHED, Message, decode, encode
from shared.events.samples import envelope_of, sample_of
from shared.events.schemas import NEXT, Shipped

FOLDER = Path(__file__).parent / "golden"


class Record(NamedTuple):
    """A recorded message."""

    topic: str | None
    key: bytes
    headers: list[tuple[str, bytes]]
    payload: bytes


def record_of(message: Message) -> Record:
    """The message as the topic would hold it."""
    topic = message.route()
    if topic is None:
        return Record(None, b"", [], encode(message))
    headers = envelope_of(message).headers()
    return Record(topic, message.key.encode(), headers, encode(message))


def write(record: Record) -> bytes:
    """The content of a golden file."""
    lines = []
    if record.topic is not None:
        lines = [("topic", record.topic.encode()), ("key", record.key), *record.headers]
    return b"".join(b"%s: %s\n" % (n.encode(), v) for n, v in lines) + b"\n" + record.payload


def read(path: Path) -> Record:
    """A golden file's record."""
    head, _, payload = ("\n" + path.read_bytes().decode()).partition("\n\n")
    fields = [tuple(line.split(": ", 1)) for line in head.split("\n") if line]
    if not fields:
        return Record(None, b"", [], payload.encode())
    (_, topic), (_, key), *headers = fields
    return Record(topic, key.encode(), [(n, v.encode()) for n, v in headers], payload.encode())


def json_of(path: Path) -> Any:
    """The payload of a golden file as plain JSON values."""
    return msgspec.json.decode(read(path).payload)


def tag_of(path: Path) -> str:
    """The type whose bytes a file holds."""
    return path.stem.rpartition(".r")[0]


def revisions(tag: str, folder: Path = FOLDER) -> list[Path]:
    """The recordings of a type, oldest first."""
    return sorted(folder.glob(f"{tag}.r*.record"), key=lambda p: int(p.stem.rpartition(".r")[2]))


def loses(golden: Record, tag: str) -> str:
    """What of an old recording is not said any more once it is read and written by today's type; empty if nothing."""
    before, after = (
        msgspec.json.decode(x) for x in (golden.payload, encode(decode(tag, golden.payload)))
    )
    return _missing(before, after, "")


def record_new(folder: Path = FOLDER) -> list[str]:
    """Record types that have no recording, or whose bytes are others now; returns the names of the new files."""
    folder.mkdir(exist_ok=True)
    new = []
    for t in PUBLISHED:
        known = revisions(t.tag(), folder)
        content = write(record_of(sample_of(t)))
        if not known or known[-1].read_bytes() != content:
            path = folder / f"{t.tag()}.r{len(known) + 1}.record"
            path.write_bytes(content)
            new.append(path.name)
    return new


def _missing(before: Any, after: Any, path: str) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            if name not in after:
                return f"{path}.{name} is gone"
            if found := _missing(value, after[name], f"{path}.{name}"):
                return found
        return ""
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = zip(before, after, strict=True)
        return next((x for b, a in pairs if (x := _missing(b, a, f"{path}[]"))), "")
    return "" if before == after else f"{path} was {before!r}, is {after!r}"


def main() -> int:
    """Record what is new, unless today's types break what was shipped."""
    if broken := Shipped().broken():
        sys.stdout.writelines(f"breaking change: {line}\n" for line in broken)
        sys.stdout.write(f"{NEXT}\n")
        return 1
    sys.stdout.writelines(f"recorded {name}\n" for name in record_new())
    return 0


if __name__ == "__main__":
    sys.exit(main())
