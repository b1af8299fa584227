"""An order's timeline: every record about it in an order that never shows an effect before its
cause, and as a tree of causes.

Clocks of services differ by a little, so times alone can put an effect first. An event's
``causation`` is the id of the message whose handling decided it: an event, a command (``<id of the
message that sent it>:<n>``), a request, a timer or an answer from outside."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One record about an order. ``position`` is its place in the producer's feed, -1 for outside
    producers; ``elapsed_ms`` is the time since the entry before it; ``parent`` the id of the entry
    that caused it, if it is known."""

    seq: int = 0
    id: str
    at: datetime
    elapsed_ms: int = 0
    service: str
    type: str
    summary: str
    actor: str
    causation_id: str
    parent: str | None = None
    correlation_id: str
    topic: str
    partition: int
    offset: int
    position: int
    data: Any


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the tree of causes: an entry, or something outside the order's log that started
    entries."""

    id: str
    kind: str
    summary: str
    at: datetime | None = None
    service: str = ""
    leads_to: tuple["Cause", ...] = ()


def parent_of(causation: str, known: Iterable[str]) -> str | None:
    """The one of the known ids behind a causation id: itself, or the one whose handling sent the
    command that it names."""
    ids = known if isinstance(known, (set, dict)) else set(known)
    if causation in ids:
        return causation
    sender = _sender(causation)
    return sender if sender in ids else None


def _sender(causation: str) -> str:
    sender, _, number = causation.rpartition(":")
    return sender if number.isdigit() else causation


def ordered(entries: Iterable[Entry]) -> list[Entry]:
    """The entries by time, causes before effects, numbered from 1, with parents and elapsed
    times."""
    by_time = sorted(entries, key=lambda e: (e.at, e.topic, e.position, e.id))
    by_id = {e.id: e for e in by_time}
    out: list[Entry] = []
    placed: set[str] = set()
    for entry in by_time:
        # Walk up to causes that are not placed yet; an id that comes twice in the chain ends it.
        chain: list[Entry] = []
        current: Entry | None = entry
        while current is not None and current.id not in placed:
            placed.add(current.id)
            chain.append(current)
            parent = parent_of(current.causation_id, by_id)
            current = by_id.get(parent) if parent else None
        out += reversed(chain)
    return _numbered(out, by_id)


def _numbered(entries: Sequence[Entry], by_id: dict[str, Entry]) -> list[Entry]:
    out: list[Entry] = []
    for seq, entry in enumerate(entries, start=1):
        elapsed = entry.at - out[-1].at if out else timedelta(0)
        out.append(
            msgspec.structs.replace(
                entry,
                seq=seq,
                elapsed_ms=max(0, round(elapsed / timedelta(milliseconds=1))),
                parent=parent_of(entry.causation_id, by_id),
            )
        )
    return out


def causes(entries: Sequence[Entry]) -> list[Cause]:
    """The tree of causes of `ordered` entries, roots in order of time.

    A root is something outside these entries: a request, an answer from outside, a deadline. What it
    decided and what its commands led to stand under one root.
    """
    said = {e.causation_id for e in entries}
    children: dict[str, list[Entry]] = {}
    roots: dict[str, None] = {}
    for entry in entries:
        if entry.parent:
            children.setdefault(entry.parent, []).append(entry)
            continue
        sender = _sender(entry.causation_id)
        root = sender if sender in said else entry.causation_id
        roots[root] = None
        children.setdefault(f"outside {root}", []).append(entry)
    return [
        Cause(
            id=root,
            kind=outside(root),
            summary=_OUTSIDE[outside(root)],
            leads_to=tuple(_cause(e, children) for e in children[f"outside {root}"]),
        )
        for root in roots
    ]


def _cause(entry: Entry, children: dict[str, list[Entry]]) -> Cause:
    return Cause(
        id=entry.id,
        kind="event",
        summary=entry.summary,
        at=entry.at,
        service=entry.service,
        leads_to=tuple(_cause(e, children) for e in children.get(entry.id, ())),
    )


_OUTSIDE = {
    "request": "A request over HTTP",
    "effect": "An answer from outside, such as the payment provider's",
    "timer": "A deadline came",
    "message": "A message from outside this order's log",
    "unknown": "No cause was recorded",
}


def outside(causation: str) -> str:
    """The kind of cause that no entry stands for."""
    if not causation:
        return "unknown"
    kind = causation.partition(":")[0]
    return kind if kind in _OUTSIDE else "message"
