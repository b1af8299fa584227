"""What a journey carried: per service, which records made it write which rows, in how many transactions.

Read from the services' databases after a run, so that the transport floor carries the same bytes. Every message knows what
caused it: the id of a record that was consumed, or an effect's or timer's answer inside the service. The latter are counted
to the record before them, one transaction later (a *phase*).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

Headers = list[tuple[str, bytes]]

#: Causes inside a service; anything else that is no known message came from a channel.
INTERNAL = ("effect:", "timer:")


class Noted(NamedTuple):
    """One message of a log, in the order of its id: its own id, its type, its topic (empty when it is private), and the
    correlation and cause that its row states."""

    id: str
    type: str
    topic: str
    correlation: str
    causation: str


class Totals(NamedTuple):
    """All messages of one type that one service wrote during a run: how many, and how large on average (bytes)."""

    type: str
    topic: str
    messages: int
    data_bytes: float
    meta_bytes: float
    key_chars: float
    stream_chars: float


class Reaction(NamedTuple):
    """Rows of a type that a service writes for each record of a type: how many on average, and in which phase."""

    cause: str
    type: str
    phase: int
    per_cause: float


class Template(msgspec.Struct, frozen=True):
    """A row and record of the floor: the bytes of a real one, cut or padded to the average length of its type.

    The first byte of ``data`` is the type's number, which is all that the floor's processes look at.
    """

    topic: str
    data: bytes
    meta: bytes
    headers: Headers
    key_chars: int
    type: str


class Part(msgspec.Struct, frozen=True):
    """What one process of the floor does. ``reactions`` maps the number of a consumed type to (number of the type to
    write, phase, rows per record). ``records_per_transaction`` is the run's average, which it tries to fill.
    ``entries_per_record`` is for a process without a log (a read model): rows that it keeps of what it reads."""

    service: str
    topics: list[str]
    reactions: dict[int, list[tuple[int, int, float]]]
    records_per_transaction: int
    entries_per_record: float = 0.0


class Traffic(msgspec.Struct, frozen=True):
    """Everything that the floor needs: the types by number (0 is the order that the channel sends) and its processes."""

    templates: list[Template]
    parts: list[Part]


def reactions(
    logs: Mapping[str, Sequence[Noted]],
    consumed: Mapping[str, Iterable[str]],
    entry: str,
    entries: int,
) -> dict[str, list[Reaction]]:
    """The reactions of each service, from the logs of a sample of orders.

    ``consumed`` names each service's topics; ``entry`` is the type that the channel sent, ``entries`` how many of it the
    sample has. Raises ValueError when a message's cause cannot be found.
    """
    known = {m.id: m for log in logs.values() for m in log}
    sent = Counter({entry: entries})
    sent.update(m.type for m in known.values() if m.topic)
    topics = {m.type: m.topic for m in known.values()}
    out: dict[str, list[Reaction]] = {}
    for service, log in logs.items():
        counts: Counter[tuple[str, str, int]] = Counter()
        last: dict[str, tuple[str, int, str]] = {}
        for m in log:
            cause, phase = _cause(m, known, last, entry)
            last[m.correlation] = (cause, phase, m.causation)
            counts[cause, m.type, phase] += 1
        for cause, _, _ in counts:
            if cause != entry and topics[cause] not in set(consumed[service]):
                raise ValueError(f"{service} reacts to {cause}, but does not read {topics[cause]}")
        out[service] = [Reaction(c, t, p, n / sent[c]) for (c, t, p), n in counts.items()]
    return out


def _cause(
    m: Noted, known: Mapping[str, Noted], last: Mapping[str, tuple[str, int, str]], entry: str
) -> tuple[str, int]:
    """The consumed type that a message goes back to, and how many transactions later it was written."""
    if m.causation in known:
        return known[m.causation].type, 0
    if not m.causation.startswith(INTERNAL):
        return entry, 0
    if m.correlation not in last:
        raise ValueError(f"{m.id} was caused by {m.causation}, before which nothing was written")
    cause, phase, causation = last[m.correlation]
    return cause, phase if causation == m.causation else phase + 1


def expected(traffic: Traffic, orders: int) -> dict[str, dict[int, int]]:
    """How many rows of each type each process of the floor writes for a number of orders: what it waits for.

    The processes carry fractions over from record to record, so each pair of types gives exactly the floor of its
    share. Types form no circle, so a few rounds settle it.
    """
    arrived: dict[int, int] = {0: orders}
    written: dict[str, dict[int, int]] = {}
    for _ in range(len(traffic.templates) + 1):
        written = {
            part.service: _written(part, _readable(traffic, part, arrived))
            for part in traffic.parts
        }
        now = {0: orders}
        for rows in written.values():
            for number, count in rows.items():
                if traffic.templates[number].topic:
                    now[number] = now.get(number, 0) + count
        if now == arrived:
            return written
        arrived = now
    raise ValueError("the types of the journey cause each other in a circle")


def consumed_records(traffic: Traffic, part: Part, orders: int) -> int:
    """How many records a process of the floor reads, whether it reacts to them or not."""
    written = expected(traffic, orders)
    arrived = {0: orders}
    for rows in written.values():
        for number, count in rows.items():
            arrived[number] = arrived.get(number, 0) + count
    return sum(_readable(traffic, part, arrived).values())


def _readable(traffic: Traffic, part: Part, arrived: Mapping[int, int]) -> dict[int, int]:
    return {n: c for n, c in arrived.items() if traffic.templates[n].topic in part.topics}


def _written(part: Part, arrived: Mapping[int, int]) -> dict[int, int]:
    out: dict[int, int] = defaultdict(int)
    for cause, reacted in part.reactions.items():
        for number, _, per_cause in reacted:
            out[number] += whole(arrived.get(cause, 0) * per_cause)
    return dict(out)


def fractions(part: Part) -> int:
    """How many of a process's reactions write a share of a row."""
    return sum(share % 1 != 0 for reacted in part.reactions.values() for _, _, share in reacted)


def whole(share: float) -> int:
    """The whole rows in a share; a share that is whole but for the error of floating point counts as whole."""
    return int(share + 1e-6)


def fitted(sample: bytes, length: float) -> bytes:
    """A sample's bytes cut, or repeated, to a length (at least one byte)."""
    size = max(1, round(length))
    return (sample * (size // max(1, len(sample)) + 1))[:size] if sample else b"x" * size


def numbered(data: bytes, number: int) -> bytes:
    """Data whose first byte is a type's number."""
    if not 0 <= number < 256:
        raise ValueError(f"{number} types do not fit a byte")
    return bytes([number]) + data[1:]
