"""The routes for messages that could not be handled: list them, read them, apply them again, give one up."""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from shared.ledger.parking import Handles, ParkingStore, key_bytes, redrive
from shared.ledger.store import ParkedRow
from shared.ledger.table import Table
from shared.ledger.work import unpack_headers
from shared.service.fields import Input, Text
from shared.service.http import router
from shared.service.problems import Problem
from shared.service.security import Principal, Role, require

Reader = Annotated[Principal, Depends(require(Role.SERVICE, Role.OPS, Role.AUDITOR))]
Operator = Annotated[Principal, Depends(require(Role.OPS))]
Limit = Annotated[int, Query(ge=1, le=1000)]
_TOPIC = r"^[A-Za-z0-9._-]+$"


class Parking(NamedTuple):
    """Where records are parked, and what applies them again."""

    store: ParkingStore
    handles: Handles


class Redrive(Input):
    """Which key of which topic to apply again; the key as text, as listed."""

    topic: Annotated[str, Field(strict=True, max_length=249, pattern=_TOPIC)]
    key: Annotated[str, Field(strict=True, pattern=r"^[^\x00]*$")]


class Discard(Input):
    """Which record to give up, by the id that it is listed under, and why."""

    id: Annotated[int, Field(strict=True, ge=1, lt=2**63)]
    reason: Text


def routes(table: Table, parking: Callable[[], Parking]) -> APIRouter:
    """The routes; ``parking`` is asked at each request and may raise a `Problem`."""
    r = router(prefix="/parked", tags=["operations"])

    @r.get("")
    async def parked(who: Reader, limit: Limit = 100) -> dict[str, Any]:
        """Keys whose messages could not be handled, with the first error and how many wait."""
        return {"items": await parking().store.parked_summary(limit)}

    @r.get("/records")
    async def records(
        who: Reader,
        topic: Annotated[str, Query(max_length=249, pattern=_TOPIC)],
        key: Annotated[str, Query(max_length=10_000)],
        limit: Limit = 100,
    ) -> dict[str, Any]:
        """A key's parked messages in their order: the first is why the others wait."""
        found = await parking().store.parked_of(topic, key_bytes(key), limit)
        return {"items": [_record(id, row) for id, row in found]}

    @r.post("/redrive")
    async def drive(body: Redrive, who: Operator) -> dict[str, Any]:
        """Apply a key's parked messages again, in order, once; stops at the first that fails."""
        store, handles = parking()
        return await redrive(table, store, handles, body.topic, key_bytes(body.key))

    @r.post("/discard", responses={404: {"description": "No such message is parked"}})
    async def discard(body: Discard, who: Operator) -> dict[str, Any]:
        """Give one parked message up: it will never be handled. It is kept with who discarded it and why; those
        behind it are applied by the next redrive."""
        if not await parking().store.discard(body.id, who.subject, body.reason):
            raise Problem(
                404,
                "parked-unknown",
                "No such parked message",
                detail=f"No message {body.id} is parked: it was applied or discarded. GET /parked lists the keys.",
            )
        return {"id": body.id, "actor": who.subject, "reason": body.reason}

    @r.get("/discarded")
    async def discarded(who: Reader, limit: Limit = 100) -> dict[str, Any]:
        """Messages that were given up, the latest first: which, when, by whom and why."""
        return {"items": await parking().store.discarded(limit)}

    return r


def _record(id: int, row: ParkedRow) -> dict[str, Any]:
    return {
        "id": id,
        "partition": row.partition,
        "offset": row.offset,
        "error": row.error,
        "headers": [[name, _text(value)] for name, value in unpack_headers(row.headers)],
        "value": _text(row.value),
    }


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
