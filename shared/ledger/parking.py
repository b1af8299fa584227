"""Redrive: a parked key's messages applied again, in order, each once."""

import re
from typing import Any, Protocol

from shared.events import BadEnvelope, BadPayload, UnknownType, read_headers
from shared.ledger.store import ParkedRow, Record
from shared.ledger.table import Table
from shared.ledger.work import Outcome, Task, unpack_headers

PAGE = 100


class Handles(Protocol):
    """What a parked record is given to: the writer, or a projector."""

    async def handle(self, task: Task) -> Outcome: ...


class ParkingStore(Protocol):
    """A store that can list what is parked, and give it up."""

    async def parked_of(self, topic: str, key: bytes, limit: int) -> list[tuple[int, ParkedRow]]:
        """The oldest parked records of a key, with their ids."""
        ...

    async def parked_summary(self, limit: int) -> list[dict[str, Any]]:
        """Parked keys: topic, key as text, how many records wait, the first error, since when."""
        ...

    async def discard(self, id: int, actor: str, reason: str) -> bool:
        """Keep a parked record aside for good, with who gave it up and why; whether it was still parked."""
        ...

    async def discarded(self, limit: int) -> list[dict[str, Any]]:
        """The records that were given up, the latest first."""
        ...


def key_text(key: bytes) -> str:
    """A record's key as it is listed: Postgres' escape format, in which other bytes than ASCII are octal."""
    text = key.replace(b"\\", b"\\\\")
    return "".join(chr(b) if 0 < b < 128 else f"\\{b:03o}" for b in text)


def key_bytes(text: str) -> bytes:
    """The key that is listed as ``text``; plain text stands for its UTF-8 bytes."""

    def unescape(match: re.Match[bytes]) -> bytes:
        octal = match[1]
        return octal if octal == b"\\" else bytes([int(octal, 8)])

    return re.sub(rb"\\(\\|[0-3][0-7]{2})", unescape, text.encode())


async def redrive(
    table: Table, store: ParkingStore, writer: Handles, topic: str, key: bytes
) -> dict[str, Any]:
    """Handle a key's parked records in order until none is left or one fails again.

    Returns ``{"applied": n, "error": text or None}``. New records of the key queue behind until the last is done.
    """
    applied = 0
    while rows := await store.parked_of(topic, key, PAGE):
        for id, row in rows:
            error = await _apply(table, writer, id, row)
            if error:
                return {"applied": applied, "error": error}
            applied += 1
    return {"applied": applied, "error": None}


async def _apply(table: Table, writer: Handles, id: int, row: ParkedRow) -> str:
    try:
        headers = unpack_headers(row.headers)
        envelope = read_headers(headers)
        message = table.read(row.topic, envelope.type, row.value)
    except (BadEnvelope, BadPayload, UnknownType) as error:
        return f"{type(error).__name__}: {error}"
    outcome = await writer.handle(
        Task(
            message=message,
            id=envelope.name,
            correlation_id=envelope.correlation_id,
            actor=envelope.actor,
            traceparent=envelope.traceparent,
            causation_id=envelope.causation_id,
            time=envelope.time,
            record=Record(row.topic, row.partition, row.offset, row.key, row.value, headers),
            parked_id=id,
        )
    )
    return outcome.parked
