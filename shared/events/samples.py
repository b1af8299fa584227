"""A message of any type, the same every time: what golden bytes, documents and tests start from."""

import re
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import inspect

from shared.events.catalogue import sender
from shared.events.envelope import Envelope
from shared.events.message import Message

NOON = datetime(2026, 1, 5, 12, 30, 0, 250_000, tzinfo=UTC)


def sample_of(message: type[Message]) -> Message:
    """A message of a type with every field set; a text field holds its own name with ``-1``."""
    value = _sample(inspect.type_info(message))
    assert isinstance(value, message)
    return value


def envelope_of(message: Message) -> Envelope:
    """An envelope with every attribute set, as the message's sender gives it; only services count their records."""
    service = sender(type(message))
    return Envelope(
        id=f"{message.subject}/3",
        type=message.tag(),
        source=f"/oms/{service}" if service else "/outside",
        subject=message.subject,
        time=NOON,
        correlation_id="correlation-1",
        causation_id="causation-1",
        actor="actor-1",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        sequence=42 if service else None,
        previous=40 if service else None,
    )


def key_template(message: type[Message]) -> str:
    """How the Kafka key follows from the fields, such as ``{order_id}``."""
    return re.sub(r"([a-z_]+)-1", r"{\1}", sample_of(message).key)


def _sample(t: inspect.Type, name: str = "") -> Any:
    match t:
        case inspect.StrType():
            return f"{name}-1"
        case inspect.IntType():
            return 7
        case inspect.FloatType():
            return 0.5
        case inspect.BoolType():
            return True
        case inspect.RawType():
            return msgspec.Raw(b'{"a":1}')
        case inspect.Metadata():
            return _sample(t.type, name)
        case inspect.DateTimeType():
            return NOON
        case inspect.LiteralType():
            return t.values[0]
        case inspect.UnionType():
            return _sample(next(x for x in t.types if not isinstance(x, inspect.NoneType)), name)
        case inspect.VarTupleType():
            return (_sample(t.item_type, name),)
        case inspect.DictType():
            return {f"{name}-1": _sample(t.value_type, name)}
        case inspect.StructType():
            return t.cls(**{f.name: _sample(f.type, f.name) for f in t.fields})
        case _:
            raise TypeError(f"no sample for {t}: teach shared/events/samples.py this kind of field")
