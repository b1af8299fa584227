"""Writes batches of events into the read models: what a consumer runtime hands its work to.

Exactly once: the marks of the partitions move in the transaction that holds what their events
changed, and a projector whose marks are not those stored writes nothing. Reading the topics again
from any earlier point, or into other tables, is therefore harmless; nothing is sent from here and
nobody is called."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import structlog

from services.views.batch import Batch
from services.views.handlers import PROJECTED
from services.views.store import Found, ViewStore, Want
from shared.ledger.store import Conflict, Fenced, Mark, Unavailable, Unwritable
from shared.ledger.work import Outcome, Task, Unit

log = structlog.get_logger()

CONFLICT_RETRIES_MAX = 10


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


class Projector:
    """See the module."""

    def __init__(self, store: ViewStore, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._clock = clock
        self.applied = 0

    async def submit(self, unit: Unit) -> list[Outcome | Exception]:
        """Apply the unit's tasks in order and return, once committed, an outcome for each.

        Raises `Fenced` when the unit's marks are not those stored, and `Unavailable` when the
        database did not answer (the unit is then wholly applied or wholly absent)."""
        outcomes = await self._apart(unit)
        self.applied += len(unit.tasks)
        return list(outcomes)

    async def handle(self, task: Task) -> Outcome:
        """Apply one task; for redrive of what was parked."""
        [outcome] = await self._apart(Unit([task]))
        return outcome

    async def _apart(self, unit: Unit) -> list[Outcome]:
        """Commit together, or, when the database refuses something in it, in halves until only the
        culprit is parked."""
        try:
            return await self._commit(unit)
        except Unwritable as error:
            log.warning("batch_split", tasks=len(unit.tasks), error=str(error))
            if len(unit.tasks) == 1:
                return await self._commit(unit, poison=str(error))
        half = len(unit.tasks) // 2
        first, second = unit.tasks[:half], unit.tasks[half:]
        done = await self._apart(Unit(first, unit.expected))
        return done + await self._apart(Unit(second, unit.expected | _marks(first)))

    async def _commit(self, unit: Unit, poison: str = "") -> list[Outcome]:
        for attempt in range(CONFLICT_RETRIES_MAX):
            try:
                return await self._transact(unit, poison)
            except Conflict as error:
                log.info("batch_conflict", attempt=attempt + 1, error=str(error))
        raise Unavailable(f"the same orders changed under way {CONFLICT_RETRIES_MAX} times over")

    async def _transact(self, unit: Unit, poison: str) -> list[Outcome]:
        async with self._store.transaction() as transaction:
            found = await transaction.read(_wanted(unit))
            _check_fence(unit, found)
            batch = Batch(found.orders, found.parked_keys)
            outcomes = [
                Outcome(skipped=True) if _gone(task, found) else batch.settle(task, poison)
                for task in unit.tasks
            ]
            await transaction.write(batch, self._clock())
        return outcomes


def _wanted(unit: Unit) -> Want:
    want = Want(checkpoints=set(unit.expected))
    for task in unit.tasks:
        if task.record is None:
            continue
        want.keys.add((task.record.topic, task.record.key))
        if task.parked_id is not None:
            want.parked_ids.add(task.parked_id)
        plan = PROJECTED.get(type(task.message))  # type: ignore[arg-type]
        if plan is not None and plan.folds:
            want.orders.add(task.message.order_id)  # type: ignore[union-attr]
    return want


def _gone(task: Task, found: Found) -> bool:
    """Whether a parked record has been dealt with by somebody else."""
    return task.parked_id is not None and task.parked_id not in found.parked_ids


def _check_fence(unit: Unit, found: Found) -> None:
    for partition, mark in unit.expected.items():
        stored = found.checkpoints.get(partition, Mark(0, 0))
        if stored != mark:
            raise Fenced(f"{partition}: expected {mark}, stored is {stored}")


def _marks(tasks: Iterable[Task]) -> dict[tuple[str, int], Mark]:
    """Where the partitions stand once these tasks are done."""
    return {t.partition: t.mark for t in tasks if t.partition is not None and t.mark is not None}
