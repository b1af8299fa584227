"""The one road into the log: group commit.

Whatever waits when the last transaction ends (requests, a consumer's batch, answers of effects, timers) shares the next
one. A task whose decider fails is parked or refused alone; a batch that the database refuses is split until the task
that it refuses stands alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from shared.events import BadPayload, UnknownType
from shared.ledger import crashpoints
from shared.ledger.batch import Batch, Unreadable, wanted
from shared.ledger.settlement import Result, Settlement
from shared.ledger.store import (
    Conflict,
    EffectRow,
    FeedPart,
    Fenced,
    Found,
    Mark,
    Store,
    Transaction,
    Unavailable,
    Unwritable,
    Writes,
)
from shared.ledger.table import Table
from shared.ledger.work import Outcome, Overloaded, Task, Unit

log = structlog.get_logger()

#: Tasks that share a transaction, and tasks that may wait for one before callers are turned away.
BATCH_TASKS_MAX = 1000
WAITING_TASKS_MAX = 20_000

#: How often a batch is run again when another writer was in its way.
CONFLICT_RETRIES_MAX = 10

Waiting = tuple[Unit, "asyncio.Future[list[Result]]"]


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


class Writer:
    """Hands units of work to the store in batches; see `submit`.

    ``on_commit`` is called with what each commit appended, ``on_effects`` with the effects of each commit.
    """

    def __init__(
        self,
        table: Table,
        store: Store,
        *,
        partitions: int,
        clock: Callable[[], datetime] = utc_now,
        on_commit: Callable[[FeedPart], None] = lambda _: None,
    ) -> None:
        self._table = table
        self._store = store
        self._partitions = partitions
        self._clock = clock
        self._on_commit = on_commit
        self.on_effects: Callable[[list[EffectRow]], None] = lambda _: None
        #: Keys that may be parked: only these are looked up. Filled when partitions are assigned and by parking.
        self.suspects: set[tuple[str, bytes]] = set()
        self._queue: deque[Waiting] = deque()
        self._waiting_tasks = 0
        self._wake = asyncio.Event()

    async def suspect(self, topics: Iterable[str]) -> None:
        """Learn which keys of these topics are parked; to be called when partitions were assigned."""
        self.suspects |= await self._store.parked_keys(topics)

    async def submit(self, unit: Unit) -> list[Result]:
        """Handle the unit's tasks in order and return, once durable, an outcome or an error for each.

        Raises `Fenced` when the unit's checkpoints are not those stored, `Unavailable` when the store did not answer
        (its tasks up to some point are then applied and the rest is absent; one task is wholly either), and `Overloaded` when
        too much is waiting.
        """
        if self._waiting_tasks >= WAITING_TASKS_MAX:
            raise Overloaded(
                f"{self._waiting_tasks} tasks wait to be written; try again in a second"
            )
        future: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        self._queue.append((unit, future))
        self._waiting_tasks += len(unit.tasks)
        self._wake.set()
        return await future

    async def handle(self, task: Task) -> Outcome:
        """Submit one task; its error, if any, is raised."""
        [result] = await self.submit(Unit([task]))
        if isinstance(result, Exception):
            raise result
        return result

    async def run(self) -> None:
        """Write until cancelled. What waits then is answered with `Unavailable`."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    await self._commit_next()
        finally:
            for _, future in self._queue:
                if not future.done():
                    future.set_exception(Unavailable("the service is stopping"))
            self._queue.clear()

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written."""
        return self._waiting_tasks == 0

    async def _commit_next(self) -> None:
        """Take what waits, up to a batch, and commit it together."""
        taken: list[Waiting] = []
        size = 0
        while self._queue and (not taken or size + len(self._queue[0][0].tasks) <= BATCH_TASKS_MAX):
            taken.append(self._queue.popleft())
            size += len(taken[-1][0].tasks)
        try:
            await self._commit(taken)
        except asyncio.CancelledError:
            _fail(taken, Unavailable("the service is stopping"))
            raise
        except Exception as error:
            if not isinstance(error, Unavailable):
                log.exception("batch_failed", tasks=size)
            _fail(taken, error)
        finally:
            self._waiting_tasks -= size

    async def _commit(self, taken: list[Waiting]) -> None:
        try:
            results = await self._try(taken, {})
        except Fenced as error:
            # One consumer's fence must not fail the requests that happened to share its batch.
            if len(taken) == 1:
                _fail(taken, error)
                return
            for one in taken:
                await self._commit([one])
            return
        except Unwritable as error:
            await self._commit_apart(taken, error)
            return
        for (_, future), outcome in zip(taken, results, strict=True):
            if not future.done():
                future.set_result(outcome)

    async def _commit_apart(self, taken: list[Waiting], error: Unwritable) -> None:
        """Something in the batch cannot be written: commit task by task, and let only the culprit fail."""
        log.warning("batch_split", tasks=sum(len(u.tasks) for u, _ in taken), error=str(error))
        for unit, future in taken:
            results: list[Result] = []
            expected = dict(unit.expected)
            try:
                for task in unit.tasks:
                    single = Unit([task], {p: expected[p] for p in _partitions(task, expected)})
                    results += await self._commit_alone(single, future)
                    if task.partition is not None and task.mark is not None:
                        expected[task.partition] = task.mark
            except Exception as failed:  # noqa: BLE001 - handed to the caller
                if not future.done():
                    future.set_exception(failed)
                continue
            if not future.done():
                future.set_result(results)

    async def _commit_alone(self, unit: Unit, future: "asyncio.Future[Any]") -> list[Result]:
        try:
            return (await self._try([(unit, future)], {}))[0]
        except Unwritable as error:
            return (await self._try([(unit, future)], {id(unit.tasks[0]): str(error)}))[0]

    async def _try(self, taken: list[Waiting], poison: dict[int, str]) -> list[list[Result]]:
        """Run the batch in one transaction; run it again when another writer was in its way."""
        for attempt in range(CONFLICT_RETRIES_MAX):
            try:
                return await self._transact([unit for unit, _ in taken], poison)
            except Conflict:
                log.info("batch_conflict", attempt=attempt + 1)
        raise Unavailable(f"other writers were in the way {CONFLICT_RETRIES_MAX} times over")

    async def _transact(self, units: list[Unit], poison: dict[int, str]) -> list[list[Result]]:
        async with self._store.transaction() as tx:
            found = await tx.read(wanted(self._table, units, self.suspects, poison))
            _check_fences(units, found)
            states = await self._states(tx, found)
            batch = Batch(self._table, found, states, self._clock(), self._partitions)
            settle = Settlement(self._table, batch, found, poison)
            results = [[settle.settle(task) for task in unit.tasks] for unit in units]
            writes = _finished(batch)
            self.suspects |= {(row.topic, row.key) for row in writes.parked}
            crashpoints.reach(crashpoints.BEFORE_COMMIT)
            appended = await tx.write(writes)
        crashpoints.reach(crashpoints.AFTER_COMMIT)
        if appended is not None:
            self._on_commit(appended)
        if writes.effects:
            self.on_effects(list(writes.effects.values()))
        return results

    async def _states(self, tx: Transaction, found: Found) -> dict[str, Any]:
        """Decode snapshots; one of another schema is folded anew from its events."""
        states: dict[str, Any] = {}
        for stream, snapshot in found.streams.items():
            category = self._table.category(stream)
            try:
                if snapshot.schema == category.schema:
                    states[stream] = self._table.decode_state(stream, snapshot.state)
                else:
                    states[stream] = await self._folded(tx, stream)
            except (msgspec.MsgspecError, BadPayload, UnknownType) as error:
                log.error("stream_unreadable", stream=stream, error=str(error))
                states[stream] = Unreadable(f"{stream}: {error}")
        return states

    async def _folded(self, tx: Transaction, stream: str) -> Any:
        category = self._table.category(stream)
        state = category.initial()
        for tag, data in await tx.read_events(stream):
            state = category.evolve(state, self._table.codec.decode(tag, data))
        return state


def _finished(batch: Batch) -> Writes:
    """The batch's writes. What only shows once all is decided (a state that no snapshot holds) is the fault of one task
    as well: `Unwritable` has the batch split until it stands alone."""
    try:
        return batch.finish()
    except Exception as error:
        log.exception("batch_unfinished")
        raise Unwritable(f"{type(error).__name__}: {error}") from error


def _partitions(task: Task, expected: dict[Any, Mark]) -> list[Any]:
    return [task.partition] if task.partition in expected else []


def _check_fences(units: Iterable[Unit], found: Found) -> None:
    for unit in units:
        for partition, mark in unit.expected.items():
            stored = found.checkpoints.get(partition, Mark(0, 0))
            if stored != mark:
                raise Fenced(f"{partition}: expected {mark}, stored is {stored}")


def _fail(taken: list[Waiting], error: Exception) -> None:
    for _, future in taken:
        if not future.done():
            future.set_exception(error)
