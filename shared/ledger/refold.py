"""Folds every stream of a service again from its log, and compares with the snapshots byte for byte.

Events are the truth: whatever a snapshot holds beyond what its events say is a fault of a decider that is not pure, of a
changed `evolve` without a new schema, or of somebody's hand. Nothing is decided and nothing is sent.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from shared.events import BadPayload, UnknownType
from shared.ledger.store import Snapshot
from shared.ledger.table import Table

#: Events read at a time. Streams are read in the order of their ids, so one state at a time is in memory.
PAGE = 5_000

#: A row of the log: stream, version, type, data.
Row = tuple[str, int, str, bytes]


class Difference(NamedTuple):
    """A stream whose snapshot is not what its events say, and how they differ."""

    stream: str
    reason: str


@dataclass(slots=True)
class Progress:
    """What has been folded so far."""

    events: int = 0
    streams: int = 0


class Folded(NamedTuple):
    """The end of a stream: its version and its encoded state; ``problem`` where it cannot be folded."""

    stream: str
    version: int
    state: bytes
    guard: int
    schema: int
    problem: str = ""


class LogStore(Protocol):
    """A store that lists its whole log and its snapshots by stream id, a page at a time."""

    async def log_page(self, stream: str, version: int, limit: int) -> list[Row]:
        """Events after a stream's version, in order of stream and version."""
        ...

    async def snapshots_of(self, streams: list[str]) -> dict[str, Snapshot]:
        """The rows of these streams."""
        ...

    async def snapshots_without_events(self, limit: int) -> list[str]:
        """Streams that have a row and no event."""
        ...


async def refold(
    table: Table, store: LogStore, *, progress: Progress | None = None, page: int = PAGE
) -> AsyncIterator[Difference]:
    """Yield every stream of a service whose snapshot differs from what its events fold to.

    Reads while the service runs: a stream that is appended to between its events and its snapshot is read again.
    """
    progress = progress or Progress()
    folder = Folder(table, progress)
    at = ("", 0)
    while rows := await store.log_page(*at, page):
        at = (rows[-1][0], rows[-1][1])
        for difference in await _compare(table, store, list(folder.fold(rows))):
            yield difference
    for difference in await _compare(table, store, list(folder.finish())):
        yield difference
    for stream in await store.snapshots_without_events(page):
        yield Difference(stream, "has a snapshot and no event")


class Folder:
    """Folds rows that come in order of stream and version, and gives out each stream when the next one begins."""

    def __init__(self, table: Table, progress: Progress) -> None:
        self._table = table
        self._progress = progress
        self._stream = ""
        self._version = 0
        self._state: Any = None
        self._evolve: Any = None
        self._problem = ""

    def fold(self, rows: Iterable[Row]) -> Iterator[Folded]:
        """Take rows in; yields the streams that ended."""
        decode = self._table.codec.decode
        count = 0
        for stream, version, tag, data in rows:
            count += 1
            if stream != self._stream:
                yield from self.finish()
                self._begin(stream)
            if self._problem:
                continue
            if version != self._version + 1:
                self._problem = f"version {version} follows {self._version}"
                continue
            try:
                self._state = self._evolve(self._state, decode(tag, data))
            except (UnknownType, BadPayload) as error:
                self._problem = f"version {version}: {error}"
            self._version = version
        self._progress.events += count

    def _begin(self, stream: str) -> None:
        category = self._table.category(stream)
        self._stream, self._version, self._problem = stream, 0, ""
        self._state, self._evolve = category.initial(), category.evolve
        self._progress.streams += 1

    def finish(self) -> Iterator[Folded]:
        """The stream that is being folded, as ended."""
        if not self._stream:
            return
        category = self._table.category(self._stream)
        stream, self._stream = self._stream, ""
        if self._problem:
            yield Folded(stream, 0, b"", 0, 0, self._problem)
            return
        state, guard = self._table.encode_state(self._state), category.guard(self._state)
        yield Folded(stream, self._version, state, guard, category.schema)


async def _compare(table: Table, store: LogStore, ended: list[Folded]) -> list[Difference]:
    found = await store.snapshots_of([f.stream for f in ended]) if ended else {}
    out: list[Difference] = []
    for folded in ended:
        snapshot = found.get(folded.stream)
        if snapshot is not None and not folded.problem and snapshot.version > folded.version:
            folded, snapshot = await _again(table, store, folded, snapshot)  # noqa: PLW2901
        if reason := _differs(folded, snapshot):
            out.append(Difference(folded.stream, reason))
    return out


async def _again(
    table: Table, store: LogStore, folded: Folded, snapshot: Snapshot
) -> tuple[Folded, Snapshot]:
    """The stream has grown since its events were read: fold it anew, up to the snapshot that was seen."""
    folder, at = Folder(table, Progress()), 0
    while at < snapshot.version:
        page = await store.log_page(folded.stream, at, snapshot.version - at)
        mine = [row for row in page if row[0] == folded.stream]
        if not mine:
            break
        list(folder.fold(mine))
        at = mine[-1][1]
    return next(folder.finish(), folded), snapshot


def _differs(folded: Folded, snapshot: Snapshot | None) -> str:
    if folded.problem:
        return folded.problem
    if snapshot is None:
        return f"has {folded.version} events and no snapshot"
    if snapshot.version != folded.version:
        return f"the snapshot is of version {snapshot.version}, the events end at {folded.version}"
    if snapshot.schema != folded.schema:
        return ""  # of a former shape: folded anew when the stream is next used
    if snapshot.state != folded.state:
        return f"the snapshot's {len(snapshot.state)} bytes are not those of the refold"
    if snapshot.guard != folded.guard:
        return f"the guard is {snapshot.guard}, the refold's {folded.guard}"
    return ""
