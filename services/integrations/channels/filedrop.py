"""A folder into which partners drop files of order documents: ``FOLDER/<channel>/NAME.jsonl`` or ``NAME.csv`` (``.CSV``,
too). Files of other endings are left alone.

A partner writes a file under another name and renames it when it is complete. Each file ends in ``done/`` beside a
``NAME.report.json`` that says what came of every order in it. The same file again adds nothing: an order's number makes
it the same order. A bad order is kept as a refused input, and the rest of its file goes on. A file on which this adapter
itself fails becomes ``NAME.failed``, and the others go on.
"""

import asyncio
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

import msgspec
import structlog
from pydantic import TypeAdapter, ValidationError

from services.integrations.channels import files
from services.integrations.channels.documents import command_of
from services.integrations.domain.messages import Inbound, RefuseInput, TakeOrder
from services.integrations.intake import Taken, storable, take
from shared.ledger.store import Unavailable
from shared.ledger.work import Overloaded
from shared.ledger.writer import Writer
from shared.service import Handle, Identifier
from shared.service.failures import log_unexpected

log = structlog.stdlib.get_logger("oms.filedrop")

POLL_SECONDS = 0.2
RETRY_SECONDS = 1.0
FILE_BYTES_MAX = 64 << 20
SOURCE = "file."
_CHANNEL = TypeAdapter[str](Identifier)


class Refused(msgspec.Struct, frozen=True):
    """An order of a file that was refused: where it begins, and why."""

    at: str
    reason: str


class Report(msgspec.Struct, frozen=True):
    """What came of a file: orders that went on, orders known from before, and those refused."""

    file: str
    accepted: int
    known: int
    refused: list[Refused]


def inputs_of(text: str, kind: str, channel: str, name: str) -> Iterator[Inbound]:
    """The inputs in a file of order documents."""
    if wrong := _no_channel(channel):
        yield _refused(text, kind, channel, name, wrong)
        return
    for found in files.read(text, kind):
        reference = f"{name}:{found.line}"
        if found.document is None:
            yield _refused(found.payload, kind, channel, reference, found.wrong)
        else:
            yield TakeOrder(
                source=SOURCE + kind,
                reference=reference,
                payload=storable(found.payload),
                order=command_of(found.document, channel),
            )


def _no_channel(name: str) -> str:
    """What is wrong with a folder's name: it must be one that the other roads could name as well."""
    try:
        _CHANNEL.validate_python(name)
    except ValidationError:
        return f"{name!r} is no channel: a folder's name is 1 to 100 of A-Z a-z 0-9 . _ : ~ -"
    return ""


def _refused(text: str, kind: str, channel: str, reference: str, wrong: str) -> RefuseInput:
    return RefuseInput(
        source=SOURCE + kind,
        reference=reference,
        payload=storable(text),
        channel=channel,
        reason="unreadable",
        detail=wrong[:2000],
    )


class FileDrop:
    """Watches the folder."""

    def __init__(self, folder: Path, writer: Writer) -> None:
        self._folder = folder
        self._writer = writer

    async def run(self, handle: Handle) -> None:
        """Take files until told to stop, oldest name first. A file that cannot be taken now is taken later."""
        handle.ready()
        while not await handle.sleep(POLL_SECONDS):
            for path in await asyncio.to_thread(self._waiting):
                try:
                    report = await self.take(path)
                except (Unavailable, Overloaded, OSError) as error:
                    log.warning("file_waits", file=str(path), error=str(error))
                    await handle.sleep(RETRY_SECONDS)
                    if isinstance(error, OSError):  # of this file alone: the others need not wait
                        continue
                    break
                except Exception as error:  # noqa: BLE001 - one file must not keep the others from being taken
                    log_unexpected(
                        log, "file_failed", error, file=str(path), next="mend and rename it"
                    )
                    await asyncio.to_thread(path.rename, path.with_name(f"{path.name}.failed"))
                    continue
                handle.progress.tick()
                counts = {"accepted": report.accepted, "known": report.known}
                log.info("file_taken", file=path.name, **counts, refused=len(report.refused))
                if handle.stopping.is_set():
                    return

    def _waiting(self) -> list[Path]:
        return [
            path
            for channel in sorted(self._folder.glob("[!.]*"))
            for path in sorted(channel.glob("[!.]*"))
            if _kind(path) in files.FORMATS and path.is_file()
        ]

    async def take(self, path: Path) -> Report:
        """Take one file, then move it: a crash before that only repeats it."""
        inputs = await asyncio.to_thread(_inputs, path)  # a large file must not hold up the loop
        taken = await take(self._writer, inputs, f"channel:{path.parent.name}")
        report = _report(path, taken)
        await asyncio.to_thread(_finish, path, report)
        return report


def _inputs(path: Path) -> list[Inbound]:
    text, wrong = _text(path)
    kind, channel = _kind(path), path.parent.name
    if wrong:
        wrong += "; the file itself is in done/"
        return [_refused(text, kind, channel, path.name, wrong)]
    return list(inputs_of(text, kind, channel, path.name))


def _kind(path: Path) -> str:
    """Its format by its ending; one of the `files.FORMATS` for those that are read."""
    return path.suffix[1:].lower()


def _report(path: Path, taken: Taken) -> Report:
    refused = [Refused(at, reason) for at, reason in taken.refused]
    return Report(path.name, taken.accepted, taken.known, refused)


def _finish(path: Path, report: Report) -> None:
    """Move a file that was taken, beside its report. An earlier file of the same name stays."""
    done = path.parent / "done"
    done.mkdir(exist_ok=True)
    names = chain([path.name], (f"{path.stem}.{n}{path.suffix}" for n in count(2)))
    name = next(x for x in names if not (done / x).exists())
    data = msgspec.json.format(msgspec.json.encode(report), indent=1)
    (done / f"{name}.report.json").write_bytes(data)
    path.replace(done / name)


def _text(path: Path) -> tuple[str, str]:
    """A file's text, and what is wrong with it as a whole."""
    size = path.stat().st_size
    if size > FILE_BYTES_MAX:
        return "", f"{size} bytes; at most {FILE_BYTES_MAX} are read: split the file"
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        return data.decode("utf-8", "backslashreplace"), f"not UTF-8: {error}"
