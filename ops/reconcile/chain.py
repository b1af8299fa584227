"""Invariant 8, inside one service: contiguous versions, true addresses, snapshots equal to the refold, a dense feed."""

from typing import Any

from ops.reconcile.log import Entry, Row, ServiceLog
from ops.reconcile.report import Check, Place, Tally
from ops.reconcile.spool import Spool
from shared.events import Event, Message, catalogue
from shared.ledger.store import Partition
from shared.ledger.table import Category, Table

READABLE = Check(8, "messages can be read and stand where they say")
VERSIONS = Check(8, "versions are contiguous in each stream")
SNAPSHOTS = Check(8, "snapshots equal the refold of their events")
POSITIONS = Check(8, "positions are dense, and rise within a stream")
FED = Check(8, "every public message is chained into the feed, no private one is")
CHECKS = (READABLE, VERSIONS, SNAPSHOTS, POSITIONS, FED)


class Streams:
    """Follows one service's rows, stream by stream. State is that of one stream at a time."""

    def __init__(self, table: Table, spool: Spool, tally: Tally) -> None:
        self._table = table
        self._spool = spool
        self._tally = tally
        self._last: Entry | None = None
        self._version = 0
        self._position = 0
        self._state: Any = None
        self._category: Category | None = None
        self._whole = True

    def event(self, entry: Entry) -> None:
        """One more event, in the order of stream and version."""
        row = entry.row
        if self._last is None or self._last.row.stream != row.stream:
            self.close()
            self._open(entry)
        self._tally.saw(VERSIONS)
        if entry.number != self._version + 1:
            self._gap(entry)
        self._version = entry.number
        if row.position <= self._position:
            why = f"position {row.position} is not after {self._position} of an earlier version"
            self._tally.violation(POSITIONS, entry, why)
        self._position = row.position
        self._fold(entry)
        self._last = entry

    def _open(self, entry: Entry) -> None:
        self._version, self._position, self._whole = 0, 0, True
        try:
            self._category = self._table.category(entry.stream)
            self._state = self._category.initial()
        except LookupError as error:
            self._category = None
            self._tally.violation(READABLE, entry, str(error))

    def _gap(self, entry: Entry) -> None:
        self._whole = False
        if entry.number == self._version:
            why = f"version {entry.number} stands twice"
        else:
            missing = f"{entry.stream}/{self._version + 1}"
            why = f"version {entry.number} follows {self._version}: {missing} is missing"
        self._tally.violation(VERSIONS, entry, why)

    def _fold(self, entry: Entry) -> None:
        if self._category is None or entry.message is None:
            self._whole = False
        if not self._whole:
            return
        assert self._category is not None
        try:
            self._state = self._category.evolve(self._state, entry.message)
        except Exception as error:  # noqa: BLE001 - whatever a tampered log makes of a fold is a finding
            self._whole = False
            self._tally.violation(
                SNAPSHOTS, entry, f"cannot be folded: {type(error).__name__}: {error}"
            )

    def close(self) -> None:
        """The stream's last event has been seen: compare its snapshot."""
        last, self._last = self._last, None
        if last is None or self._category is None:
            return
        row = last.row
        self._tally.saw(SNAPSHOTS)
        if row.state is None:
            self._tally.violation(
                SNAPSHOTS,
                last,
                f"the stream ends at version {self._version}, its snapshot does not",
            )
        elif not self._whole:
            self._tally.note(f"{last.service} {last.stream}: not refolded, its log is damaged")
        elif row.schema == self._category.schema:
            self._compare(last, row)

    def _compare(self, last: Entry, row: Row) -> None:
        assert self._category is not None
        assert row.state is not None
        if self._table.encode_state(self._state) != row.state:
            why = self._difference(last, row.state)
            self._tally.violation(
                SNAPSHOTS, last, f"the snapshot is not the fold of its events: {why}"
            )
        guard = self._category.guard(self._state)
        if guard != row.guard:
            self._tally.violation(
                SNAPSHOTS, last, f"the snapshot's guard is {row.guard}, the fold's is {guard}"
            )

    def _difference(self, last: Entry, stored: bytes) -> str:
        try:
            kept = self._table.decode_state(last.stream, stored)
        except Exception as error:  # noqa: BLE001 - as above
            return f"it cannot be read ({error})"
        for name in self._state.__struct_fields__:
            folded, found = getattr(self._state, name), getattr(kept, name)
            if folded != found:
                return f"{name} is {_short(found)}, the events say {_short(folded)}"
        return "the same values in other bytes"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:157]}…"


def check_address(entry: Entry, tally: Tally) -> None:
    """The row's columns must say what the message in it says."""
    message, row = entry.message, entry.row
    tally.saw(READABLE)
    if message is None:
        return
    wrong = [
        f"{name} is {stored!r}, the message says {said!r}"
        for name, stored, said in (
            ("stream", row.stream, message.subject),
            ("key", row.key, message.key),
            ("type", row.type, message.tag()),
        )
        if stored != said
    ]
    routes = catalogue.routes(type(message))
    if row.topic not in routes if routes else row.topic:
        wrong.append(f"topic is {row.topic!r}, the message does not travel there")
    if isinstance(message, Event) != (row.version is not None):
        wrong.append("an event needs a version, and only an event has one")
    if wrong:
        tally.violation(READABLE, entry, "; ".join(wrong))


def stem_of(message: Message) -> str:
    """What the effects are called that an event asks for: an effect's id starts with it; empty for other events."""
    match message.tag():
        case "oms.order.placed.v1":
            return f"{message.order_id}.pay1"  # type: ignore[attr-defined]
        case "oms.order.packed.v1":
            return str(message.package_id)  # type: ignore[attr-defined]
        case "oms.order.confirmed.v1":
            return f"{message.order_id}.fees"  # type: ignore[attr-defined]
        case "oms.order.return_accepted.v1":
            return str(message.refund_id)  # type: ignore[attr-defined]
        case "oms.notifications.requested.v1":
            return f"mail:{message.notification_id}"  # type: ignore[attr-defined]
        case "oms.notifications.webhook_queued.v1":
            return f"webhook:{message.webhook_id}"  # type: ignore[attr-defined]
        case _:
            return ""


def check_feed(log: ServiceLog, tally: Tally) -> None:
    """Dense positions from 1; what is public is chained to the one before it on its topic and partition."""
    position, chain = 0, dict[Partition, int]()
    for line in log.feed():
        tally.saw(POSITIONS)
        place = Place(log.service, line.stream, line.version or 0, f"position {line.position}")
        if line.position != position + 1:
            why = f"position {line.position} follows {position}"
            tally.violation(POSITIONS, place, f"{why}: {line.position - position - 1} are missing")
        position = line.position
        before = None
        if line.topic is not None and line.partition is not None:
            tally.saw(FED)
            before = chain.get((line.topic, line.partition), 0)
            chain[line.topic, line.partition] = position
        if line.previous != before:
            on = f" on {line.topic}/{line.partition}" if line.topic else ", for it is private"
            why = f"it says that position {_place(line.previous)} is before it{on}"
            tally.violation(FED, place, f"{why}, but {_place(before)} is")
    _check_heads(log, position, chain, tally)
    for stream, version in log.stray_snapshots():
        why = f"the snapshot is at version {version}, and there is no such event"
        tally.violation(SNAPSHOTS, Place(log.service, stream, version), why)


def _place(position: int | None) -> str:
    return "none" if position is None else str(position)


def _check_heads(log: ServiceLog, position: int, chain: dict[Partition, int], tally: Tally) -> None:
    cut = log.cut
    place = Place(log.service, "head", cut.position)
    if cut.position != position:
        why = f"the head stands at {cut.position}, the log ends at {position}"
        tally.violation(POSITIONS, place, why)
    if cut.published > cut.position:
        why = f"published up to {cut.published}, but only {cut.position} positions were given"
        tally.violation(POSITIONS, place, why)
    for partition in sorted(chain.keys() | cut.heads.keys()):
        kept, found = cut.heads.get(partition, 0), chain.get(partition, 0)
        if kept != found:
            why = f"the chain of {partition[0]}/{partition[1]} stands at {kept}, it ends at {found}"
            tally.violation(POSITIONS, place, why)
