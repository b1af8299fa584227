"""What the local stack raises: one exception, whose message says what to do next."""

from __future__ import annotations

from pathlib import Path

_TAIL_BYTES = 16_384
_TAIL_LINES = 12


class StackError(RuntimeError):
    """The local stack cannot start, stop or be found; the message names its log."""


def log_tail(path: Path) -> str:
    """The last lines of a log, indented for an error message; empty when there is no log yet."""
    try:
        with path.open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - _TAIL_BYTES))
            text = log.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(f"    {line[:300]}" for line in text.splitlines()[-_TAIL_LINES:])
