"""The envelope: CloudEvents 1.0 in Kafka binary mode (attributes as ``ce_`` headers, payload untouched).

Besides the standard attributes every record carries ``sequence`` (its position in the producer's feed) and ``previous``
(the position of the record before it on the same topic and partition): the chain by which a consumer tells a duplicate
from the next record and from a gap.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

Headers = list[tuple[str, bytes]]

#: Attributes of ours; others are extensions, which are passed over once their names are lawful.
_OURS = frozenset(
    ("ce_specversion", "content-type", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "ce_correlationid",
     "ce_causationid", "ce_actor", "traceparent", "ce_sequence", "ce_previous")
)  # fmt: skip
_ATTRIBUTE = re.compile(r"ce_[a-z0-9]+")
#: What must not be empty when it is there (CloudEvents 1.0, section 3.1).
_NOT_EMPTY = ("ce_subject", "ce_dataschema", "content-type")
_MEDIA_TYPE = re.compile(rb"[\w!#$&^.+-]+/[\w!#$&^.+-]+\s*(;.*)?", re.ASCII | re.DOTALL)
#: RFC 3339. What datetime reads beyond it (dates alone, weeks, no seconds, no offset) is no CloudEvents time.
_TIME = re.compile(
    rb"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?\d*([Zz]|[+-]\d\d:\d\d)", re.ASCII
)

_FIXED: Headers = [("ce_specversion", b"1.0"), ("content-type", b"application/json")]


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of a message besides its payload.

    ``sequence`` and ``previous`` are None for messages from outside producers, which are deduplicated by business key.
    """

    id: str
    type: str
    source: str = ""
    subject: str = ""
    time: datetime | None = None
    correlation_id: str = ""
    causation_id: str = ""
    actor: str = ""
    traceparent: str = ""
    sequence: int | None = None
    previous: int | None = None

    @property
    def name(self) -> str:
        """What messages that this one causes call it: its id, with the source before it where that is not one of ours,
        for only together are they unique (CloudEvents 1.0, section 3.1.1)."""
        return self.id if self.source.startswith("/oms/") else f"{self.source}#{self.id}"

    def headers(self) -> Headers:
        """The Kafka headers of this envelope; empty attributes are left out."""
        out = [*_FIXED, ("ce_id", self.id.encode()), ("ce_type", self.type.encode())]
        for name, text in (
            ("ce_source", self.source),
            ("ce_subject", self.subject),
            ("ce_correlationid", self.correlation_id),
            ("ce_causationid", self.causation_id),
            ("ce_actor", self.actor),
            ("traceparent", self.traceparent),
        ):
            if text:
                out.append((name, text.encode()))
        if self.time is not None:
            out.append(("ce_time", rfc3339(self.time).encode()))
        if self.sequence is not None:
            out.append(("ce_sequence", b"%d" % self.sequence))
            out.append(("ce_previous", b"%d" % (self.previous or 0)))
        return out


class BadEnvelope(ValueError):
    """A record's headers are not a CloudEvent."""


def read_headers(headers: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> Envelope:
    """The envelope in a record's headers. Raises `BadEnvelope` naming the header that is missing or unreadable.

    Binary content mode only: a structured event (``content-type: application/cloudevents+json``) is refused.
    """
    h = dict(headers)
    _check(h)
    try:
        sequence = h.get("ce_sequence")
        return Envelope(
            id=h["ce_id"].decode(),
            type=h["ce_type"].decode(),
            source=h["ce_source"].decode(),
            subject=h.get("ce_subject", b"").decode(),
            time=_time(h.get("ce_time")),
            correlation_id=h.get("ce_correlationid", b"").decode(),
            causation_id=h.get("ce_causationid", b"").decode(),
            actor=h.get("ce_actor", b"").decode(),
            traceparent=h.get("traceparent", b"").decode(),
            sequence=None if sequence is None else _position(sequence),
            previous=None if sequence is None else _position(h["ce_previous"], least=0),
        )
    except KeyError as missing:
        raise BadEnvelope(f"header {missing.args[0]} is missing") from missing
    except (UnicodeDecodeError, ValueError) as error:
        raise BadEnvelope(f"a header is unreadable: {error}") from error


@lru_cache(maxsize=64)  # a batch shares its time
def rfc3339(time: datetime) -> str:
    """A UTC time as RFC 3339 text with ``Z``."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _check(h: dict[str, bytes]) -> None:
    if h.get("content-type", b"").startswith(b"application/cloudevents"):
        raise BadEnvelope(
            "structured content mode is not read here: send attributes as ce_ headers"
        )
    if h.get("ce_specversion") != b"1.0":
        raise BadEnvelope("header ce_specversion is missing or not 1.0")
    for name in ("ce_id", "ce_type", "ce_source"):
        if not h.get(name):
            raise BadEnvelope(f"header {name} is {'empty' if name in h else 'missing'}")
    for name in _NOT_EMPTY:
        if h.get(name) == b"":
            raise BadEnvelope(f"header {name} is empty")
    kind = h.get("content-type", b"application/json")
    if kind != b"application/json" and not _MEDIA_TYPE.fullmatch(kind):
        raise BadEnvelope("header content-type is no media type")
    if not _OURS.issuperset(h):
        for name in h:
            if name.startswith("ce_") and not _ATTRIBUTE.fullmatch(name):
                raise BadEnvelope(
                    f"header {name[:60]!a} is no attribute: lower-case letters and digits"
                )


def _position(raw: bytes, *, least: int = 1) -> int:
    # isdigit: int() would also take blanks and underscores.
    if not raw.isdigit() or len(raw) > 19 or not least <= int(raw) < 2**63:
        raise ValueError(f"{raw[:30]!r} is no position")
    return int(raw)


@lru_cache(maxsize=64)  # as above
def _time(raw: bytes | None) -> datetime | None:
    if raw is None:
        return None
    found = _TIME.fullmatch(raw)
    if found is None:
        raise ValueError(f"{raw[:40]!r} is no RFC 3339 time")
    return datetime.fromisoformat(raw.decode().upper())
