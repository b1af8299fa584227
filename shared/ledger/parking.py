"""Redrive: a parked key's messages applied again, in order, each once."""

from typing import Any, Protocol

from shared.events import BadEnvelope, BadPayload, UnknownType, read_headers
from shared.ledger.store import ParkedRow, Store
from shared.ledger.table import Table
from shared.ledger.work import Task, unpack_headers
from shared.ledger.writer import Writer

PAGE = 100


class ParkingStore(Store, Protocol):
    """A store that can list what is parked."""

    async def parked_of(self, topic: str, key: bytes, limit: int) -> list[tuple[int, ParkedRow]]:
        """The oldest parked records of a key, with their ids."""
        ...


async def redrive(
    table: Table, store: ParkingStore, writer: Writer, topic: str, key: bytes
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


async def _apply(table: Table, writer: Writer, id: int, row: ParkedRow) -> str:
    try:
        envelope = read_headers(unpack_headers(row.headers))
        message = table.codec.decode(envelope.type, row.value)
    except (BadEnvelope, BadPayload, UnknownType) as error:
        return f"{type(error).__name__}: {error}"
    outcome = await writer.handle(
        Task(
            message=message,
            id=envelope.id,
            correlation_id=envelope.correlation_id,
            actor=envelope.actor,
            traceparent=envelope.traceparent,
            record=row,
            parked_id=id,
        )
    )
    return outcome.parked
