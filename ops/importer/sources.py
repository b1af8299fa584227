"""Rows of CSV text out of a directory, a tar archive or a single file, one at a time."""

from __future__ import annotations

import csv
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

__all__ = ["RawRow", "SourceError", "first_file", "read_rows"]

_ARCHIVES = (".tar", ".tar.xz", ".tar.gz", ".tgz", ".tar.bz2")


class SourceError(Exception):
    """The source as a whole cannot be read; a single bad row is a ``Rejected`` record instead."""


class RawRow(NamedTuple):
    """One data row: ``path`` orders it among files, ``file`` and ``line`` say where it stands.

    Where ``fits`` is False the row has another number of cells than its header and ``cells`` are
    all of them.
    """

    path: str
    line: int
    cells: tuple[str, ...]
    fits: bool = True

    @property
    def file(self) -> str:
        """The file's name, equal whether it was read from a directory or from an archive."""
        return PurePosixPath(self.path).name


#: From a file's name to the columns that are read of it; None: the file is not the source's.
ColumnsOf = Callable[[str], tuple[str, ...] | None]


def read_rows(source: Path, columns_of: ColumnsOf, encoding: str) -> Iterator[RawRow]:
    """Yield every data row of ``source`` with its cells in the order of its file's columns.

    ``source`` is a directory (every ``*.csv`` below it), a tar archive (read as a stream, never
    unpacked) or one CSV file. Columns are found by the header's names; further columns are ignored.
    A row with another number of cells than its header comes through as it is, for the mapping to
    reject. Blank lines are not rows.

    Raises SourceError if there is nothing to read, a column is missing, or bytes are not
    ``encoding``.
    """
    found = False
    try:
        for name, stream in _files(source):
            columns = columns_of(PurePosixPath(name).name)
            if columns is None:
                continue
            found = True
            yield from _file_rows(name, stream, columns, encoding)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise SourceError(
            f"{source}: cannot be read to its end ({error}); check it or fetch it again"
        ) from error
    if not found:
        raise SourceError(
            f"{source}: no .csv file of this mapping in it; give a directory, a .tar.xz or a .csv file of orders"
        )


def first_file(source: Path) -> str:
    """The name of the first CSV file in ``source``; empty where there is none. Raises SourceError."""
    try:
        for name, _ in _files(source):
            return PurePosixPath(name).name
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise SourceError(
            f"{source}: cannot be read ({error}); check it or fetch it again"
        ) from error
    return ""


def _files(source: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if source.is_dir():
        for path in sorted(source.rglob("*.csv")):
            with path.open("rb") as stream:
                yield path.relative_to(source).as_posix(), stream
    elif source.name.lower().endswith(_ARCHIVES):
        yield from _members(source)
    elif source.is_file():
        with source.open("rb") as stream:
            yield source.name, stream
    else:
        raise SourceError(f"{source}: no such file or directory")


def _members(source: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(source, "r:*") as archive:
        for member in archive:
            if member.isfile() and member.name.lower().endswith(".csv"):
                stream = archive.extractfile(member)
                assert stream is not None, "a regular member has content"
                with stream:
                    yield member.name, stream


def _file_rows(
    name: str, stream: IO[bytes], columns: tuple[str, ...], encoding: str
) -> Iterator[RawRow]:
    text = io.TextIOWrapper(stream, encoding=encoding, newline="")
    reader = csv.reader(text)
    try:
        header = [cell.strip().removeprefix("\ufeff") for cell in next(reader, [])]
        picks = _picks(name, header, columns)
        for cells in reader:
            if not cells:
                continue
            fits = len(cells) == len(header)
            picked = tuple(cells[index] for index in picks) if fits else tuple(cells)
            yield RawRow(name, reader.line_num, picked, fits)
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{name}: after line {reader.line_num}: not {encoding} ({error.reason}); "
            "set `encoding` in the mapping"
        ) from error
    except csv.Error as error:
        raise SourceError(
            f"{name}: line {reader.line_num}: {error}; mend or remove that line"
        ) from error
    finally:
        text.detach()  # the stream belongs to whoever opened it


def _picks(name: str, header: list[str], columns: tuple[str, ...]) -> list[int]:
    missing = [column for column in columns if column not in header]
    if missing:
        raise SourceError(
            f"{name}: no column {', '.join(missing)} (it has {', '.join(header) or 'none'}); "
            "name the file's own columns in the mapping"
        )
    return [header.index(column) for column in columns]
