"""What becomes of each task of a batch: handled, already done, answered before, or parked. No I/O happens here."""

import structlog

from shared.ledger.batch import Batch
from shared.ledger.store import Found, Unwritable
from shared.ledger.table import Table
from shared.ledger.work import IdempotencyMismatch, Outcome, Task, parked_row

log = structlog.get_logger()

Result = Outcome | Exception


class Settlement:
    """Settles the tasks of one batch, one after the other. ``poison`` has, by the ``id()`` of a task, why the database
    refuses it."""

    def __init__(self, table: Table, batch: Batch, found: Found, poison: dict[int, str]) -> None:
        self._table = table
        self._batch = batch
        self._found = found
        self._poison = poison
        self._parked_keys = set(found.parked_keys)
        self._answers = dict(found.answers)

    def settle(self, task: Task) -> Result:
        """An outcome, or the error of a task that came from no record and so cannot be parked."""
        writes = self._batch.writes
        if task.partition is not None and task.mark is not None:
            writes.checkpoints[task.partition] = task.mark
        if self._already_done(task):
            return Outcome(skipped=True)
        if task.idempotency is not None and (answered := self._answered(task)) is not None:
            return answered
        record = task.record
        if (
            record is not None
            and task.parked_id is None
            and (record.topic, record.key) in self._parked_keys
        ):
            return self._park(task, "queued behind a parked message of the same key")
        error = self._poison.get(id(task)) or task.error
        if error:
            return self._park(task, error) if record is not None else Unwritable(error)
        if task.message is None or type(task.message) not in self._table.handlers:
            outcome = Outcome(skipped=True)
        else:
            try:
                outcome = self._batch.handle(task)
            except Exception as failed:
                log.exception("decider_failed", type=task.message.tag(), id=task.id)
                reason = f"{type(failed).__name__}: {failed}"
                return self._park(task, reason) if record is not None else failed
        return self._done(task, outcome)

    def _done(self, task: Task, outcome: Outcome) -> Outcome:
        """Settle what the task claimed, and keep the answer to a request."""
        writes = self._batch.writes
        if task.effect is not None:
            writes.effects_answered.add(task.effect)
        if task.parked_id is not None:
            writes.parked_done.add(task.parked_id)
        if task.idempotency is not None and task.respond is not None:
            scope, key, _ = task.idempotency
            outcome.answer = task.respond(outcome)
            writes.answers[scope, key] = self._answers[scope, key] = outcome.answer
        return outcome

    def _already_done(self, task: Task) -> bool:
        """Whether another process, or an earlier task of this batch, has claimed the effect, timer or parked record."""
        found, writes = self._found, self._batch.writes
        if task.effect is not None:
            return task.effect not in found.effects or task.effect in writes.effects_answered
        if task.timer is not None:
            moved = (task.timer.subject, task.timer.name) in writes.timers
            return task.timer not in found.timers or moved
        if task.parked_id is not None:
            return task.parked_id not in found.parked_ids or task.parked_id in writes.parked_done
        return False

    def _answered(self, task: Task) -> Result | None:
        assert task.idempotency is not None
        scope, key, fingerprint = task.idempotency
        answer = self._answers.get((scope, key))
        if answer is None:
            return None
        if answer.fingerprint != fingerprint:
            return IdempotencyMismatch(f"Idempotency-Key {key!r} was used for another request")
        return Outcome(skipped=True, answer=answer)

    def _park(self, task: Task, error: str) -> Outcome:
        """Put the record aside. One that is already parked stays where it is, in its order."""
        assert task.record is not None
        if task.parked_id is None:
            self._batch.writes.parked.append(parked_row(task, error))
            self._parked_keys.add((task.record.topic, task.record.key))
        return Outcome(parked=error)
