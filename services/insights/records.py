"""Records from Kafka to what the domain reads; those that it has no use for are not decoded."""

from collections.abc import Iterable
from datetime import UTC, datetime

from services.insights.domain.adding import ADDING
from services.insights.domain.batch import Read
from shared.events import BadEnvelope, BadPayload, UnknownType, decode

_WANTED = {t.tag().encode(): t.tag() for t in ADDING}
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

#: What makes a record unreadable.
Unreadable = (BadEnvelope, BadPayload, UnknownType)


def read(offset: int, headers: Iterable[tuple[str, bytes]], value: bytes | None) -> Read:
    """The record as far as it matters here. Raises one of `Unreadable`, saying why.

    A record without a feed position is from nobody who may write to these topics, and could not be told from its
    repetition.
    """
    h = {name: value or b"" for name, value in headers}  # Kafka knows null
    try:
        sequence = int(h["ce_sequence"])
        previous = int(h["ce_previous"])
        tag = h["ce_type"]
    except KeyError as missing:
        raise BadEnvelope(f"header {missing.args[0]} is missing") from missing
    except ValueError as error:
        raise BadEnvelope(f"a feed position is unreadable: {error}") from error
    wanted = _WANTED.get(tag)
    if wanted is None:
        return Read(offset, sequence, previous, _EARLIEST, None)
    return Read(offset, sequence, previous, _recorded(h), decode(wanted, value or b""))


def _recorded(headers: dict[str, bytes]) -> datetime:
    try:
        at = datetime.fromisoformat(headers["ce_time"].decode())
    except (KeyError, ValueError) as error:
        raise BadEnvelope(f"ce_time is missing or no time: {error}") from error
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
