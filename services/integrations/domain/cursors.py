"""Readers' cursors over the documents: each belongs to its reader, and moves only when the reader says so."""

import msgspec

from shared.events import Command, Context, Items, Refused, States
from shared.events.erp import BOOK, CursorMoved


class Cursor(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """All documents up to ``position`` are with the reader."""

    position: int = 0


class MoveCursor(Command, frozen=True, kw_only=True):
    """A reader speaks."""

    cursor: str
    position: int

    @classmethod
    def route(cls) -> str | None:
        return None

    @property
    def subject(self) -> str:
        return f"erpcursor-{self.cursor}"

    @property
    def key(self) -> str:
        return self.cursor


class AcknowledgeDocuments(MoveCursor, frozen=True, kw_only=True, tag="oms.erp.acknowledge.v1"):
    """Everything up to ``position`` has arrived. One that is behind the cursor changes nothing."""


class RewindDocuments(MoveCursor, frozen=True, kw_only=True, tag="oms.erp.rewind.v1"):
    """Everything after ``position`` is wanted again."""

    reason: str


def evolve(state: Cursor, event: CursorMoved) -> Cursor:
    """The cursor where it was moved to."""
    return Cursor(event.position)


def streams(command: MoveCursor) -> tuple[str, str]:
    """The cursor, and the book that says how far it can go."""
    return command.subject, BOOK


def acknowledge(states: States, command: AcknowledgeDocuments, context: Context) -> Items:
    """Move on."""
    here, last = states[command.subject].position, states[BOOK].position
    if command.position > last:
        return [_beyond(command, last)]
    return [] if command.position <= here else [_moved(command, context)]


def rewind(states: States, command: RewindDocuments, context: Context) -> Items:
    """Go back, or forward over documents that are not wanted."""
    here, last = states[command.subject].position, states[BOOK].position
    if command.position > last:
        return [_beyond(command, last)]
    return [] if command.position == here else [_moved(command, context, command.reason)]


def _moved(command: MoveCursor, context: Context, reason: str = "") -> CursorMoved:
    return CursorMoved(
        cursor=command.cursor, position=command.position, actor=context.actor, reason=reason
    )


def _beyond(command: MoveCursor, last: int) -> Refused:
    return Refused(
        code="position_unknown", detail=f"the last document is at {last}, not {command.position}"
    )
