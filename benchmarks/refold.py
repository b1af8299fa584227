"""Refolding every stream from its events, as after a change of a state's shape, and comparing with the snapshots."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import psycopg

from benchmarks.testbed import Bed, BenchmarkFailed
from ops.reconcile.tables import table_of
from shared.ledger.table import Table

PAGE_ROWS = 1000

_PAGE = """
select stream, version, type, data from messages
where version is not null and (stream, version) > (%s::text, %s::int4)
order by stream, version limit %s"""

_SNAPSHOTS = "select id, state from streams where id = any(%s::text[])"


class Service(NamedTuple):
    """One service's refold."""

    events: int
    streams: int
    seconds: float


class Measured(NamedTuple):
    """The refold of all services, one after the other, on one core."""

    services: dict[str, Service]

    @property
    def events_per_s(self) -> float:
        """All events over all the time that reading and folding them took."""
        return sum(s.events for s in self.services.values()) / sum(
            s.seconds for s in self.services.values()
        )

    def details(self) -> dict[str, Any]:
        """What stands beside the figure."""
        return {
            "events": sum(s.events for s in self.services.values()),
            "streams": sum(s.streams for s in self.services.values()),
            "page_rows": PAGE_ROWS,
            "by_service": {
                n: round(s.events / s.seconds) for n, s in self.services.items() if s.events
            },
        }


async def measure(bed: Bed, services: Sequence[str]) -> Measured:
    """Refold each service's log. Raises `BenchmarkFailed` when a state is not, byte for byte, its stream's snapshot."""
    return Measured(
        {s: await asyncio.to_thread(_refold, s, bed.dsns[s], table_of(s)) for s in services}
    )


def _refold(service: str, dsn: str, table: Table) -> Service:
    with psycopg.connect(dsn, autocommit=True) as connection:
        events = 0
        encoded: dict[str, bytes] = {}
        started = time.perf_counter()
        current, state, category = "", None, None
        decode, category_of = table.codec.decode, table.category
        for page in _pages(connection):
            events += len(page)
            for stream, _, tag, data in page:
                if stream != current:
                    if category is not None:
                        encoded[current] = table.encode_state(state)
                    current, category = stream, category_of(stream)
                    state = category.initial()
                state = category.evolve(state, decode(tag, data))  # type: ignore[union-attr]
        if category is not None:
            encoded[current] = table.encode_state(state)
        seconds = time.perf_counter() - started
        _compare(service, connection, encoded)
    return Service(events, len(encoded), seconds)


def _pages(
    connection: psycopg.Connection[tuple[Any, ...]],
) -> Iterator[list[tuple[str, int, str, bytes]]]:
    after: tuple[str, int] = ("", 0)
    with connection.cursor(binary=True) as cursor:
        while page := cursor.execute(_PAGE, (*after, PAGE_ROWS)).fetchall():
            yield page
            after = page[-1][0], page[-1][1]


def _compare(
    service: str, connection: psycopg.Connection[tuple[Any, ...]], encoded: dict[str, bytes]
) -> None:
    wrong: list[str] = []
    found = 0
    streams = list(encoded)
    for start in range(0, len(streams), PAGE_ROWS):
        page = streams[start : start + PAGE_ROWS]
        with connection.cursor(binary=True) as cursor:
            rows = cursor.execute(_SNAPSHOTS, [page]).fetchall()
        found += len(rows)
        wrong += [stream for stream, state in rows if state != encoded[stream]]
    if wrong or found != len(encoded):
        raise BenchmarkFailed(
            f"{service}: {len(wrong)} snapshots are not the fold of their events (first: {wrong[:1]}), "
            f"{len(encoded) - found} streams have none"
        )
