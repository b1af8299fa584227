"""A folder into which partners drop files of order documents: ``FOLDER/<channel>/NAME.jsonl`` or ``NAME.csv``.

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

from services.integrations.channels import files
from services.integrations.channels.documents import command_of
from services.integrations.domain.messages import Inbound, RefuseInput, TakeOrder
from services.integrations.intake import Taken, storable, take
from shared.ledger.store import Unavailable
from shared.ledger.work import Overloaded
from shared.ledger.writer import Writer
from shared.service import Handle
from shared.service.failures import log_unexpected

log = structlog.stdlib.get_logger("oms.filedrop")

POLL_SECONDS = 0.2
RETRY_SECONDS = 1.0
FILE_BYTES_MAX = 64 << 20
SOURCE = "file."


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
    for found in files.read(text, kind):
        source, reference = SOURCE + kind, f"{name}:{found.line}"
        payload = storable(found.payload)
        if found.document is None:
            yield RefuseInput(
                source=source,
                reference=reference,
                payload=payload,
                channel=channel,
                reason="unreadable",
                detail=found.wrong[:2000],
            )
        else:
            yield TakeOrder(
                source=source,
                reference=reference,
                payload=payload,
                order=command_of(found.document, channel),
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
            for channel in sorted(self._folder.glob("[A-Za-z0-9]*"))
            for path in sorted(channel.glob("[!.]*"))
            if path.suffix[1:] in files.FORMATS and path.is_file()
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
    if wrong:
        return [_unreadable(path, text, wrong)]
    return list(inputs_of(text, path.suffix[1:], path.parent.name, path.name))


def _unreadable(path: Path, text: str, wrong: str) -> RefuseInput:
    return RefuseInput(
        source=SOURCE + path.suffix[1:],
        reference=path.name,
        payload=storable(text),
        channel=path.parent.name,
        reason="unreadable",
        detail=f"{wrong}; the file itself is in done/",
    )


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
