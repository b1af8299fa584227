"""Rebuilding the order view: the next version of the read models, from the topics, beside the live one."""

import time
from typing import NamedTuple

from benchmarks.journey import views_are_current
from benchmarks.testbed import WRITE_SIDE, Bed, BenchmarkFailed, Services, until
from services.views import versions
from shared.ledger.postgres import PostgresStore

VERSION = 2

_DIFFERENT = """
select count(*) from v1.orders a full join v2.orders b using (id) where a.document is distinct from b.document"""


class Measured(NamedTuple):
    """Events that the new version lists, orders, and seconds from asking for it until it had read everything."""

    events: int
    orders: int
    seconds: float


async def measure(bed: Bed, services: Services, timeout_s: float) -> Measured:
    """Build version 2 while only the views run. Raises `BenchmarkFailed` when an order's document is not, byte for byte,
    that of the live version."""
    database = PostgresStore(bed.dsns["views"], connections_max=1)
    await database.open()
    try:
        started = time.perf_counter()
        await versions.create(database, VERSION)
    finally:
        await database.close()
    await until(
        lambda: views_are_current(bed, WRITE_SIDE, VERSION),
        "the rebuilt views have applied everything",
        timeout_s=timeout_s,
        services=services,
    )
    seconds = time.perf_counter() - started
    if different := await bed.number("views", _DIFFERENT):
        raise BenchmarkFailed(f"{different} documents differ between the live and the rebuilt view")
    events = await bed.number("views", "select count(*) from v2.timeline")
    orders = await bed.number("views", "select count(*) from v2.orders")
    return Measured(events, orders, seconds)
