"""Looks at every commit at the moment it is applied: what must hold then, what somebody waits for, and the digest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from shared.events import Message
from shared.events.inventory import ReservationCommitted, StockReserved

if TYPE_CHECKING:
    from tests.simulation.process import Service
    from tests.simulation.world import World


class Watch:
    """See the module."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._marks: dict[tuple[str, Any], int] = {}
        self._positions: dict[str, int] = {}
        self._callbacks: dict[str, list[Callable[[Any], None]]] = defaultdict(list)
        self._digest = blake2b(digest_size=16)
        self.commits = 0

    def on(self, type: type[Message], then: Callable[[Any], None]) -> None:
        """Call ``then`` with every message of a type, once it is committed."""
        self._callbacks[type.tag()].append(then)

    def saw(self, what: str) -> None:
        """Something else that happened, as part of the digest."""
        self._digest.update(f"{self._world.loop.now:.6f} {what}\n".encode())

    @property
    def digest(self) -> str:
        """Of all that happened, in its order and time."""
        return self._digest.hexdigest()

    def committed(self, service: Service, first: int) -> None:
        """A service's log has grown from a position on, or not at all."""
        self.commits += 1
        tables, name = service.tables, service.name
        self._forward(service)
        last = len(tables.messages)
        if last < first:
            return
        for position in range(first, last + 1):
            logged = tables.messages.get(position)
            if logged is None:
                self._world.violation(f"{name} has no message at position {position} of {last}")
                return
            row = logged.row
            self.saw(f"{name} {position} {row.stream} {row.version} {row.type}")
            self._digest.update(row.data)
            if row.version:
                self._event(service, row.stream, row.version)
            if row.type == ReservationCommitted.tag():
                self._committed_in_time(service, row.stream, logged.at)
            for then in self._callbacks.get(row.type, ()):
                then(self._world.tables[name].codec.decode(row.type, row.data))

    def _committed_in_time(self, service: Service, stream: str, at: datetime) -> None:
        """A hold that has run out is not committed, by the clock of whoever decides."""
        versions = service.tables.by_stream[stream].values()
        rows = [service.tables.messages[position].row for position in versions]
        held = [row.data for row in rows if row.type == StockReserved.tag()]
        expires_at = self._world.tables[service.name].codec.decode(StockReserved.tag(), held[-1])
        if at >= expires_at.expires_at:  # type: ignore[attr-defined]
            self._world.violation(f"{stream} was committed at {at}, after its hold had run out")

    def _forward(self, service: Service) -> None:
        """Checkpoints never go back."""
        for partition, mark in service.tables.checkpoints.items():
            before = self._marks.get((service.name, partition), 0)
            if mark.sequence < before:
                self._world.violation(
                    f"{service.name} went back from {before} to {mark.sequence} in {partition}"
                )
            self._marks[service.name, partition] = mark.sequence

    def _event(self, service: Service, stream: str, version: int) -> None:
        tables = service.tables
        if version > 1 and version - 1 not in tables.by_stream[stream]:
            self._world.violation(f"{stream} has version {version} and no {version - 1}")
        if stream.startswith("stock-") and stream in tables.streams:
            table = self._world.tables[service.name]
            stock = table.decode_state(stream, tables.streams[stream].state)
            for location, level in stock.levels.items():
                promised = level.reserved + level.allocated
                if not 0 <= promised <= level.on_hand or min(level.reserved, level.allocated) < 0:
                    self._world.violation(f"{stream} at {location} is oversold: {level}")
