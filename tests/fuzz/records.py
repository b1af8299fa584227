"""The hostile corpus on the topics: every type, every field, every header, as any producer could send them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from ops.contracts.tables import tables
from shared.events import BadEnvelope, BadPayload, UnknownType, codec, encode, read_headers, topics
from shared.events.catalogue import FORWARDED, sender
from shared.events.envelope import Headers
from shared.events.message import Command, Message
from shared.events.samples import envelope_of, sample_of
from tests.fuzz import values


class Sent(NamedTuple):
    """One record. ``parked_by``: the services that must put its key aside; None where a reader may also take it."""

    label: str
    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes | None]]
    parked_by: frozenset[str] | None


#: Stands for an id of its own: nobody's is another's, or ours.
ID = b"an id"
#: Stands for Kafka's null.
NULL = b"null"
#: Headers that are no CloudEvents envelope, by what each replaces; None takes the header away.
BAD_HEADERS: dict[str, dict[str, bytes | None]] = {
    "no id": {"ce_id": None},
    "no type": {"ce_type": None},
    "no source": {"ce_source": None},
    "no version": {"ce_specversion": None},
    "empty id": {"ce_id": b""},
    "empty source": {"ce_source": b""},
    "other version": {"ce_specversion": b"0.3"},
    "bytes as id": {"ce_id": b"\xff\xfe"},
    "bytes as source": {"ce_source": b"\xed\xa0\x80"},
    "bytes as actor": {"ce_actor": b"\xc0\x80"},
    "bytes as trace": {"traceparent": b"\xff" * 55},
    "time garbage": {"ce_time": b"lunchtime"},
    "time without offset": {"ce_time": b"2026-01-01T00:00:00"},
    "time 10000": {"ce_time": b"10000-01-01T00:00:00Z"},
    "position garbage": {"ce_sequence": b"abc"},
    "position negative": {"ce_sequence": b"-1", "ce_previous": b"0"},
    "position 0": {"ce_sequence": b"0", "ce_previous": b"0"},
    "position 2^63": {"ce_sequence": str(2**63).encode(), "ce_previous": b"1"},
    "position 5000 digits": {"ce_sequence": b"9" * 5000, "ce_previous": b"1"},
    "position alone": {"ce_sequence": b"5"},
    "position with blanks": {"ce_sequence": b" 5 ", "ce_previous": b"1"},
    "position underscored": {"ce_sequence": b"1_0", "ce_previous": b"1"},
    "previous garbage": {"ce_sequence": b"5", "ce_previous": b"x"},
    "previous negative": {"ce_sequence": b"5", "ce_previous": b"-1"},
    "null version": {"ce_specversion": NULL},
    "null id": {"ce_id": NULL},
    "null type": {"ce_type": NULL},
    "null subject": {"ce_subject": NULL},
    "null time": {"ce_time": NULL},
    "null position": {"ce_sequence": NULL, "ce_previous": NULL},
    "structured": {"content-type": b"application/cloudevents+json"},
}


def corpus() -> Iterator[Sent]:
    """Every record, each under a key of its own."""
    number = 0
    for topic in topics():
        for type in topic.types:
            for label, value, envelope in _variants(type):
                number += 1
                key = f"poison-{number}".encode()
                headers = [(n, key if v == ID else v) for n, v in envelope]
                expected = _expected(
                    topic.name, value, [(n, b"" if v == NULL else v) for n, v in headers]
                )
                if expected is None and (topic.name == FORWARDED or not _open_to_all(type)):
                    continue  # readable, and only its own sender may say it: not hostile but forged
                sent = [(n, None if v == NULL else v) for n, v in headers]
                yield Sent(f"{type.tag()}: {label}", topic.name, key, value, sent, expected)


def _open_to_all(type: type[Message]) -> bool:
    return issubclass(type, Command) and sender(type) is None


def _variants(type: type[Message]) -> Iterator[tuple[str, bytes, Headers]]:
    good = sample_of(type)
    envelope = msgspec.structs.replace(
        envelope_of(good), id=ID.decode(), source="/outside", sequence=None, previous=None
    )
    headers, data = envelope.headers(), encode(good)
    for label, value in values.BROKEN_JSON.items():
        yield f"payload {label}", value, headers
    for label, changes in BAD_HEADERS.items():
        yield f"headers {label}", data, _changed(headers, changes)
    yield "no headers", data, []
    yield "version 9", data, _changed(headers, {"ce_type": type.tag()[:-1].encode() + b"9"})
    yield "other type inside", data.replace(type.tag().encode(), b"oms.x.y.v1"), headers
    for path, value in _leaves(msgspec.json.decode(data), ()):
        for label, raw in _replacements(value).items():
            yield f"{'/'.join(map(str, path))} {label}", _with(data, path, raw), headers


def _leaves(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    else:
        yield path, value
    for name, x in inner:
        if name != "type":
            yield from _leaves(x, (*path, name))


def _replacements(value: Any) -> dict[str, bytes]:
    if isinstance(value, str):
        return values.BAD_TEXTS | values.ODD_JSON
    if isinstance(value, bool) or not isinstance(value, int):
        return {"number": b"7.5", "text": b'"x"', "deep": b"[" * 300 + b"]" * 300}
    return values.BAD_NUMBERS | values.EDGE_NUMBERS


def _with(data: bytes, path: tuple[Any, ...], raw: bytes) -> bytes:
    copy = msgspec.json.decode(data)
    at = copy
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = "\uf000"
    return msgspec.json.encode(copy).replace('"\uf000"'.encode(), raw)


def _changed(headers: Headers, changes: dict[str, bytes | None]) -> Headers:
    kept = [h for h in headers if h[0] not in changes]
    return kept + [(name, value) for name, value in changes.items() if value is not None]


def _expected(topic: str, value: bytes, headers: Headers) -> frozenset[str] | None:
    """Who must park a record; None where it can be read by somebody."""
    readers = {name: t for name, t in tables().items() if topic in t.topics}
    try:
        tag = read_headers(headers).type
    except BadEnvelope:
        return frozenset(readers)
    try:
        codec.decode(tag, value)
        return None
    except (BadPayload, UnknownType):
        names = {t.tag().rpartition(".")[0] for t in _types(readers)}
        if topic.endswith(".events") and tag.rpartition(".")[0] not in names:
            return frozenset()  # nobody wants it
        return frozenset(n for n, t in readers.items() if _wants(t, tag, topic))


def _types(readers: dict[str, Any]) -> list[type[Message]]:
    return [type for table in readers.values() for type in table.handlers]


def _wants(table: Any, tag: str, topic: str) -> bool:
    name = tag.rpartition(".")[0]
    if name in {t.tag().rpartition(".")[0] for t in table.handlers}:
        return True
    [types] = [t.types for t in topics() if t.name == topic]
    elsewhere = name in {t.tag().rpartition(".")[0] for t in types}
    return not topic.endswith(".events") and not elsewhere
