"""What the sink received: an append-only file of JSON lines, and an index of it in memory."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec

MESSAGES_MAX = 1_000_000


class Received(msgspec.Struct, frozen=True, tag="received"):
    """A message that came for the first time; ``raw`` is as sent, base64 in the file."""

    id: str
    at: datetime
    sender: str
    to: list[str]
    subject: str
    raw: bytes


class Again(msgspec.Struct, frozen=True, tag="again"):
    """A message that had come before."""

    id: str
    at: datetime


_decoder = msgspec.json.Decoder(Received | Again)
_encoder = msgspec.json.Encoder()
_headers = BytesHeaderParser()


@dataclass(slots=True)
class Entry:
    """One message in the index. ``received`` counts how often it came."""

    id: str
    at: datetime
    to: tuple[str, ...]
    subject: str
    offset: int
    length: int
    received: int = 1


class FileDamagedError(ValueError):
    """The sink's file holds something else than what a sink writes."""


class FullError(Exception):
    """No more messages fit."""


class MessageStore:
    """Messages by Message-ID, in the order of their first arrival. One process owns the file.

    Every message is handed to the operating system before it is acknowledged, so that it survives
    the death of this process (not that of the machine: this is a sink). Without ``path`` it is kept
    in a temporary file.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._file: BinaryIO
        if path is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by close()
        else:
            self._file = path.open("a+b", buffering=0)
            _own(self._file, path)
        self._entries: dict[str, Entry] = {}
        self.duplicates = 0
        self._size = 0
        try:
            self._load(path)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __len__(self) -> int:
        """How many different messages came."""
        return len(self._entries)

    def add(self, sender: str, to: list[str], raw: bytes) -> Entry:
        """Keep a message, or count it when its Message-ID is known. Raises `FullError`, OSError."""
        id, subject = identify(raw)
        known = self._entries.get(id)
        at = datetime.now(UTC)
        if known is not None:
            self._append(Again(id, at))
            return self._count(known)
        if len(self._entries) >= MESSAGES_MAX:
            raise FullError(f"the sink holds {MESSAGES_MAX} messages: start it with another file")
        record = Received(id, at, sender, to, subject, raw)
        return self._index(record, *self._append(record))

    def entries(self, after: int = 0, limit: int | None = None) -> Iterator[Entry]:
        """Messages in order, without the first ``after``."""
        return islice(self._entries.values(), after, None if limit is None else after + limit)

    def raw(self, id: str) -> bytes | None:
        """A message as it was sent; None when there is none of this id."""
        entry = self._entries.get(id)
        if entry is None:
            return None
        line = os.pread(self._file.fileno(), entry.length, entry.offset)
        record = _decoder.decode(line)
        assert isinstance(record, Received)
        return record.raw

    def _append(self, record: Received | Again) -> tuple[int, int]:
        line = _encoder.encode(record) + b"\n"
        offset = self._size
        written = self._file.write(line)
        if written != len(line):
            os.ftruncate(self._file.fileno(), offset)
            raise OSError("the disk took a part of the message only")
        self._size += len(line)
        return offset, len(line)

    def _index(self, record: Received, offset: int, length: int) -> Entry:
        entry = Entry(record.id, record.at, tuple(record.to), record.subject, offset, length)
        self._entries[record.id] = entry
        return entry

    def _count(self, entry: Entry) -> Entry:
        entry.received += 1
        self.duplicates += 1
        return entry

    def _load(self, path: Path | None) -> None:
        """Index the file. A last line without its end was never acknowledged, and goes."""
        self._file.seek(0)
        with os.fdopen(os.dup(self._file.fileno()), "rb") as reader:
            for number, line in enumerate(reader, 1):
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file.fileno(), self._size)
                    return
                try:
                    record = _decoder.decode(line)
                    if isinstance(record, Received):
                        self._index(record, self._size, len(line))
                    else:
                        self._count(self._entries[record.id])
                except (msgspec.MsgspecError, KeyError) as error:
                    raise FileDamagedError(
                        f"{path}, line {number}: {error!r}: not written by the sink; move the file "
                        "away or name another one in OMS_SINK_FILE"
                    ) from error
                self._size += len(line)


def _own(file: BinaryIO, path: Path) -> None:
    """Lock the file for this process; raises OSError when another sink writes to it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise OSError(f"another sink writes to {path}: stop it or name another file") from error


def identify(raw: bytes) -> tuple[str, str]:
    """A message's Message-ID without angle brackets (or a digest of its bytes) and its subject."""
    end = raw.find(b"\r\n\r\n")
    headers = _headers.parsebytes(raw[: end + 4] if end >= 0 else raw)
    id = str(headers.get("Message-ID", "")).strip().strip("<>")
    if not id:
        id = "sha256-" + hashlib.sha256(raw).hexdigest()
    subject = str(headers.get("Subject", ""))
    if "=?" not in subject:
        return id, " ".join(subject.split())
    try:
        return id, " ".join(str(make_header(decode_header(subject))).split())
    except (HeaderParseError, LookupError, ValueError):
        return id, subject  # it is shown as it came


def html_of(raw: bytes) -> str | None:
    """The HTML part of a message, if it has one."""
    for part in message_from_bytes(raw).walk():
        if part.get_content_type() == "text/html":
            payload = part.get_payload(decode=True)
            return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else None
    return None
