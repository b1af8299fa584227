"""The envelope: CloudEvents 1.0 in Kafka binary mode (attributes as ``ce_`` headers, payload untouched).

Besides the standard attributes every record carries ``sequence`` (its position in the producer's feed) and ``previous``
(the position of the record before it on the same topic and partition): the chain by which a consumer tells a duplicate
from the next record and from a gap.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

Headers = list[tuple[str, bytes]]

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


def read_headers(headers: Iterable[tuple[str, bytes]]) -> Envelope:
    """The envelope in a record's headers. Raises `BadEnvelope` naming the header that is missing or unreadable."""
    h = dict(headers)
    try:
        sequence = h.get("ce_sequence")
        return Envelope(
            id=h["ce_id"].decode(),
            type=h["ce_type"].decode(),
            source=h.get("ce_source", b"").decode(),
            subject=h.get("ce_subject", b"").decode(),
            time=_time(h.get("ce_time")),
            correlation_id=h.get("ce_correlationid", b"").decode(),
            causation_id=h.get("ce_causationid", b"").decode(),
            actor=h.get("ce_actor", b"").decode(),
            traceparent=h.get("traceparent", b"").decode(),
            sequence=None if sequence is None else _position(sequence),
            previous=int(h["ce_previous"]) if sequence is not None else None,
        )
    except KeyError as missing:
        raise BadEnvelope(f"header {missing.args[0]} is missing") from missing
    except (UnicodeDecodeError, ValueError) as error:
        raise BadEnvelope(f"a header is unreadable: {error}") from error


@lru_cache(maxsize=64)  # a batch shares its time
def rfc3339(time: datetime) -> str:
    """A UTC time as RFC 3339 text with ``Z``."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _position(raw: bytes) -> int:
    position = int(raw)
    if not 0 < position < 2**63:
        raise ValueError(f"{position} is no position")
    return position


def _time(raw: bytes | None) -> datetime | None:
    return None if raw is None else datetime.fromisoformat(raw.decode())
