"""Which fields of a message its handlers really read: noted inside a running service."""

from __future__ import annotations

import atexit
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec

from shared.events import Message
from shared.stream.consumer import ConsumerRuntime
from shared.stream.port import Record


class Reads:
    """Type → paths of the fields that were read, such as ``lines[].sku``."""

    def __init__(self) -> None:
        self.by_type: defaultdict[str, set[str]] = defaultdict(set)
        self._watched: dict[
            int, tuple[str, str, Any]
        ] = {}  # holds the objects, so that no id comes twice

    def watch(self, value: Any, tag: str, path: str = "") -> None:
        """Note from now on what is read of a message, or of a part of it."""
        if isinstance(value, msgspec.Struct):
            self._watched[id(value)] = (tag, path, value)
            for name in value.__struct_fields__:
                self.watch(object.__getattribute__(value, name), tag, f"{path}.{name}".lstrip("."))
        elif isinstance(value, tuple):
            for item in value:
                self.watch(item, tag, f"{path}[]")

    def spy(self, struct: type[msgspec.Struct]) -> None:
        """Have a kind of struct tell when a field is read."""

        def read(this: Any, name: str) -> Any:
            watched = self._watched.get(id(this))
            if watched is not None and name in type(this).__struct_fields__:
                tag, path, _ = watched
                self.by_type[tag].add(f"{path}.{name}".lstrip("."))
            return object.__getattribute__(this, name)

        struct.__getattribute__ = read  # type: ignore[method-assign]


def note_reads(service: str) -> None:
    """Begin, in this process."""
    reads = Reads()
    reads.spy(Message)
    for part in _parts_of_messages():
        reads.spy(part)
    task_of = ConsumerRuntime.task

    def task(runtime: ConsumerRuntime, record: Record, *rest: Any) -> Any:
        made, previous = task_of(runtime, record, *rest)
        if made.message is not None:
            reads.watch(made.message, made.message.tag())
        return made, previous

    ConsumerRuntime.task = task  # type: ignore[method-assign]
    atexit.register(_write, Path(os.environ["OMS_READS"]) / f"{service}.json", reads)


def _parts_of_messages() -> set[type[msgspec.Struct]]:
    """The structs that messages hold: lines, money, addresses."""
    return {
        value
        for name, module in sys.modules.items()
        if name.startswith("shared.events.")
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct)
        if not issubclass(value, Message) and value is not msgspec.Struct
    }


def _write(path: Path, reads: Reads) -> None:
    found = {tag: sorted(paths) for tag, paths in sorted(reads.by_type.items())}
    path.write_bytes(msgspec.json.encode(found))
