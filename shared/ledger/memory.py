"""The store in memory, for simulation and unit tests: the same promises as Postgres, under one event loop.

Rows are locked from read until commit or rollback, the head of the log from taking positions; a second creator of a
stream meets a conflict. ``fault`` is awaited at labelled points: there a simulation yields, waits, raises `Unavailable`,
or lets the process die; raising at ``after_commit`` is a commit whose answer was lost.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from shared.ledger.memory_tables import Fault, MemoryReads, Owed, Tables, calm
from shared.ledger.store import (
    Conflict,
    EffectRow,
    FeedPart,
    Found,
    Unwritable,
    Want,
    Writes,
)

Key = tuple[str, Hashable]


class RowLocks:
    """Exclusive locks on rows, each until its holder lets go."""

    def __init__(self) -> None:
        self._held: dict[Key, asyncio.Event] = {}

    async def take(self, key: Key, mine: set[Key]) -> None:
        """Wait for a row and add it to ``mine``."""
        if key in mine:
            return
        while (held := self._held.get(key)) is not None:
            await held.wait()
        self._held[key] = asyncio.Event()
        mine.add(key)

    def locked(self, key: Key) -> bool:
        """Whether somebody holds the row."""
        return key in self._held

    def release(self, mine: set[Key]) -> None:
        """Let go of everything in ``mine``."""
        for key in mine:
            self._held.pop(key).set()
        mine.clear()


class MemoryTransaction:
    """A batch; see `shared.ledger.store.Transaction`."""

    def __init__(self, tables: Tables, locks: RowLocks, fault: Fault) -> None:
        self._t = tables
        self._locks = locks
        self._fault = fault
        self.mine: set[Key] = set()

    async def read(self, want: Want) -> Found:
        t = self._t
        await self._fault("read")
        storable(*want.streams)
        found = Found()
        # The same order as in Postgres, so that two batches never wait for each other in a circle.
        found.checkpoints = await self._lock("checkpoint", want.checkpoints, t.checkpoints)
        found.parked_keys = {
            (row.topic, row.key) for row, _ in t.parked.values()
        } & want.parked_keys
        found.parked_ids = set(await self._lock("parked", want.parked_ids, t.parked))
        found.effects = set(await self._lock("effect", want.effects, t.effects))
        timers = await self._lock("timer", {ref[:2] for ref in want.timers}, t.timers)
        found.timers = {ref for ref in want.timers if timers.get(ref[:2], ())[:3] == ref}
        found.answers = {k: t.answers[k] for k in want.answers if k in t.answers}
        found.streams = await self._lock("stream", want.streams, t.streams)
        return found

    async def _lock(self, kind: str, keys: Iterable[Any], rows: dict[Any, Any]) -> dict[Any, Any]:
        """Lock the rows that exist, in order, and return them as they are once locked."""
        for key in sorted(keys):
            if key in rows:
                await self._locks.take((kind, key), self.mine)
        return {k: rows[k] for k in keys if k in rows}

    async def read_events(self, stream: str, after: int = 0) -> list[tuple[str, bytes]]:
        await self._fault("read_events")
        versions = self._t.by_stream.get(stream, {})
        rows = [self._t.messages[versions[v]].row for v in sorted(versions) if v > after]
        return [(row.type, row.data) for row in rows]

    async def write(self, writes: Writes) -> FeedPart | None:
        if writes.rows:
            await self._locks.take(("head", 0), self.mine)
        await self._fault("before_commit")
        self._check(writes)
        part = self._t.append(writes.rows, writes.at) if writes.rows else None
        self._apply(writes)
        self._locks.release(self.mine)
        await self._fault("after_commit")
        return part

    def _check(self, w: Writes) -> None:
        """What the database's constraints refuse."""
        storable(*(v for row in w.rows for v in (row.stream, row.type, row.key)))
        storable(*w.streams, *(row.error for row in w.parked))
        storable(*(v for key in [*w.answers, *w.timers] for v in key), *w.effects)
        if any(not 0 <= n < 2**63 for mark in w.checkpoints.values() for n in mark):
            raise Unwritable("a checkpoint is out of range")
        for stream, snapshot in w.streams.items():
            if snapshot.guard < 0:
                raise Unwritable(f'the guard of "{stream}" is {snapshot.guard}')
        versions = [(row.stream, row.version) for row in w.rows if row.version]
        taken = [(s, v) for s, v in versions if v in self._t.by_stream.get(s, ())]
        if taken or len(set(versions)) < len(versions):
            raise Conflict(f"versions exist already: {taken or versions}")
        if taken_keys := w.answers.keys() & self._t.answers.keys():
            raise Conflict(f"answers exist already: {sorted(taken_keys)}")

    def _apply(self, w: Writes) -> None:
        t = self._t
        t.streams |= w.streams
        t.checkpoints |= w.checkpoints
        for key, timer in w.timers.items():
            t.timers.pop(key, None)
            if timer is not None:
                t.timers[key] = timer
        for done in w.effects_answered:
            t.effects.pop(done, None)
        for effect, effect_row in w.effects.items():
            t.effects.setdefault(effect, Owed(effect_row, w.at, w.leased_until))
        for parked_id in w.parked_done:
            t.parked.pop(parked_id, None)
        for parked in w.parked:
            t.parked_ids += 1
            t.parked[t.parked_ids] = (parked, w.at)
        t.answers |= w.answers
        t.statements += w.statements


def storable(*texts: str) -> None:
    """Refuse text that Postgres cannot hold: NUL characters and lone surrogates."""
    for text in texts:
        if "\x00" in text or (not text.isascii() and _lone_surrogate(text)):
            raise Unwritable(f"the database holds no such text: {text!r:.100}")


def _lone_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


class MemoryStore(MemoryReads):
    """A service's database in memory. Hand the ``tables`` of one store to the next, and they outlive a crash; stores
    that are used at the same time share their ``locks`` too."""

    def __init__(
        self, tables: Tables | None = None, *, fault: Fault = calm, locks: RowLocks | None = None
    ) -> None:
        self.tables = tables or Tables()
        self.fault = fault
        self._locks = locks or RowLocks()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        """One batch; leaving it without `write` rolls back."""
        await self.fault("begin")
        tx = MemoryTransaction(self.tables, self._locks, self.fault)
        try:
            yield tx
        finally:
            self._locks.release(tx.mine)

    async def lease_effects(self, at: datetime, until: datetime, limit: int) -> list[EffectRow]:
        """See `shared.ledger.store.Store.lease_effects`; rows that a batch holds are skipped."""
        await self.fault("lease_effects")
        due = [
            owed
            for id, owed in self.tables.effects.items()
            if not owed.parked
            and owed.next_at <= at
            and owed.leased_until <= at
            and not self._locks.locked(("effect", id))
        ]
        due.sort(key=lambda owed: owed.next_at)
        for owed in due[:limit]:
            owed.leased_until = until
        return [owed.row for owed in due[:limit]]

    async def renew_leases(self, ids: list[str], until: datetime) -> None:
        """See `shared.ledger.store.Store.renew_leases`."""
        await self.fault("renew_leases")
        for id in ids:
            if (owed := await self._settled(id)) is not None:
                owed.leased_until = until

    async def postpone_effect(
        self, id: str, error: str, next_at: datetime, *, parked: bool
    ) -> None:
        """See `shared.ledger.store.Store.postpone_effect`."""
        await self.fault("postpone_effect")
        storable(error)
        if (owed := await self._settled(id)) is not None:
            owed.row = owed.row._replace(attempts=owed.row.attempts + 1)
            owed.next_at = owed.leased_until = next_at
            owed.parked, owed.error = parked, error

    async def _settled(self, id: str) -> Owed | None:
        """The effect, once no batch holds it."""
        mine: set[Key] = set()
        await self._locks.take(("effect", id), mine)
        self._locks.release(mine)
        return self.tables.effects.get(id)
