"""The routes that every service has for operators and peers: its feed, its streams, what is parked or owed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query

from shared.events.envelope import rfc3339
from shared.ledger.store import FeedRow, Meta
from shared.service import parked
from shared.service.fields import Input, Text
from shared.service.http import router
from shared.service.problems import Problem
from shared.service.security import Principal, Role, require
from shared.stream.relay import envelope

if TYPE_CHECKING:
    from shared.service.runtime import Runtime

Reader = Annotated[Principal, Depends(require(Role.SERVICE, Role.OPS, Role.AUDITOR))]
Operator = Annotated[Principal, Depends(require(Role.OPS))]
Limit = Annotated[int, Query(ge=1, le=1000)]
At = Annotated[int, Query(ge=0, lt=2**63)]
_STREAM = re.compile(r"^[\x20-\x7e]{1,200}$")


class Retry(Input):
    """Which effect, by its id."""

    id: Text


def feed_item(row: FeedRow, source: str) -> dict[str, Any]:
    """A feed row as JSON: the record as it was, or will be, published."""
    return {
        "position": row.position,
        "topic": row.topic,
        "partition": row.partition,
        "key": row.key,
        "headers": [(name, value.decode()) for name, value in envelope(row, source).headers()],
        "data": row.data.decode(),
    }


def routes(runtime: Runtime) -> APIRouter:
    """The operator's routes of one service."""
    r = router(tags=["operations"])
    source = f"/oms/{runtime.table.service}"
    _feed_routes(r, runtime, source)
    _stream_routes(r, runtime)
    _waiting_routes(r, runtime)
    r.include_router(
        parked.routes(runtime.table, lambda: parked.Parking(runtime.store, runtime.writer))
    )
    return r


def _feed_routes(r: APIRouter, runtime: Runtime, source: str) -> None:
    @r.get("/feed")
    async def feed(
        who: Reader,
        after: At = 0,
        upto: At = 2**62,
        limit: Limit = 500,
        topic: Annotated[str, Query(max_length=249, pattern=r"^[A-Za-z0-9._-]+$")] | None = None,
        partition: Annotated[int, Query(ge=0, lt=2**15)] | None = None,
    ) -> dict[str, Any]:
        """Published messages in order, from ``after`` (exclusive); of one partition when ``topic`` and ``partition``
        are given. What a consumer heals a gap from, and an integrator rewinds by."""
        if topic is not None and partition is not None:
            rows = await runtime.store.feed_of(topic, partition, after, upto, limit)
        else:
            rows = (await runtime.store.feed(after, limit)).rows
        return {"items": [feed_item(row, source) for row in rows]}

    @r.get("/feed/heads")
    async def heads(who: Reader) -> dict[str, Any]:
        """The last position given on each topic and partition, and whether the broker has it already."""
        found = await runtime.store.heads()
        return {
            "items": [
                {"topic": t, "partition": p, "position": head.position, "published": head.published}
                for (t, p), head in found.items()
            ]
        }


def _stream_routes(r: APIRouter, runtime: Runtime) -> None:
    @r.get("/streams/{stream}")
    async def stream(
        stream: str, who: Reader, after: Annotated[int, Query(ge=0, lt=2**31)] = 0
    ) -> dict[str, Any]:
        """A stream's events in order, private ones included."""
        if not _STREAM.match(stream):
            raise Problem(404, "stream-unknown", "No such stream", detail="Not a stream id")
        items = [
            {
                "version": version,
                "type": type,
                "at": rfc3339(at),
                "meta": msgspec.to_builtins(msgspec.json.decode(meta, type=Meta)),
                "data": msgspec.json.decode(data),
            }
            for version, type, at, meta, data in await runtime.store.stream(stream, after)
        ]
        if not items and not after:
            raise Problem(404, "stream-unknown", "No such stream", detail=f"{stream} has no events")
        return {"items": items}


def _waiting_routes(r: APIRouter, runtime: Runtime) -> None:
    @r.get("/effects")
    async def effects(who: Reader, limit: Limit = 100) -> dict[str, Any]:
        """Calls to the outside that are owed: attempts, next attempt, last error, parked or not."""
        return {"items": await runtime.store.effects_open(limit)}

    @r.post("/effects/retry", responses={404: {"description": "No such effect is open"}})
    async def retry(body: Retry, who: Operator) -> dict[str, Any]:
        """Make an effect due now: the outside works again, or what it refused was mended."""
        if not await runtime.store.retry_effect(body.id):
            raise Problem(
                404, "effect-unknown", "No such effect", detail="It may be answered already"
            )
        return {"id": body.id, "due": "now"}

    @r.get("/timers")
    async def timers(who: Reader, limit: Limit = 100) -> dict[str, Any]:
        """Deadlines that are pending, soonest first."""
        return {"items": await runtime.store.timers_open(limit)}
