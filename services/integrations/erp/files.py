"""Documents as CSV files in a folder, for an accounting system that collects files.

A file holds the documents of a span of positions, ``erp-<first>-<last>.csv``, and appears whole: it is written under
another name first. The folder's own cursor moves after that. What is in a file that is there is never written into another
one: not after a crash in between, and not when the cursor was rewound.
"""

import asyncio
import os
import re
from pathlib import Path

import structlog

from services.integrations.domain.cursors import AcknowledgeDocuments
from services.integrations.erp import documents
from services.integrations.erp.csvrows import as_csv
from services.integrations.erp.documents import Row
from shared.ledger.postgres import PostgresStore
from shared.ledger.store import Unavailable
from shared.ledger.work import Overloaded, Task
from shared.ledger.writer import Writer
from shared.service import Handle
from shared.service.ids import new_id

log = structlog.get_logger()

CURSOR = "files"
DOCUMENTS_MAX = 500
POLL_SECONDS = 1.0
_NAME = re.compile(r"erp-([0-9]+)-([0-9]+)\.csv")


class ErpFiles:
    """Writes the folder."""

    def __init__(self, folder: Path, store: PostgresStore, writer: Writer) -> None:
        self._folder = folder
        self._store = store
        self._writer = writer

    async def run(self, handle: Handle) -> None:
        """Write files until told to stop. What cannot be written now is written later."""
        handle.ready()
        while not await handle.sleep(POLL_SECONDS):
            try:
                while await self.write() and not handle.stopping.is_set():
                    handle.progress.tick()
            except (Unavailable, Overloaded, OSError) as error:
                log.warning("erp_files_wait", error=str(error))

    async def write(self) -> int:
        """Write one file of what is new, and move the cursor behind it; returns how many documents it holds."""
        at = await self._position()
        found = await documents.page(self._store, at, DOCUMENTS_MAX)
        if not found:
            return 0
        written = await asyncio.to_thread(self._written)
        last = written.get(at + 1)
        if last is None:
            until = min((first for first in written if first > at), default=found[-1].position + 1)
            found = [x for x in found if x.position < until]
            await asyncio.to_thread(self._write, found)
            last = found[-1].position
        await self._writer.handle(_acknowledge(last))
        return last - at

    async def _position(self) -> int:
        outcome = await self._writer.handle(_acknowledge(0))
        position: int = outcome.states[f"erpcursor-{CURSOR}"].position
        return position

    def _written(self) -> dict[int, int]:
        """The first and last position of every file of ours that is there."""
        names = (_NAME.fullmatch(path.name) for path in self._folder.glob("erp-*.csv"))
        return {int(name[1]): int(name[2]) for name in names if name}

    def _write(self, found: list[Row]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"erp-{found[0].position:012d}-{found[-1].position:012d}.csv"
        hidden = self._folder / f".{name}.{os.getpid()}"
        with hidden.open("w", encoding="utf-8", newline="") as file:
            file.write(as_csv(found))
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(self._folder / name)


def _acknowledge(position: int) -> Task:
    return Task(
        message=AcknowledgeDocuments(cursor=CURSOR, position=position),
        id=f"request:{new_id()}",
        actor="erp-files",
    )
