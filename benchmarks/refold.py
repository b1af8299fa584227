"""Refolding every stream from its events, as after a change of a state's shape, and comparing with the snapshots.

One service after the other, in this process alone: events a second on one core, reading from the database, comparing and all.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.testbed import Bed, BenchmarkFailed
from ops.reconcile.tables import table_of
from shared.ledger.postgres import PostgresStore
from shared.ledger.refold import PAGE, Progress, refold


class Service(NamedTuple):
    """One service's refold."""

    events: int
    streams: int
    seconds: float


class Measured(NamedTuple):
    """The refold of all services."""

    services: dict[str, Service]

    @property
    def events_per_s(self) -> float:
        """All events over all the time."""
        found = self.services.values()
        return sum(s.events for s in found) / sum(s.seconds for s in found)

    def details(self) -> dict[str, Any]:
        """What stands beside the figure."""
        found = self.services
        return {
            "events": sum(s.events for s in found.values()),
            "streams": sum(s.streams for s in found.values()),
            "page_rows": PAGE,
            "by_service": {name: round(s.events / s.seconds) for name, s in found.items()},
        }


async def measure(bed: Bed, services: Sequence[str]) -> Measured:
    """Refold each service's log. Raises `BenchmarkFailed` when a state is not, byte for byte, its stream's snapshot."""
    return Measured({service: await _refold(bed, service) for service in services})


async def _refold(bed: Bed, service: str) -> Service:
    store = PostgresStore(bed.dsns[service], connections_max=1)
    await store.open()
    try:
        progress = Progress()
        started = time.perf_counter()
        differences = [d async for d in refold(table_of(service), store, progress=progress)]
        seconds = time.perf_counter() - started
    finally:
        await store.close()
    if differences:
        raise BenchmarkFailed(
            f"{service}: {len(differences)} snapshots are not the fold of their events, the first: "
            f"{differences[0].stream} {differences[0].reason}"
        )
    return Service(progress.events, progress.streams, seconds)
