"""A sales channel that drops files: orders in a folder, picked up and put on the channel topic.

A partner writes ``NAME.jsonl`` or ``NAME.csv`` (see `ops.demo.orderfiles`) under another name and renames it when it is
complete. Each file ends in ``done/`` beside a ``NAME.report.json`` that says what became of every order in it. The same
file again adds nothing: an order's number makes it the same order.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ops.demo.orderfiles import Problem, UnreadableFile, read_csv, read_jsonl
from shared.events.order import PlaceOrder

POLL_S = 0.1
FILE_BYTES_MAX = 64 << 20


class Report(msgspec.Struct, frozen=True):
    """What became of a file."""

    file: str
    accepted: int
    rejected: list[Problem]


@dataclass
class FileChannel:
    """Watches a folder on behalf of one channel."""

    folder: Path
    channel: str
    send: Callable[[PlaceOrder], Awaitable[None]]
    flush: Callable[[], Awaitable[None]]
    reports: list[Report] = field(default_factory=list)

    async def run(self) -> None:
        """Pick files up until cancelled, oldest name first."""
        self.done.mkdir(parents=True, exist_ok=True)
        while True:
            for path in sorted(self.folder.glob("*.jsonl")) + sorted(self.folder.glob("*.csv")):
                self.reports.append(await self.take(path))
            await asyncio.sleep(POLL_S)

    @property
    def done(self) -> Path:
        """Where files go once they were read."""
        return self.folder / "done"

    async def take(self, path: Path) -> Report:
        """Put one file's orders on the topic, then move it: a crash before that only repeats it."""
        accepted = 0
        rejected: list[Problem] = []
        try:
            text = await asyncio.to_thread(_text, path)
            for _, found in read_csv(text) if path.suffix == ".csv" else read_jsonl(text):
                if isinstance(found, Problem):
                    rejected.append(found)
                    continue
                await self.send(found.command(self.channel))
                accepted += 1
        except UnreadableFile as error:
            rejected.append(Problem(0, str(error)))
        await self.flush()
        report = Report(path.name, accepted, rejected)
        await asyncio.to_thread(self._finish, path, report)
        return report

    def _finish(self, path: Path, report: Report) -> None:
        data = msgspec.json.format(msgspec.json.encode(report), indent=1)
        (self.done / f"{path.name}.report.json").write_bytes(data)
        path.replace(self.done / path.name)


def _text(path: Path) -> str:
    size = path.stat().st_size
    if size > FILE_BYTES_MAX:
        raise UnreadableFile(f"{size} bytes; at most {FILE_BYTES_MAX} are read: split the file")
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"not UTF-8: {error}") from error


def drop(folder: Path, name: str, text: str) -> None:
    """Put a file into the folder in one step, as a partner should."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{name}.part"
    unfinished.write_text(text, encoding="utf-8", newline="")
    unfinished.replace(folder / name)
