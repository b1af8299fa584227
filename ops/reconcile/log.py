"""The logs as reconciliation reads them: rows of a consistent cut, decoded, and gathered by order."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar

from shared.events import Message, catalogue
from shared.ledger.store import Meta, Partition

M = TypeVar("M", bound=Message)


class Row(NamedTuple):
    """One row of ``messages``, and (with a stream's last event) the stream's snapshot.

    ``group`` is what rows are gathered by: the key, except in streams that many keys share.
    """

    position: int
    group: str
    key: str
    stream: str
    version: int | None
    type: str
    topic: str | None
    partition: int | None
    at: datetime
    meta: bytes
    data: bytes
    schema: int | None = None
    state: bytes | None = None
    guard: int | None = None


class FeedLine(NamedTuple):
    """A message's place in the log; ``previous`` chains a published one to its predecessor on the topic and partition."""

    position: int
    previous: int | None
    topic: str | None
    partition: int | None
    stream: str
    version: int | None


class Cut(NamedTuple):
    """Where one service stood at the instant at which its log is read.

    ``marks`` are what it has consumed, ``heads`` what it has given positions to, ``effects`` the calls that it owes (id
    to stream), ``due`` the streams whose timers are overdue, ``parked`` the topics and keys that were put aside,
    ``given_up`` the places in producers' feeds (topic, partition, position) of messages that a person has given up.
    """

    at: datetime
    marks: dict[Partition, int]
    heads: dict[Partition, int]
    position: int
    published: int
    effects: Mapping[str, str] = MappingProxyType({})
    effects_parked: int = 0
    due: frozenset[str] = frozenset()
    parked: frozenset[tuple[str, str]] = frozenset()
    given_up: frozenset[tuple[str, int, int]] = frozenset()


class ServiceLog(Protocol):
    """One service's database, as it was at its cut."""

    @property
    def service(self) -> str: ...
    @property
    def cut(self) -> Cut: ...
    def rows(self) -> Iterator[Row]:
        """All messages, ordered by group, stream, version (commands last) and position."""
        ...

    def feed(self) -> Iterator[FeedLine]:
        """Every message's place, ordered by position."""
        ...

    def stray_snapshots(self) -> Iterator[tuple[str, int]]:
        """Snapshots (stream, version) without an event of that version."""
        ...


class ViewRow(NamedTuple):
    """One row of the order view."""

    id: str
    version: int
    document: bytes
    status: str
    channel: str
    number: str
    placed_at: datetime | None


class ToldRow(NamedTuple):
    """One row of the view's timeline."""

    order_id: str
    type: str
    position: int
    data: bytes


class ViewsLog(Protocol):
    """The live version of the read models, at its cut."""

    @property
    def cut(self) -> Cut: ...
    def orders(self) -> Iterator[ViewRow]:
        """All rows, ordered by id."""
        ...

    def timeline(self) -> Iterator[ToldRow]:
        """All rows, in any order."""
        ...

    def availability(self) -> Iterator[tuple[str, str, int, int, int]]:
        """SKU, location, on hand, reserved, allocated."""
        ...


@dataclass(slots=True, eq=False)
class Entry:
    """One message of a log. ``message`` is None when its bytes cannot be read (which is reported)."""

    service: str
    row: Row
    id: str
    meta: Meta
    message: Message | None

    @property
    def stream(self) -> str:
        """The stream that it belongs to, or is addressed to."""
        return self.row.stream

    @property
    def number(self) -> int:
        """Its version; 0 for a command."""
        return self.row.version or 0


class Cuts:
    """The cuts of all services that take part."""

    def __init__(self, cuts: dict[str, Cut]) -> None:
        self._cuts = cuts

    def __contains__(self, service: str) -> bool:
        return service in self._cuts

    def __getitem__(self, service: str) -> Cut:
        return self._cuts[service]

    def values(self) -> Iterable[Cut]:
        """Every cut."""
        return self._cuts.values()

    def items(self) -> Iterable[tuple[str, Cut]]:
        """Every service with its cut."""
        return self._cuts.items()

    def reached(self, consumer: str, entry: Entry) -> bool:
        """Whether ``consumer`` had handled the message: not when it is absent here, or has parked the message's key."""
        row, cut = entry.row, self._cuts.get(consumer)
        if cut is None or row.topic is None or row.partition is None:
            return False
        if cut.marks.get((row.topic, row.partition), 0) < row.position:
            return False
        return (row.topic, row.key) not in cut.parked

    def given_up(self, consumer: str, entry: Entry) -> bool:
        """Whether a person at ``consumer`` has put the message aside for good."""
        row, cut = entry.row, self._cuts.get(consumer)
        return cut is not None and (row.topic, row.partition, row.position) in cut.given_up


@dataclass(slots=True, eq=False)
class Dossier:
    """Everything that the logs hold about one key: an order, or a stock movement."""

    key: str
    streams: dict[str, list[Entry]] = field(default_factory=dict)
    commands: list[Entry] = field(default_factory=list)
    _settled: bool | None = None

    def add(self, entry: Entry) -> None:
        """One more entry, in the order of its service's log."""
        if entry.row.version is None:
            self.commands.append(entry)
        else:
            self.streams.setdefault(entry.row.stream, []).append(entry)

    @property
    def order(self) -> list[Entry]:
        """The events of the order itself; none when the key is no order."""
        return self.streams.get(f"order-{self.key}", [])

    def streams_of(self, prefix: str) -> Iterator[tuple[str, list[Entry]]]:
        """The streams of one kind, with their events."""
        for stream, entries in self.streams.items():
            if stream.partition("-")[0] == prefix:
                yield stream, entries

    def entries(self) -> Iterator[Entry]:
        """All events and commands."""
        for events in self.streams.values():
            yield from events
        yield from self.commands

    def of(self, *types: type[M]) -> Iterator[tuple[Entry, M]]:
        """Entries with messages of these types."""
        for entry in self.entries():
            if isinstance(entry.message, types):
                yield entry, entry.message

    def settled(self, cuts: Cuts) -> bool:
        """Whether nothing is under way for this key: all is consumed, no call is owed, no timer overdue."""
        if self._settled is None:
            self._settled = self._is_settled(cuts)
        return self._settled

    def _is_settled(self, cuts: Cuts) -> bool:
        for entry in self.entries():
            topic = entry.row.topic
            for consumer in CORE_CONSUMERS.get(topic or "", ()):
                if consumer in cuts and not cuts.reached(consumer, entry):
                    return False
        for cut in cuts.values():
            if not cut.due.isdisjoint(self.streams):
                return False
            if any(subject in self.streams for subject in cut.effects.values()):
                return False
        return True


#: Whose handling an order's journey depends on.
CORE_CONSUMERS: dict[str, tuple[str, ...]] = {
    catalogue.REQUESTS: ("inventory", "fulfillment"),
    catalogue.FORWARDED: ("order", "fulfillment", "returns"),
    "oms.inventory.events": ("order",),
    "oms.fulfillment.events": ("order",),
    "oms.returns.events": ("order",),
    "oms.order.events": ("returns",),
}


def events(entries: Iterable[Entry], *types: type[Any]) -> Iterator[tuple[Entry, Any]]:
    """Entries with messages of these types."""
    for entry in entries:
        if isinstance(entry.message, types):
            yield entry, entry.message
