"""What the in-memory store keeps, and the reads that lock nothing."""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from shared.ledger.parking import key_text
from shared.ledger.store import (
    Answer,
    EffectRow,
    FeedPart,
    FeedRow,
    Head,
    LogRow,
    Mark,
    ParkedRow,
    Partition,
    Snapshot,
    TimerRow,
)

Fault = Callable[[str], Awaitable[None]]


async def calm(label: str) -> None:
    """No fault; only lets others run, as a round trip would."""
    await asyncio.sleep(0)


class Logged(NamedTuple):
    """A row of the log with the time of its append."""

    row: LogRow
    at: datetime


@dataclass(slots=True)
class Owed:
    """An effect and the state of its delivery."""

    row: EffectRow
    next_at: datetime
    leased_until: datetime
    parked: bool = False
    error: str | None = None


@dataclass(slots=True)
class Tables:
    """All that survives a crash of the process. ``messages`` is by position, ``by_stream`` maps a stream's versions to
    positions, ``feed`` are the published rows in order."""

    streams: dict[str, Snapshot] = field(default_factory=dict)
    messages: dict[int, Logged] = field(default_factory=dict)
    by_stream: dict[str, dict[int, int]] = field(default_factory=dict)
    feed: list[FeedRow] = field(default_factory=list)
    chain: dict[Partition, int] = field(default_factory=dict)
    published: int = 0
    checkpoints: dict[Partition, Mark] = field(default_factory=dict)
    timers: dict[tuple[str, str], TimerRow] = field(default_factory=dict)
    effects: dict[str, Owed] = field(default_factory=dict)
    parked: dict[int, tuple[ParkedRow, datetime]] = field(default_factory=dict)
    discarded: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    statements: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    parked_ids: int = 0

    def append(self, rows: Iterable[LogRow], at: datetime) -> FeedPart:
        """Give the rows the next positions, and chain each that is published to its predecessor on the partition."""
        after, first = len(self.messages), len(self.feed)
        for position, m in enumerate(rows, after + 1):
            self.messages[position] = Logged(m, at)
            if m.version:
                self.by_stream.setdefault(m.stream, {})[m.version] = position
            if m.topic:
                self._publish(position, m, at)
        return FeedPart(after, len(self.messages), self.feed[first:])

    def _publish(self, position: int, m: LogRow, at: datetime) -> None:
        partition = (m.topic, m.partition)
        self.feed.append(
            FeedRow(
                position=position,
                previous=self.chain.get(partition, 0),
                topic=m.topic,
                partition=m.partition,
                key=m.key,
                type=m.type,
                stream=m.stream,
                version=m.version or None,
                at=at,
                meta=m.meta,
                data=m.data,
            )
        )
        self.chain[partition] = position


class MemoryReads:
    """The reads of a store; see `shared.ledger.store.Store` and `shared.ledger.postgres.PostgresStore`."""

    tables: Tables
    fault: Fault

    async def checkpoints(self, partitions: Iterable[Partition]) -> dict[Partition, Mark]:
        """The stored checkpoints; one never seen gets a row at (0, 0)."""
        await self.fault("checkpoints")
        return {p: self.tables.checkpoints.setdefault(p, Mark(0, 0)) for p in partitions}

    async def parked_keys(self, topics: Iterable[str]) -> set[tuple[str, bytes]]:
        """Every key of these topics that has parked records."""
        await self.fault("parked_keys")
        wanted = set(topics)
        return {(r.topic, r.key) for r, _ in self.tables.parked.values() if r.topic in wanted}

    async def feed(self, after: int, limit: int) -> FeedPart:
        """The feed above a position."""
        await self.fault("feed")
        rows = self._above(after)[:limit]
        return FeedPart(after, rows[-1].position if len(rows) == limit else self.head, rows)

    async def feed_of(
        self, topic: str, partition: int, after: int, upto: int, limit: int
    ) -> list[FeedRow]:
        """The feed of one topic and partition in (after, upto]."""
        await self.fault("feed_of")
        rows = [r for r in self._above(after) if r.position <= upto]
        return [r for r in rows if (r.topic, r.partition) == (topic, partition)][:limit]

    @property
    def head(self) -> int:
        """The last position given."""
        return len(self.tables.messages)

    def _above(self, after: int) -> list[FeedRow]:
        feed = self.tables.feed
        return feed[bisect_right(feed, after, key=lambda r: r.position) :]

    async def heads(self) -> dict[Partition, Head]:
        """The last position given on each topic and partition."""
        await self.fault("heads")
        t = self.tables
        return {p: Head(n, n <= t.published) for p, n in t.chain.items()}

    async def published(self) -> int:
        """Up to where the broker is known to have the feed."""
        await self.fault("published")
        return self.tables.published

    async def mark_published(self, position: int) -> None:
        """Advance that cursor."""
        await self.fault("mark_published")
        self.tables.published = max(self.tables.published, position)

    async def due_timers(self, at: datetime, limit: int) -> list[TimerRow]:
        """Timers due at a time, oldest first."""
        await self.fault("due_timers")
        due = [t for t in self.tables.timers.values() if t.due_at <= at]
        return sorted(due, key=lambda t: t.due_at)[:limit]

    async def stream(
        self, stream: str, after: int = 0
    ) -> list[tuple[int, str, datetime, bytes, bytes]]:
        """A stream's events above a version: version, type, time, meta, data."""
        await self.fault("stream")
        versions = self.tables.by_stream.get(stream, {})
        rows = [self.tables.messages[versions[v]] for v in sorted(versions) if v > after]
        return [(m.version, m.type, at, m.meta, m.data) for m, at in rows]

    async def snapshot(self, stream: str) -> Snapshot | None:
        """A stream's row, if it exists."""
        await self.fault("snapshot")
        return self.tables.streams.get(stream)

    async def log_page(
        self, stream: str, version: int, limit: int
    ) -> list[tuple[str, int, str, bytes]]:
        """Events after a stream's version, over all streams, in order of stream and version."""
        await self.fault("log_page")
        keys = sorted(
            (name, number, id)
            for name, versions in self.tables.by_stream.items()
            for number, id in versions.items()
            if (name, number) > (stream, version)
        )
        found = [(name, number, self.tables.messages[id].row) for name, number, id in keys[:limit]]
        return [(name, number, row.type, row.data) for name, number, row in found]

    async def snapshots_of(self, streams: list[str]) -> dict[str, Snapshot]:
        """The rows of these streams."""
        await self.fault("snapshots_of")
        return {s: self.tables.streams[s] for s in streams if s in self.tables.streams}

    async def snapshots_without_events(self, limit: int) -> list[str]:
        """Streams that have a row and no event."""
        await self.fault("snapshots_without_events")
        return sorted(self.tables.streams.keys() - self.tables.by_stream.keys())[:limit]

    async def parked_of(self, topic: str, key: bytes, limit: int) -> list[tuple[int, ParkedRow]]:
        """The oldest parked records of a key, with their ids."""
        await self.fault("parked_of")
        rows = ((id, r) for id, (r, _) in sorted(self.tables.parked.items()))
        return [(id, r) for id, r in rows if (r.topic, r.key) == (topic, key)][:limit]

    async def parked_summary(self, limit: int) -> list[dict[str, Any]]:
        """Parked keys: topic, key as text, how many records wait, the first error, since when."""
        await self.fault("parked_summary")
        out: dict[tuple[str, bytes], dict[str, Any]] = {}
        for _, (row, at) in sorted(self.tables.parked.items()):
            first = {"topic": row.topic, "key": key_text(row.key), "records": 0, "since": at}
            entry = out.setdefault((row.topic, row.key), {**first, "error": row.error})
            entry["records"] += 1
        return list(out.values())[:limit]

    async def effects_open(self, limit: int) -> list[dict[str, Any]]:
        """Effects that are owed, parked ones first, then by their next attempt."""
        await self.fault("effects_open")
        owed = sorted(self.tables.effects.values(), key=lambda o: (not o.parked, o.next_at))
        return [
            {
                "id": o.row.id,
                "subject": o.row.subject,
                "type": o.row.type,
                "attempts": o.row.attempts,
                "next_at": o.next_at,
                "parked": o.parked,
                "error": o.error,
            }
            for o in owed[:limit]
        ]

    async def timers_open(self, limit: int) -> list[dict[str, Any]]:
        """Pending timers, soonest first."""
        await self.fault("timers_open")
        names = ("subject", "name", "due_at", "type")
        due = sorted(self.tables.timers.values(), key=lambda t: t.due_at)
        return [dict(zip(names, t, strict=False)) for t in due[:limit]]

    async def discard(self, id: int, actor: str, reason: str) -> bool:
        """See `ParkingStore.discard`."""
        await self.fault("discard")
        if id not in self.tables.parked:
            return False
        row, at = self.tables.parked.pop(id)
        known = {"id": id, "topic": row.topic, "key": key_text(row.key), "error": row.error}
        self.tables.discarded.append(known | {"parked_at": at, "actor": actor, "reason": reason})
        return True

    async def discarded(self, limit: int) -> list[dict[str, Any]]:
        """See `ParkingStore.discarded`."""
        await self.fault("discarded")
        return self.tables.discarded[::-1][:limit]
