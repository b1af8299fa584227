"""Exit statuses, and the one exception that ends a command with one of them."""

from enum import IntEnum


class Exit(IntEnum):
    """What the command line says to its caller (69 and 130 as in sysexits.h and shells)."""

    OK = 0
    PROBLEM = 1
    USAGE = 2
    NOTHING = 3
    UNAVAILABLE = 69
    INTERRUPTED = 130


class CliError(Exception):
    """Ends the command: the message says what was wrong, where, and what to do next."""

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code
