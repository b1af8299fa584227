"""A small language and two services for testing the ledger and the streams: a tally, and a mirror that listens to it.

The mirror is on purpose not idempotent: what it is told twice, it notes twice. Only the watermark protects it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from types import SimpleNamespace
from typing import Any

import msgspec
import psycopg

from shared.events import (
    Command,
    Context,
    Envelope,
    Event,
    Items,
    Refused,
    encode,
    read_headers,
)
from shared.ledger.batch import partition_of
from shared.ledger.store import Head, Record, Snapshot, Writes
from shared.ledger.table import Category, Table, one
from shared.ledger.work import Task, Unit
from shared.ledger.writer import Writer
from shared.stream.consumer import ConsumerRuntime
from shared.stream.healer import CannotHeal
from shared.stream.port import Outgoing
from shared.stream.relay import Relay, envelope
from tests.spec import NOON

PARTITIONS = 4


@cache
def language(service: str) -> SimpleNamespace:
    """The messages of a tally service called ``service``, so that each test has topics of its own."""

    class Add(Command, tag=f"oms.{service}.add.v1"):
        name: str
        amount: int = 1

        @property
        def subject(self) -> str:
            return f"tally-{self.name}"

        @property
        def key(self) -> str:
            return self.name

    class Added(Event, tag=f"oms.{service}.added.v1"):
        name: str
        amount: int
        number: int

        @property
        def subject(self) -> str:
            return f"tally-{self.name}"

        @property
        def key(self) -> str:
            return self.name

    class Noted(Event, tag=f"oms.{service}_mirror.noted.v1"):
        private = True
        name: str
        number: int

        @property
        def subject(self) -> str:
            return f"mirror-{self.name}"

        @property
        def key(self) -> str:
            return self.name

    return SimpleNamespace(
        service=service,
        Add=Add,
        Added=Added,
        Noted=Noted,
        events=f"oms.{service}.events",
        commands=f"oms.{service}.commands",
    )


class Tally(msgspec.Struct, frozen=True):
    total: int = 0
    count: int = 0


class Mirror(msgspec.Struct, frozen=True):
    last: int = 0
    count: int = 0


def tally(words: SimpleNamespace, **options: Any) -> Table:
    """Adds what it is told; 13 is more than its decider can bear, and nothing below zero is taken."""

    def add(state: Tally, command: Any, context: Context) -> Items:
        if command.amount == options.get("unlucky", 13):
            raise ValueError("thirteen")
        if command.amount < 0:
            return [Refused(code="negative", detail="amounts are not negative")]
        return [words.Added(name=command.name, amount=command.amount, number=state.count + 1)]

    def evolve(state: Tally, event: Any) -> Tally:
        return Tally(state.total + event.amount, state.count + 1)

    category = Category(
        "tally",
        Tally,
        evolve,
        react=options.get("react"),
        schema=options.get("schema", 1),
        guard=options.get("guard", lambda _: 0),
    )
    handlers = {words.Add: one(add), **options.get("handlers", {})}
    internal = [words.Add, words.Added, *options.get("internal", ())]
    return Table(words.service, [category], handlers, internal)


def mirror(words: SimpleNamespace, **options: Any) -> Table:
    """Notes the number of every addition that it hears of."""

    def note(state: Mirror, event: Any, context: Context) -> Items:
        if event.amount == options.get("refuses"):
            raise ValueError("not this one")
        return [words.Noted(name=event.name, number=event.number)]

    def evolve(state: Mirror, event: Any) -> Mirror:
        return Mirror(event.number, state.count + 1)

    return Table(
        f"{words.service}_mirror",
        [Category("mirror", Mirror, evolve)],
        {words.Added: one(note, lambda event: f"mirror-{event.name}")},
        [words.Added, words.Noted],
    )


def task(words: SimpleNamespace, name: str, amount: int = 1, **more: Any) -> Task:
    """A request to add."""
    return Task(message=words.Add(name=name, amount=amount), id=f"m-{name}", **more)


def outgoing(message: Any, id: str, **more: Any) -> Outgoing:
    """A record of a message from an outside producer, or with ``source``, ``sequence`` and ``previous``."""
    headers = Envelope(**{"id": id, "type": message.tag(), "source": "/outside", **more}).headers()
    return Outgoing(message.key.encode(), encode(message), headers)


def of_type(tag: bytes) -> list[tuple[str, bytes]]:
    """Headers of a CloudEvent that is lawful but perhaps for its type."""
    return [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/x"), ("ce_type", tag)]


def home(message: Any, partitions: int = PARTITIONS) -> tuple[str, int]:
    """Where a message belongs."""
    return (message.route(), partition_of(message.key, partitions))


def numbers(rows: list[Any]) -> list[int]:
    """What a mirror has noted in one stream, in order."""
    return [msgspec.json.decode(row[-1])["number"] for row in rows]


def writes(**what: Any) -> Writes:
    """Writes at noon."""
    return Writes(at=NOON, leased_until=NOON, **what)


def snapshot(version: int, state: bytes = b"s", guard: int = 0) -> Snapshot:
    """A stream's row of schema 1."""
    return Snapshot(version, 1, state, guard)


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


#: Work that is told to end does so within this time.
END_SECONDS = 30.0


@asynccontextmanager
async def going(*works: Coroutine[Any, Any, None]) -> Any:
    """Endless work beside a test. What it fails with fails the test."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield tasks
    finally:
        for one_task in tasks:
            one_task.cancel()
        _, pending = await asyncio.wait(tasks, timeout=END_SECONDS)
        assert not pending, f"cancelled, and did not end: {[t.get_stack() for t in pending]}"
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


async def until(condition: Callable[[], Any], seconds: float = 15) -> None:
    """Wait until a condition (sync or async) holds."""
    async with asyncio.timeout(seconds):
        while True:
            held = condition()
            if asyncio.iscoroutine(held):
                held = await held
            if held:
                return
            await asyncio.sleep(0.01)


def empty(dsn: str) -> None:
    """Make a service's database as new."""
    with psycopg.connect(dsn, autocommit=True) as c:
        c.execute(
            """truncate streams, messages, chain, checkpoints, timers, effects, parked,
               idempotency restart identity"""
        )
        c.execute("update head set position = 0")
        c.execute("update relay set published = 0")


class FeedHealer:
    """Heals from a producer's store without HTTP; a test may take it down, or make it hang."""

    def __init__(self, store: Any, source: str) -> None:
        self._store = store
        self._source = source
        self.down: set[int] = set()
        self.hangs: set[int] = set()

    async def fetch(self, partition: Any, after: int, upto: int) -> list[Record]:
        if partition[1] in self.hangs:
            await asyncio.Event().wait()
        if partition[1] in self.down:
            raise CannotHeal("the producer is down")
        rows = await self._store.feed_of(*partition, after, upto, 50)
        return [
            Record(*partition, 0, r.key.encode(), r.data, envelope(r, self._source).headers())
            for r in rows
        ]

    async def heads(self, topics: set[str]) -> dict[Any, Head]:
        if self.hangs:
            await asyncio.Event().wait()
        return {p: n for p, n in (await self._store.heads()).items() if p[0] in topics}


class Producing:
    """A tally service without HTTP: a store, its writer and its relay."""

    def __init__(self, words: SimpleNamespace, store: Any, connect: Any, **options: Any) -> None:
        self.words, self.store = words, store
        self.table = tally(words, **options)
        self.relay = Relay(store, f"/oms/{words.service}", connect)
        self.writer = Writer(self.table, store, partitions=PARTITIONS, on_commit=self.relay.offer)

    async def add(self, *names: str, amount: int = 1) -> None:
        """Add to each name, in one transaction."""
        await self.writer.submit(Unit([task(self.words, name, amount) for name in names]))


class Listening:
    """A mirror without HTTP: a store, its writer and its consumer."""

    def __init__(
        self, words: SimpleNamespace, store: Any, connect: Any, healer: Any, **options: Any
    ) -> None:
        self.words, self.store = words, store
        self.table = options.get("table") or mirror(words, **options)
        self.writer = Writer(self.table, store, partitions=PARTITIONS)
        self.consumer = ConsumerRuntime(
            self.table, store, self.writer, healer, connect, self.writer.suspect
        )
        self.counters = self.consumer.counters

    async def heard(self, name: str) -> list[int]:
        """The numbers that were noted for a name."""
        return numbers(await self.store.stream(f"mirror-{name}"))

    def work(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What has to run."""
        return self.writer.run(), self.consumer.run()


def overtaken(records: list[Record]) -> list[int]:
    """Positions in a partition that landed before their predecessor: each would hide it as a duplicate."""
    seen, out = 0, []
    for record in records:
        read = read_headers(record.headers)
        if read.sequence is None or read.previous is None:
            continue
        if read.previous > seen:
            out.append(read.sequence)
        seen = max(seen, read.sequence)
    return out
