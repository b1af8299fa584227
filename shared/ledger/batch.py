"""Deciding one batch in memory: streams in, rows out. No I/O happens here."""

from collections.abc import Container, Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from zlib import crc32

from shared.events import (
    CancelTimer,
    Command,
    Context,
    Effect,
    Event,
    Items,
    Message,
    Refused,
    StartTimer,
    encode,
)
from shared.events.catalogue import route
from shared.ledger.store import EffectRow, Found, LogRow, Meta, Snapshot, TimerRow, Want, Writes
from shared.ledger.table import Table
from shared.ledger.work import Outcome, Task, Unit

LEASE = timedelta(seconds=15)

#: Larger messages are refused when appended, because the broker would refuse them later and stop the feed.
MESSAGE_BYTES_MAX = 900_000


class TooLarge(ValueError):
    """A message is larger than the broker takes."""


class Unreadable(Exception):
    """A stream's snapshot, or an event that it must be folded from, cannot be decoded: whoever needs the stream fails,
    and nobody else."""


@cache
def _address(type: type[Message], service: str) -> tuple[str, str]:
    """A message type's tag, and the topic on which a service sends it; empty when it is private."""
    return type.tag(), route(type, service) or ""


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key; the relay publishes where the log says, so a key never moves by itself."""
    return crc32(key.encode()) % partitions


def wanted(
    table: Table,
    units: Iterable[Unit],
    suspects: set[tuple[str, bytes]],
    poison: Container[int] = (),
) -> Want:
    """Everything that these units need to see; of keys only those that may be parked. Tasks whose ``id()`` is in
    ``poison`` are not decided about, and need no streams: the database may refuse even their names."""
    want = Want()
    for unit in units:
        want.checkpoints.update(unit.expected)
        for task in unit.tasks:
            if suspects and task.record is not None and task.parked_id is None:
                want.parked_keys |= suspects & {(task.record.topic, task.record.key)}
            if task.parked_id is not None:
                want.parked_ids.add(task.parked_id)
            if task.effect is not None:
                want.effects.add(task.effect)
            if task.timer is not None:
                want.timers.add(task.timer)
            if task.idempotency is not None:
                want.answers.add(task.idempotency[:2])
            if task.message is not None and id(task) not in poison:
                handler = table.handlers.get(type(task.message))
                if handler is not None:
                    try:
                        want.streams.update(handler.streams(task.message))
                    except Exception:  # noqa: BLE001, S112 - raised again where it fails this task alone
                        continue
    return want


class Batch:
    """The states of a batch's streams, and what its tasks decide about them, one task after the other."""

    def __init__(
        self, table: Table, found: Found, states: dict[str, Any], now: datetime, partitions: int
    ) -> None:
        self._table = table
        self._found = found
        self._states = states
        self._versions = {id: s.version for id, s in found.streams.items()}
        self._partitions = partitions
        self._now = now
        self._touched: set[str] = set()
        self._projected: list[Message] = []
        self.writes = Writes(at=now, leased_until=now + LEASE)

    def handle(self, task: Task) -> Outcome:
        """Decide one task. Nothing of it stays when its decider fails: the error is the caller's to park or report."""
        assert task.message is not None
        handler = self._table.handlers[type(task.message)]
        streams = handler.streams(task.message)
        context = Context(
            now=self._now,
            message_id=task.id,
            correlation_id=task.correlation_id or task.message.key,
            actor=task.actor,
        )
        states = {id: self._state(id) for id in streams}
        outcome = Outcome()
        pending = self._collect(
            handler.decide(states, task.message, context), states, context, outcome
        )
        self._keep(task, context, pending, states)
        outcome.states = states
        return outcome

    def _state(self, stream: str) -> Any:
        state = self._states.get(stream)
        if state is None:
            state = self._states[stream] = self._table.category(stream).initial()
        if isinstance(state, Unreadable):
            raise state
        return state

    def _collect(
        self, items: Items, states: dict[str, Any], context: Context, outcome: Outcome
    ) -> Items:
        """Fold events as they come, add what their categories react with, and note refusals."""
        pending: Items = []
        for item in items:
            if isinstance(item, Event):
                stream = item.subject
                category = self._table.category(stream)
                state = category.evolve(states[stream], item)
                states[stream] = state
                outcome.events.append(item)
                pending.append(item)
                if category.react is not None:
                    pending.extend(category.react(state, item, context))
            elif isinstance(item, Refused):
                outcome.refused = item
            else:
                pending.append(item)
        return pending

    def _keep(self, task: Task, context: Context, items: Items, states: dict[str, Any]) -> None:
        """Turn items into rows. Encodes everything before it changes anything, so that a failure leaves no trace."""
        meta = _encode_meta(task, context)
        rows: list[LogRow] = []
        timers: dict[tuple[str, str], TimerRow | None] = {}
        effects: dict[str, EffectRow] = {}
        versions: dict[str, int] = {}
        sent = 0
        for item in items:
            if isinstance(item, Event):
                stream = item.subject
                version = versions.get(stream) or self._versions.get(stream, 0)
                versions[stream] = version + 1
                rows.append(self._row(item, stream, version + 1, meta))
            elif isinstance(item, Command):
                command_meta = _encode_meta(task, context, id=f"{task.id}:{sent}")
                rows.append(self._row(item, item.subject, 0, command_meta))
                sent += 1
            elif isinstance(item, StartTimer):
                ref = (item.message.subject, item.name)
                timers[ref] = TimerRow(
                    *ref, item.due_at, item.message.tag(), encode(item.message), meta
                )
            elif isinstance(item, CancelTimer):
                timers[(item.subject, item.name)] = None
            elif isinstance(item, Effect):
                tag = str(item.request.__struct_config__.tag)
                effects[item.id] = EffectRow(item.id, item.subject, tag, encode(item.request), meta)
        if task.timer is not None:
            self.writes.timers[task.timer.subject, task.timer.name] = None
        types = self._table.projection.types
        if types:
            assert task.message is not None
            events = (i for i in items if isinstance(i, Event))
            self._projected += [m for m in (task.message, *events) if type(m) in types]
        self.writes.rows += rows
        self.writes.timers |= timers
        self.writes.effects |= effects
        self._versions |= versions
        self._states |= states
        self._touched.update(versions)

    def _row(self, message: Message, stream: str, version: int, meta: bytes) -> LogRow:
        data = encode(message)
        tag, topic = _address(type(message), self._table.service)
        # What the headers are made of counts as well: an outsider may send a correlation of any length.
        size = len(data) + len(meta)
        if size > MESSAGE_BYTES_MAX and topic:
            raise TooLarge(f"{tag} has {size} bytes, at most {MESSAGE_BYTES_MAX} fit")
        key = message.key
        partition = partition_of(key, self._partitions) if topic else -1
        return LogRow(stream, version, tag, topic, partition, key, meta, data)

    def finish(self) -> Writes:
        """The batch's writes, with a snapshot of every stream that gained an event."""
        for stream in self._touched:
            state = self._states[stream]
            category = self._table.category(stream)
            self.writes.streams[stream] = Snapshot(
                self._versions[stream],
                category.schema,
                self._table.encode_state(state),
                category.guard(state),
            )
        if self._projected:
            statements = self._table.projection.statements(self._projected, self._states)
            self.writes.statements += statements
        return self.writes


def _encode_meta(task: Task, context: Context, id: str = "") -> bytes:
    return encode(
        Meta(
            correlation=context.correlation_id,
            causation=task.cause or task.id,
            actor=task.actor,
            trace=task.traceparent,
            id=id,
        )
    )
