"""Folding one batch of events in memory: documents in, rows out. No I/O happens here."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from services.views.domain import document as documents
from services.views.domain.document import Document
from services.views.domain.terms import Term
from services.views.handlers import PROJECTED
from shared.events import Event
from shared.ledger.store import Mark, ParkedRow, Partition, Record
from shared.ledger.work import Outcome, Task, parked_row

#: Of a record whose producer gave no time: nothing is invented, so that a rebuild gives the same
#: bytes.
NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class Meta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a timeline row keeps of the envelope."""

    id: str
    correlation: str = ""
    causation: str = ""
    actor: str = ""
    trace: str = ""


class Entry(NamedTuple):
    """One timeline row."""

    order_id: str
    at: datetime
    type: str
    partition: int
    offset: int
    position: int
    meta: bytes
    data: bytes


_encode = msgspec.json.Encoder().encode


class Batch:
    """Applies tasks one after the other. A task that fails leaves no trace and is parked with its
    key."""

    def __init__(self, found: dict[str, Document], parked_keys: set[tuple[str, bytes]]) -> None:
        self._found = found
        self._parked_keys = parked_keys
        self.documents: dict[str, Document] = {}
        self.entries: list[Entry] = []
        self.movements: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        self.terms: dict[tuple[str, str], Term] = {}
        self.checkpoints: dict[Partition, Mark] = {}
        self.parked: list[ParkedRow] = []
        self.parked_done: set[int] = set()

    def was(self, order_id: str) -> int:
        """The version of a document before this batch; 0 when there was none."""
        found = self._found.get(order_id)
        return 0 if found is None else found.version

    def settle(self, task: Task, poison: str = "") -> Outcome:
        """Apply one task, or park it, and move its partition's mark."""
        if task.partition is not None and task.mark is not None:
            self.checkpoints[task.partition] = task.mark
        record = task.record
        if record is None:
            return Outcome(skipped=True)
        if task.parked_id is None and (record.topic, record.key) in self._parked_keys:
            return self._park(task, "queued behind a parked message of the same key")
        error = poison or task.error
        if not error and task.message is not None:
            try:
                self._apply(task, task.message, record)  # type: ignore[arg-type]
            except Exception as failed:  # noqa: BLE001 - parked, and reported by the runtime
                error = f"{type(failed).__name__}: {failed}"
        if error:
            return self._park(task, error)
        if task.parked_id is not None:
            self.parked_done.add(task.parked_id)
        return Outcome()

    def _apply(self, task: Task, event: Event, record: Record) -> None:
        """Compute everything before anything is kept."""
        plan = PROJECTED.get(type(event))
        if plan is None:
            return
        at = task.time or NO_TIME
        moved = plan.moves(event) if plan.moves else ()
        found = plan.terms(event) if plan.terms else ()
        if plan.listed:
            order_id: str = event.order_id  # type: ignore[attr-defined]
            if plan.folds:
                self.documents[order_id] = documents.apply(self._document(order_id), event, at)
            for term in found:
                self.terms[term.term, order_id] = term
            self.entries.append(_entry(order_id, at, task, record, plan.tag))
        for movement in moved:
            sums = self.movements[movement.sku, movement.location]
            sums[0] += movement.on_hand
            sums[1] += movement.reserved
            sums[2] += movement.allocated

    def _document(self, order_id: str) -> Document:
        document = self.documents.get(order_id) or self._found.get(order_id)
        return document or Document(order_id=order_id)

    def _park(self, task: Task, error: str) -> Outcome:
        """Put the record aside. One that is already parked stays where it is, in its order."""
        assert task.record is not None
        if task.parked_id is None:
            self.parked.append(parked_row(task, error))
            self._parked_keys.add((task.record.topic, task.record.key))
        return Outcome(parked=error)


def _entry(order_id: str, at: datetime, task: Task, record: Record, tag: str) -> Entry:
    meta = Meta(task.id, task.correlation_id, task.causation_id, task.actor, task.traceparent)
    return Entry(
        order_id,
        at,
        tag,
        record.partition,
        record.offset,
        _position(task, record),
        _encode(meta),
        record.value,
    )


def _position(task: Task, record: Record) -> int:
    """The record's place in its producer's feed; -1 when it is not part of a chain. What was parked
    has no mark any more, and is asked for its header."""
    if task.chained and task.mark is not None:
        return task.mark.sequence
    if task.parked_id is None:
        return -1
    return next((int(value) for name, value in record.headers if name == "ce_sequence"), -1)
