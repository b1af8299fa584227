"""How unexpected exceptions are logged: everything needed to find the cause, no request data."""

import traceback
from typing import Any

from fastapi.exceptions import ValidationException
from pydantic import ValidationError
from structlog.stdlib import BoundLogger


def log_unexpected(
    log: BoundLogger, event: str, error: BaseException, *, level: str = "error", **fields: Any
) -> None:
    """Log `error` with its stack. Validation errors print the rejected value in their text, which
    may be personal data, so of those only locations and kinds are kept."""
    reason = _reason(error)
    stack = "".join(traceback.format_tb(error.__traceback__))
    getattr(log, level)(event, error=type(error).__name__, reason=reason, stack=stack, **fields)


def _reason(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        found: Any = error.errors(include_url=False, include_input=False, include_context=False)
    elif isinstance(error, ValidationException):
        found = error.errors()
    elif isinstance(error, BaseExceptionGroup):
        return "; ".join(f"{type(one).__name__}: {_reason(one)}" for one in error.exceptions)
    else:
        return str(error)
    return "; ".join(f"{item['loc']}: {item['type']}" for item in found)
