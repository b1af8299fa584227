"""Where words go: tables and results to standard output, progress and errors to standard error."""

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import msgspec
from rich.console import Console, RenderableType
from rich.text import Text


class Output:
    """Speaks to people or, with ``json``, to programs: then standard output is one JSON document, and only progress and
    the last line are still for people."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        # What is shown came from partners and messages: "[/b]" and ":x:" are text, in tables, too.
        plain: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
        self._people = Console(stderr=json, **plain)
        self._tables = Console(quiet=json, **plain)
        self.errors = Console(stderr=True, **plain)

    @property
    def progress(self) -> Console:
        """Where progress is shown."""
        return self._people

    def say(self, text: str | Text, style: str = "") -> None:
        """A line for people; a terminal wraps it, nothing is cut."""
        self._tables.print(text, style=style, soft_wrap=True)

    def draw(self, shape: RenderableType) -> None:
        """A table for people."""
        self._tables.print(shape)

    def note(self, text: str, style: str = "") -> None:
        """A line about the progress of something long."""
        self._people.print(text, style=style)

    def last(self, text: str) -> None:
        """A line that scripts look for: never wrapped."""
        self._people.print(text, soft_wrap=True)

    def working(self, text: str) -> AbstractContextManager[Any]:
        """A spinner while something takes its time; a plain line where there is no terminal."""
        if self._people.is_terminal:
            return self._people.status(text)
        self.last(text)
        return nullcontext()

    def answer(self, value: Any) -> None:
        """The result for programs; nothing for people."""
        if self.json:
            encoded = msgspec.json.format(msgspec.json.encode(value), indent=2)
            sys.stdout.write(encoded.decode() + "\n")
            sys.stdout.flush()

    def warn(self, text: str) -> None:
        """A line beside the result, which stays as it is for pipes."""
        self.errors.print(text, soft_wrap=True)

    def fail(self, message: str, code: int) -> None:
        """Say what went wrong."""
        self.errors.print(f"oms: {message}", soft_wrap=True)
        self.answer({"error": message, "exit": code})
