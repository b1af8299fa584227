"""The engine every source shares: read, group, order, map, and account for each row.

A source implements ``Mapping`` (see ``online_retail.py``) and keeps its names and codes in a TOML
file. What it must decide is only what a row says (``parse``), what the catalogue is (``survey``,
``items``) and what a document becomes (``map_document``); it returns exactly one result per row,
and the engine refuses anything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

from ops.importer.accounting import AccountingError, DocumentKind, Outcome, RowResult, Summary
from ops.importer.records import AnyRecord, Item, Rejected
from ops.importer.sources import RawRow, read_rows
from ops.importer.spool import Spool, SpooledRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

RowT = TypeVar("RowT")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[str, ...]).decode


class RowError(Exception):
    """A row cannot be used; the message is the reason that the report gives."""


class Placed(NamedTuple):
    """Where a row belongs.

    Its document, its business time (None where another row of the document has it), and the document's rank among
    those of one instant.
    """

    document: str
    at: datetime | None
    rank: int = 0


@dataclass(frozen=True, slots=True)
class MappedDocument:
    """What a document became. ``results`` has one entry for each row given, in the same order."""

    kind: DocumentKind
    records: tuple[AnyRecord, ...]
    results: tuple[RowResult, ...]
    rejected: tuple[tuple[int, str], ...] = ()
    """Rows (by index) that could be read but not used, with the reason.

    Their result must be REJECTED.
    """
    notes: dict[str, int] = field(default_factory=dict)
    """Quirks met, counted for the summary."""


class Mapping(Protocol[RowT]):
    """One source's rules.

    An instance serves one import, because matching remembers earlier documents.
    """

    channel: str
    currency: str
    minor_digits: int
    encoding: str

    def columns_of(self, file: str) -> tuple[str, ...] | None:
        """Return the columns to read of a file, by its name; None for a file that is not the source's."""

    def document_of(self, raw: RawRow) -> str:
        """Return the document id that a raw row names, usable or not ('' if none)."""

    def parse(self, raw: RawRow) -> RowT:
        """Return the row, typed.

        Pure, as it runs twice. Raises RowError with a reason to act on.
        """

    def place(self, row: RowT) -> Placed:
        """Say which document a row belongs to, and when."""

    def survey(self, row: RowT) -> None:
        """See a row once, before any document, to learn the catalogue."""

    def items(self) -> Iterator[Item]:
        """Yield the catalogue, in a stable order."""

    def map_document(self, document: str, rows: list[RowT]) -> MappedDocument:
        """Turn a document's readable rows (never empty) into records.

        Documents come in order of business time.
        """

    def notes(self) -> dict[str, int]:
        """Return what the survey counted, for the summary."""


class Import(Generic[RowT]):
    """One import: iterate it once for its records, then ask for ``summary``.

    Records come as: the whole catalogue, then documents by business time. The same source gives the
    same records with the same keys in the same order, whether read from a directory, an archive or
    a file with its rows shuffled between documents.
    """

    def __init__(self, source: Path, mapping: Mapping[RowT]) -> None:
        self._source = source
        self._mapping = mapping
        self._summary = Summary(mapping.channel, mapping.currency, mapping.minor_digits)
        self._state = "new"

    @property
    def rows_read(self) -> int:
        """Rows read so far, for a progress bar; final once the first record has come."""
        return self._summary.rows_read

    @property
    def summary(self) -> Summary:
        """The proven books. Raises AccountingError before the last record was taken."""
        if self._state != "done":
            raise AccountingError(
                "the summary is complete only after the last record; iterate the import first"
            )
        return self._summary

    def __iter__(self) -> Iterator[AnyRecord]:
        if self._state != "new":
            raise AccountingError(
                "an import can be iterated once; make a new one with a new mapping"
            )
        self._state = "running"
        return self._run()

    def _run(self) -> Iterator[AnyRecord]:
        spool = Spool()
        try:
            for raw in read_rows(self._source, self._mapping.columns_of, self._mapping.encoding):
                self._summary.rows_read += 1
                spool.add(self._spooled(raw))
            yield from self._counted(self._mapping.items())
            for document, rows in spool.documents():
                yield from self._counted(self._document(document, rows))
        finally:
            spool.close()
        self._summary.notes.update(self._mapping.notes())
        self._summary.check()
        self._state = "done"

    def _counted(self, records: Iterator[AnyRecord] | list[AnyRecord]) -> Iterator[AnyRecord]:
        for record in records:
            self._summary.count_record(record)
            yield record

    def _spooled(self, raw: RawRow) -> SpooledRow:
        cells = _encode(raw.cells)
        try:
            row = self._mapping.parse(raw)
        except RowError as error:
            document = self._mapping.document_of(raw)
            return SpooledRow(document, raw.path, raw.line, None, 0, cells, str(error))
        self._mapping.survey(row)
        document, at, rank = self._mapping.place(row)
        instant_us = None if at is None else (at - _EPOCH) // timedelta(microseconds=1)
        return SpooledRow(document, raw.path, raw.line, instant_us, rank, cells, None)

    def _document(self, document: str, spooled: list[SpooledRow]) -> list[AnyRecord]:
        raws = [RawRow(row.path, row.line, _decode(row.payload)) for row in spooled]
        usable = [raw for raw, row in zip(raws, spooled, strict=True) if row.reason is None]
        rejected = [
            self._rejected(raw, row.reason)
            for raw, row in zip(raws, spooled, strict=True)
            if row.reason is not None
        ]
        results = [RowResult(Outcome.REJECTED)] * len(rejected)
        if not usable:
            self._summary.count_document(DocumentKind.REJECTED, results, {})
            return list(rejected)
        mapped = self._mapping.map_document(document, [self._mapping.parse(raw) for raw in usable])
        self._prove(document, usable, mapped)
        rejected += [self._rejected(usable[index], reason) for index, reason in mapped.rejected]
        self._summary.count_document(mapped.kind, [*mapped.results, *results], mapped.notes)
        return [*mapped.records, *rejected]

    def _rejected(self, raw: RawRow, reason: str) -> Rejected:
        self._summary.reject(raw.file, raw.line, reason)
        return Rejected(
            channel=self._mapping.channel,
            file=raw.file,
            line=raw.line,
            cells=raw.cells,
            reason=reason,
        )

    def _prove(self, document: str, rows: list[RawRow], mapped: MappedDocument) -> None:
        """Refuse a mapping that forgets a row, or rejects one without saying why."""
        said = {
            index
            for index, result in enumerate(mapped.results)
            if result.outcome is Outcome.REJECTED
        }
        if len(mapped.results) != len(rows) or said != {index for index, _ in mapped.rejected}:
            raise AccountingError(
                f"{self._mapping.channel}: document {document!r} has {len(rows)} rows, the mapping "
                f"answered for {len(mapped.results)} and rejected {len(said)} with "
                f"{len(mapped.rejected)} reasons; mend map_document"
            )
