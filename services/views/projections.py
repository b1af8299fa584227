"""The versions of the views over HTTP: how far each has read, and how a new one is asked for."""

from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Path, Response

from services.views import versions
from services.views.feed import Feeder
from shared.ledger.postgres import PostgresStore
from shared.service import Principal, Problem, Role, require, router
from shared.service.answers import answer, encoded

Watcher = Annotated[Principal, Depends(require(Role.OPS, Role.AUDITOR, Role.AGENT))]
Operator = Annotated[Principal, Depends(require(Role.OPS))]


class PartitionView(msgspec.Struct, frozen=True):
    """How far one partition was read: the broker's offset, the producer's feed position, and what
    is left."""

    topic: str
    partition: int
    next_offset: int
    position: int
    end_offset: int | None
    lag: int | None


class ProjectionView(msgspec.Struct, frozen=True):
    """One version of the views. ``state`` is live, behind, rebuilding or retired."""

    version: int
    state: str
    started_at: datetime
    live_at: datetime | None
    lag: int | None
    parked_keys: int
    partitions: list[PartitionView]


class Projections(msgspec.Struct, frozen=True):
    """All versions of the views, the newest last."""

    items: list[ProjectionView]


class Wanted(msgspec.Struct, frozen=True):
    """A version that somebody asked for, and its state: building, live or retired."""

    version: int
    state: str


def routes(database: PostgresStore, feeder: Feeder) -> APIRouter:
    """For operators."""
    r = router(tags=["views"])

    @r.get(
        "/projections",
        response_class=Response,
        responses=answer(Projections, "Versions, the newest last"),
    )
    async def projections(who: Watcher) -> Response:
        """How far each version of the views has read."""
        known = await versions.versions(database)
        return encoded(Projections([await _projection(v, feeder) for v in known]))

    @r.put(
        "/projections/{version}",
        status_code=202,
        response_class=Response,
        responses=answer(Wanted, "It is there already")
        | {
            202: answer(Wanted, "It is being built")[200],
            409: {"description": "Another version must be built or dropped first"},
        },
    )
    async def build(version: Annotated[int, Path(ge=1, lt=2**31)], who: Operator) -> Response:
        """Have this version: the next one is built from the topics beside the live one, and takes
        its place when it has caught up. Asking for one that exists changes nothing."""
        known = {v.version: v.state for v in await versions.versions(database)}
        if version in known:
            return encoded(Wanted(version, known[version]))
        try:
            await versions.create(database, version)
        except versions.CannotBuild as refused:
            raise Problem(409, "cannot-build", "Not now", detail=str(refused)) from None
        return encoded(Wanted(version, "building"), status=202)

    return r


async def _projection(version: versions.Version, feeder: Feeder) -> ProjectionView:
    feeding = feeder.fed.get(version.version)
    if feeding is None:
        return ProjectionView(
            version.version, version.state, version.started_at, version.live_at, None, 0, []
        )
    positions = await feeding.positions()
    lags = [p.lag for p in positions]
    lag = None if None in lags else sum(n or 0 for n in lags)
    state = "rebuilding" if version.state == "building" else "live"
    if state == "live" and lag:
        state = "behind"
    return ProjectionView(
        version.version,
        state,
        version.started_at,
        version.live_at,
        lag,
        len(await feeding.store.parked_summary(1000)),
        [
            PartitionView(p.topic, p.partition, p.mark.next_offset, p.mark.sequence, p.end, p.lag)
            for p in positions
        ],
    )
