"""The store's port: one transaction reads what a batch needs and writes all that it decided.

Two round trips a batch, however many messages: `Transaction.read` locks and loads, `Transaction.write` appends and
commits. The Postgres store and the in-memory store pass one contract suite.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import msgspec

Partition = tuple[str, int]


class Unavailable(Exception):
    """The store did not answer, or its answer to a commit was lost: what was asked is wholly applied or wholly absent.
    Read the checkpoint (or the idempotency key) and go on from there."""


class Unwritable(Exception):
    """The database refuses this batch for what is in it (a constraint, a value it cannot hold): nothing was applied."""


class Conflict(Exception):
    """Another writer created one of the streams first, or it and this one waited for each other: nothing was applied; run
    the batch again."""


class Fenced(Exception):
    """Another process has advanced this consumer's checkpoint: its partition has moved."""


class Meta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a log row keeps besides the message: where it came from and who asked. ``id`` is set for commands; an
    event's id is ``<stream>/<version>``."""

    correlation: str = ""
    causation: str = ""
    actor: str = ""
    trace: str = ""
    id: str = ""


class Snapshot(NamedTuple):
    """A stream's row. ``guard`` must not be negative (for stock: the least that is available anywhere)."""

    version: int
    schema: int
    state: bytes
    guard: int = 0


class Mark(NamedTuple):
    """How far a partition has been handled: the broker's next offset and the producer's position (0: none seen)."""

    next_offset: int
    sequence: int


class TimerRef(NamedTuple):
    """One setting of a timer: a later one under the same name has another due time."""

    subject: str
    name: str
    due_at: datetime


class LogRow(NamedTuple):
    """A message to append. ``version`` 0 is a command; ``topic`` empty is private."""

    stream: str
    version: int
    type: str
    topic: str
    partition: int
    key: str
    meta: bytes
    data: bytes


class FeedRow(NamedTuple):
    """A published message in its place in the feed."""

    position: int
    previous: int
    topic: str
    partition: int
    key: str
    type: str
    stream: str
    version: int | None
    at: datetime
    meta: bytes
    data: bytes


class FeedPart(NamedTuple):
    """A part of the log: the positions above ``after`` up to ``upto``, and those of its rows that are published, in
    order."""

    after: int
    upto: int
    rows: list[FeedRow]


class Head(NamedTuple):
    """The last position given on a topic and partition, and whether the broker is known to have it."""

    position: int
    published: bool


class TimerRow(NamedTuple):
    """A timer: the message to deliver, encoded, and what it descends from."""

    subject: str
    name: str
    due_at: datetime
    type: str
    message: bytes
    meta: bytes


class EffectRow(NamedTuple):
    """An effect that is owed."""

    id: str
    subject: str
    type: str
    request: bytes
    meta: bytes
    attempts: int = 0


class Record(NamedTuple):
    """One record of a topic, as a consumer sees it."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


class ParkedRow(NamedTuple):
    """A record put aside. ``headers`` are msgpack; ``sequence`` is -1 for outside producers."""

    topic: str
    key: bytes
    partition: int
    offset: int
    sequence: int
    headers: bytes
    value: bytes
    error: str


class Answer(NamedTuple):
    """A stored answer to a request with an Idempotency-Key."""

    fingerprint: bytes
    status: int
    body: bytes


@dataclass(slots=True)
class Want:
    """What a batch needs to see, and locks until it commits."""

    streams: set[str] = field(default_factory=set)
    checkpoints: set[Partition] = field(default_factory=set)
    parked_keys: set[tuple[str, bytes]] = field(default_factory=set)
    parked_ids: set[int] = field(default_factory=set)
    effects: set[str] = field(default_factory=set)
    timers: set[TimerRef] = field(default_factory=set)
    answers: set[tuple[str, str]] = field(default_factory=set)


@dataclass(slots=True)
class Found:
    """What was there of what was wanted."""

    streams: dict[str, Snapshot] = field(default_factory=dict)
    checkpoints: dict[Partition, Mark] = field(default_factory=dict)
    parked_keys: set[tuple[str, bytes]] = field(default_factory=set)
    parked_ids: set[int] = field(default_factory=set)
    effects: set[str] = field(default_factory=set)
    timers: set[TimerRef] = field(default_factory=set)
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)


@dataclass(slots=True)
class Writes:
    """All that a batch decided. ``timers`` maps (subject, name) to the new setting, or None to forget it."""

    at: datetime
    leased_until: datetime
    rows: list[LogRow] = field(default_factory=list)
    streams: dict[str, Snapshot] = field(default_factory=dict)
    checkpoints: dict[Partition, Mark] = field(default_factory=dict)
    timers: dict[tuple[str, str], TimerRow | None] = field(default_factory=dict)
    effects: dict[str, EffectRow] = field(default_factory=dict)
    effects_answered: set[str] = field(default_factory=set)
    parked: list[ParkedRow] = field(default_factory=list)
    parked_done: set[int] = field(default_factory=set)
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    statements: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


class Transaction(Protocol):
    """One batch. Leaving the context without `write` rolls back."""

    async def read(self, want: Want) -> Found:
        """Lock and load, in one round trip."""
        ...

    async def read_events(self, stream: str, after: int = 0) -> list[tuple[str, bytes]]:
        """Type and data of a stream's events above a version, in order: for folding a snapshot anew."""
        ...

    async def write(self, writes: Writes) -> FeedPart | None:
        """Append everything and commit, in one round trip; returns what was appended, if anything was. Raises
        `Unwritable`, `Conflict` or `Unavailable`."""
        ...


class Store(Protocol):
    """What the writer, the relay, timers and effects need of a database."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]: ...

    async def checkpoints(self, partitions: Iterable[Partition]) -> dict[Partition, Mark]:
        """The stored checkpoints of these partitions; one never seen starts at (0, 0)."""
        ...

    async def parked_keys(self, topics: Iterable[str]) -> set[tuple[str, bytes]]:
        """Every key of these topics that has parked records."""
        ...

    async def feed(self, after: int, limit: int) -> FeedPart:
        """The feed above a position: at most ``limit`` rows, and up to where it is complete with them."""
        ...

    async def feed_of(
        self, topic: str, partition: int, after: int, upto: int, limit: int
    ) -> list[FeedRow]:
        """The feed of one topic and partition in (after, upto]."""
        ...

    async def heads(self) -> dict[Partition, Head]:
        """The last position given on each topic and partition."""
        ...

    async def published(self) -> int:
        """Up to where the broker is known to have the feed; may lag."""
        ...

    async def mark_published(self, position: int) -> None:
        """Advance that cursor, without waiting for the disk."""
        ...

    async def due_timers(self, at: datetime, limit: int) -> list[TimerRow]:
        """Timers due at a time, oldest first."""
        ...

    async def lease_effects(self, at: datetime, until: datetime, limit: int) -> list[EffectRow]:
        """Take effects that are due and unleased, until a time."""
        ...

    async def renew_leases(self, ids: list[str], until: datetime) -> None:
        """Keep effects that are still being performed."""
        ...

    async def postpone_effect(
        self, id: str, error: str, next_at: datetime, *, parked: bool
    ) -> None:
        """Note a failed attempt; try again at a time, or park."""
        ...
