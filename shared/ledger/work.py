"""What the writer is given to do, and what it answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from shared.events import Event, Message, Refused
from shared.ledger.store import Answer, Mark, ParkedRow, Partition, Record, TimerRef


@dataclass(slots=True, eq=False)
class Task:
    """One message to handle, and what must hold or be settled in the same transaction.

    ``mark`` and ``record`` belong to a message from a topic: how far its handling advances the partition (``chained``
    when by a producer's position), and the record to park when it cannot be handled. ``message`` is None when the record
    needs no handling, or cannot be decoded (``error`` says why, and the record is parked). ``causation_id`` and ``time``
    are those of the record's envelope. ``cause`` is recorded as causation where it is not ``id`` itself: the answer of
    an effect, or a timer, descends from the message that asked for it. ``effect``, ``timer`` and ``parked_id`` are
    claimed: when they are gone, somebody else has done this and nothing happens. ``idempotency`` is (scope, key,
    fingerprint).
    """

    message: Message | None
    id: str
    correlation_id: str = ""
    actor: str = ""
    traceparent: str = ""
    cause: str = ""
    causation_id: str = ""
    time: datetime | None = None
    partition: Partition | None = None
    mark: Mark | None = None
    chained: bool = False
    record: Record | None = None
    error: str = ""
    effect: str | None = None
    timer: TimerRef | None = None
    parked_id: int | None = None
    idempotency: tuple[str, str, bytes] | None = None
    respond: "Callable[[Outcome], Answer] | None" = None


@dataclass(slots=True, eq=False, kw_only=True)
class RecordTask(Task):
    """A task from a topic: it always moves its partition on."""

    partition: Partition
    mark: Mark


@dataclass(slots=True)
class Outcome:
    """What became of a task, once it is durable."""

    events: list[Event] = field(default_factory=list)
    refused: Refused | None = None
    skipped: bool = False
    parked: str = ""
    answer: Answer | None = None
    states: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Unit:
    """Tasks that one caller hands over together, in order; ``expected`` are the checkpoints that a consumer believes to
    be stored, its fence."""

    tasks: Sequence[Task]
    expected: dict[Partition, Mark] = field(default_factory=dict)


class IdempotencyMismatch(Exception):
    """The same Idempotency-Key came with another request before."""


class Overloaded(Exception):
    """Too much waits to be written: try again later."""


def parked_row(task: Task, error: str) -> ParkedRow:
    """The row that keeps a task's record aside, with its error."""
    record = task.record
    assert record is not None
    return ParkedRow(
        topic=record.topic,
        key=record.key,
        partition=record.partition,
        offset=record.offset,
        sequence=task.mark.sequence if task.chained and task.mark else -1,
        headers=msgspec.msgpack.encode(record.headers),
        value=record.value,
        error=printable(error),
    )


def printable(error: str) -> str:
    """An error's text as every database takes it: no NUL, no lone surrogate, at most 2,000 characters."""
    return error[:2000].replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


def unpack_headers(data: bytes) -> list[tuple[str, bytes]]:
    """The headers of a parked record."""
    return msgspec.msgpack.decode(data, type=list[tuple[str, bytes]])
