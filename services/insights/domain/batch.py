"""A batch of records of one partition, added to its cells."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from services.insights.domain.adding import additions, second_of
from services.insights.domain.cells import Cell, Progress
from shared.events import Message


class Read(NamedTuple):
    """A record as far as it matters here. ``message`` is None for a type that adds nothing."""

    offset: int
    sequence: int
    previous: int
    recorded: datetime
    message: Message | None


class Batch:
    """Adds records in order; what changed is in ``changed`` and ``progress``."""

    def __init__(self, partition: int, progress: Progress, cell: Callable[[str], Cell | None]):
        self.partition = partition
        self.progress = progress
        self.changed: dict[str, Cell] = {}
        self._cell = cell

    def skip(self, offset: int) -> None:
        """A record that cannot be read."""
        self.progress.offset = max(self.progress.offset, offset)
        self.progress.skipped += 1

    def add(self, read: Read) -> None:
        """A record; one that was added before changes nothing."""
        at = self.progress
        at.offset = max(at.offset, read.offset)
        if read.sequence <= at.sequence:
            return
        at.gaps += at.sequence > 0 and read.previous > at.sequence
        at.sequence = read.sequence
        at.records += 1
        if read.message is None:
            return
        at.newest = max(at.newest, second_of(read.message, read.recorded))
        for key, sums in additions(read.message, self.partition, at.newest).items():
            text = str(key)
            cell = self.changed.get(text) or self._cell(text) or Cell(0, {})
            if cell.add(read.sequence, sums):
                self.changed[text] = cell
