"""Bytes on disk: what an order leaves in the databases."""

import asyncio
from collections.abc import Sequence

import psycopg

from benchmarks.testbed import Bed


async def database_bytes(bed: Bed, services: Sequence[str]) -> dict[str, int]:
    """The size of each service's database after VACUUM and CHECKPOINT: live rows, indexes and what vacuum cannot give back,
    without waiting for it to happen by itself."""
    return {s: await asyncio.to_thread(_settled_size, bed, s) for s in services}


def _settled_size(bed: Bed, service: str) -> int:
    dsn = f"{bed.stack.postgres}/oms_{service}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("vacuum")
        connection.execute("checkpoint")
        row = connection.execute("select pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


def per_order(before: dict[str, int], after: dict[str, int], orders: int) -> dict[str, float]:
    """Growth by service, in bytes an order."""
    return {name: round((after[name] - before[name]) / orders, 1) for name in after}
