"""Golden bytes: one recorded payload of every version of every type that was ever shipped.

``python -m tests.contract.events.golden`` records types that have none yet. A file that exists is never written again:
it is what may lie in a topic or a log, and must stay readable for ever.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from shared.events import PUBLISHED, Message, encode

FOLDER = Path(__file__).parent / "golden"


def sample(t: inspect.Type, name: str = "") -> Any:
    """A value of a type, the same every time, with every optional field filled in."""
    match t:
        case inspect.StrType():
            return f"{name}-1"
        case inspect.IntType():
            return 7
        case inspect.BoolType():
            return True
        case inspect.RawType():
            return msgspec.Raw(b'{"a":1}')
        case inspect.DateTimeType():
            return datetime(2026, 1, 5, 12, 30, 0, 250_000, tzinfo=UTC)
        case inspect.LiteralType():
            return t.values[0]
        case inspect.UnionType():
            return sample(next(x for x in t.types if not isinstance(x, inspect.NoneType)), name)
        case inspect.VarTupleType():
            return (sample(t.item_type, name),)
        case inspect.StructType():
            return t.cls(**{f.name: sample(f.type, f.name) for f in t.fields})
        case _:
            raise TypeError(f"no sample for {t}")


def sample_of(message: type[Message]) -> Message:
    """A message of a type with every field set."""
    value = sample(inspect.type_info(message))
    assert isinstance(value, message)
    return value


def path_of(tag: str) -> Path:
    """Where the golden bytes of a type lie."""
    return FOLDER / f"{tag}.json"


def record_missing() -> list[str]:
    """Write golden bytes for types that have none; returns their tags."""
    FOLDER.mkdir(exist_ok=True)
    new = [t for t in PUBLISHED if not path_of(t.tag()).exists()]
    for t in new:
        path_of(t.tag()).write_bytes(encode(sample_of(t)))
    return [t.tag() for t in new]


def untyped(data: bytes) -> Any:
    """Payload bytes as plain JSON values."""
    return msgspec.json.decode(data)


if __name__ == "__main__":
    record_missing()
