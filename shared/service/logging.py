"""Structured logs: one JSON object a line on standard output, with the ids of the work at hand."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.service import telemetry

MASKED = "***"
_PRIVATE_NAMES = (
    "email e_mail mail_to recipient phone telephone name first_name last_name full_name "
    "customer_name address street postcode postal_code authorization x_api_key api_key key "
    "peer_key password secret token card cookie dsn"
)
_PRIVATE = frozenset(_PRIVATE_NAMES.split())
_DEPTH_MAX = 4
_QUIET = {
    "uvicorn": "INFO",
    "uvicorn.access": "WARNING",
    "aiokafka": "WARNING",
    "httpx": "WARNING",
    "httpcore": "WARNING",  # its details are headers, cookies among them
}


def mask_private(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace values under names that hold personal data or credentials, at any depth.

    It looks at names, not at texts: never put such data into the message itself.
    """
    for name, value in event.items():
        event[name] = _masked(name, value, 0)
    return event


def _masked(name: str, value: Any, depth: int) -> Any:
    if name.lower().replace("-", "_") in _PRIVATE:
        return MASKED
    if depth >= _DEPTH_MAX:
        return value
    if isinstance(value, Mapping):
        return {key: _masked(str(key), inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked("", inner, depth + 1) for inner in value]
    return value


def add_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add trace, correlation and order ids of the current work unless the line names its own."""
    trace = telemetry.current()
    if trace is not None:
        event.setdefault("trace_id", trace.trace_id)
        event.setdefault("correlation_id", trace.correlation_id)
        if trace.order_id is not None:
            event.setdefault("order_id", trace.order_id)
    return event


def _to_json(event: MutableMapping[str, Any], **_: Any) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=repr).decode()
    except (UnicodeEncodeError, TypeError):
        # Lone surrogates or odd keys from outside must not lose the line.
        safe = {str(key): repr(value) for key, value in event.items()}
        return msgspec.json.encode(safe).decode()


def configure(
    service: str,
    level: str = "INFO",
    fmt: Literal["json", "console"] = "json",
    stream: TextIO | None = None,
) -> None:
    """Route structlog and the standard library's logging through one formatter to `stream`.

    `level` is a standard level name. Call it once, before anything logs; calling it again
    replaces the earlier configuration (tests do).
    """

    def add_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    def drop_colour(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event.pop("color_message", None)  # uvicorn's message once more, for terminals
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
        drop_colour,
        add_trace,
        mask_private,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(serializer=_to_json)
        if fmt == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *([structlog.processors.format_exc_info] if fmt == "json" else []),
            renderer,
        ],
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, quiet in _QUIET.items():
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        # The service's own level applies where it asks for less than the library's default.
        library.setLevel(max(logging.getLevelName(quiet), logging.getLevelName(level)))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
