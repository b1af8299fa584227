"""An import's records, a batch at a time, without holding up the event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from ops.cli.codes import CliError, Exit
from ops.demo.history.survey import Survey, survey
from ops.importer import AccountingError, Import, SourceError, Summary
from ops.importer.records import AnyRecord
from ops.importer.registry import mapping_named, mapping_of

BATCH = 64


class Source:
    """One file of orders under one mapping, which is named or told by the files. Its reading stays in one thread, as its
    database demands."""

    def __init__(self, path: Path, mapping: str) -> None:
        self._path = path
        self._mapping = mapping or _told_by_files(path)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="import")
        self._import: Import[Any] | None = None
        self._reading: Iterator[AnyRecord] | None = None
        self.channel = str(self._fresh_mapping().channel)

    @property
    def rows_read(self) -> int:
        """Rows of the present pass."""
        return self._import.rows_read if self._import else 0

    @property
    def summary(self) -> Summary:
        """The books of the last complete pass."""
        assert self._import is not None, "read it first"
        return self._import.summary

    async def survey(self) -> Survey:
        """A first pass."""
        records = self._fresh()
        found: Survey = await self._run(lambda: survey(records))
        return found

    async def records(self) -> AsyncIterator[AnyRecord]:
        """A pass over all records, in their order."""
        records: Iterator[AnyRecord] = await self._run(lambda: iter(self._fresh()))
        self._reading = records
        while batch := await self._run(lambda: list(islice(records, BATCH))):
            for record in batch:
                yield record

    def close(self) -> None:
        """End the thread, and in it a pass that was not read to its end: its database belongs to it."""
        if isinstance(self._reading, Generator):
            self._thread.submit(self._reading.close).result()
        self._thread.shutdown(cancel_futures=True)

    def _fresh(self) -> Import[Any]:
        self._import = Import(self._path, self._fresh_mapping())
        return self._import

    def _fresh_mapping(self) -> Any:
        try:
            return mapping_named(self._mapping)
        except KeyError as error:
            raise CliError(Exit.USAGE, str(error.args[0])) from error

    async def _run(self, work: Callable[[], Any]) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except SourceError as error:
            raise CliError(Exit.USAGE, str(error)) from error
        except AccountingError as error:
            raise CliError(Exit.PROBLEM, str(error)) from error


def _told_by_files(path: Path) -> str:
    try:
        return mapping_of(path)
    except SourceError as error:
        raise CliError(Exit.USAGE, str(error)) from error
