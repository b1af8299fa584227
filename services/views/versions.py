"""Versions of the read models: which one is read, which one is being built, and the switch between
them."""

from datetime import datetime
from typing import NamedTuple

import structlog

from services.views.domain.document import SHAPE
from services.views.store import SQL, schema
from shared.ledger.postgres import PostgresStore

log = structlog.get_logger()


class Version(NamedTuple):
    """One version of the read models: ``building``, ``live`` or ``retired``."""

    version: int
    shape: int
    state: str
    started_at: datetime
    live_at: datetime | None


class CannotBuild(Exception):
    """A version that was asked for is not the next one, or another is being built."""


async def versions(database: PostgresStore) -> list[Version]:
    """All versions whose tables exist, oldest first."""
    async with database.connection() as c:
        cursor = await c.execute(
            "select version, shape, state, started_at, live_at from projections order by version"
        )
        return [Version(*row) for row in await cursor.fetchall()]


async def current(database: PostgresStore) -> Version:
    """The version that is read: the live one, or the first while it is built. Raises LookupError
    when there is none."""
    readable = [v for v in await versions(database) if v.state != "retired" and v.shape == SHAPE]
    if not readable:
        raise LookupError("no version of the views exists yet: the views service makes it at start")
    return min(readable, key=lambda v: (v.state != "live", v.version))


async def ensure(database: PostgresStore) -> list[Version]:
    """The versions to feed: the live one, if this code can read it, and one that is being built.
    Makes what is missing."""
    known = await versions(database)
    if not any(v.shape == SHAPE and v.state != "retired" for v in known):
        for stale in known:
            if stale.state == "building":
                await drop(database, stale.version)
        try:
            await create(database, max((v.version for v in known), default=0) + 1)
        except CannotBuild as other:
            log.info("view_version_made_by_another_process", reason=str(other))
        known = await versions(database)
    return [v for v in known if v.state != "retired" and v.shape == SHAPE]


async def create(database: PostgresStore, version: int) -> None:
    """Make a version's empty tables. The first version is live at once, for there is nothing else
    to read. The tables of versions that were retired before go now: only the last one is kept to go
    back to.

    Raises `CannotBuild` unless it is the next version and none is being built.
    """
    async with database.connection() as c:
        await c.execute("begin")
        await c.execute("lock table projections in exclusive mode")
        cursor = await c.execute("select version, state from projections order by version")
        known = await cursor.fetchall()
        newest = known[-1][0] if known else 0
        if version != newest + 1:
            raise CannotBuild(f"version {version} was asked for, the next is {newest + 1}")
        if building := [v for v, state in known if state == "building"]:
            raise CannotBuild(f"version {building[0]} is being built: wait until it is live")
        for old in [v for v, state in known if state == "retired"]:
            await c.execute(f"drop schema if exists {schema(old)} cascade")
        await c.execute(f"create schema {schema(version)}")
        await c.execute(f"set local search_path to {schema(version)}, public")
        await c.execute(SQL["version"])
        await c.execute(
            """insert into projections (version, shape, state, live_at)
               values (%(v)s, %(shape)s, case when %(first)s then 'live' else 'building' end,
                       case when %(first)s then now() end)""",
            {"v": version, "shape": SHAPE, "first": not known},
        )
        await c.execute("commit")


async def promote(database: PostgresStore, version: int) -> None:
    """Let a version that has caught up be the one that is read. The one before is kept, no longer
    fed."""
    async with database.connection() as c:
        await c.execute("begin")
        await c.execute("lock table projections in exclusive mode")
        await c.execute("update projections set state = 'retired' where state = 'live'")
        await c.execute(
            "update projections set state = 'live', live_at = now() where version = %s", (version,)
        )
        await c.execute("commit")


async def drop(database: PostgresStore, version: int) -> None:
    """Remove a version that is not read: its tables and its entry."""
    async with database.connection() as c:
        await c.execute("begin")
        gone = await c.execute(
            "delete from projections where version = %s and state <> 'live'", (version,)
        )
        if gone.rowcount:
            await c.execute(f"drop schema if exists {schema(version)} cascade")
        await c.execute("commit")
