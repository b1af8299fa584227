"""Trace context (W3C Trace Context, level 2) and the ids every log line carries."""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token

_TRACEPARENT = re.compile(r"^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")
_CORRELATION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,99}\Z")
_ZERO_TRACE, _ZERO_SPAN = "0" * 32, "0" * 16
# Trace ids need no secrecy; the Mersenne generator is ten times cheaper than the system's.
_random = random.Random()  # noqa: S311


def _bits(count: int) -> int:
    return _random.getrandbits(count) or 1


class Trace:
    """One unit of work: its trace, its own span, the span it came from, and business ids."""

    __slots__ = ("correlation_id", "order_id", "parent_id", "sampled", "span_id", "trace_id")

    def __init__(
        self,
        trace_id: str,
        span_id: str,
        *,
        parent_id: str | None = None,
        sampled: bool = True,
        correlation_id: str | None = None,
        order_id: str | None = None,
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.sampled = sampled
        self.correlation_id = correlation_id or trace_id
        self.order_id = order_id

    @property
    def traceparent(self) -> str:
        """The header value to send on with what this work causes."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def child(self) -> "Trace":
        """A new span under this one with the same trace, correlation and order."""
        return Trace(
            self.trace_id,
            f"{_bits(64):016x}",
            parent_id=self.span_id,
            sampled=self.sampled,
            correlation_id=self.correlation_id,
            order_id=self.order_id,
        )


def new_trace(correlation_id: str | None = None) -> Trace:
    """The root of a new trace; the correlation id defaults to the trace id."""
    return Trace(f"{_bits(128):032x}", f"{_bits(64):016x}", correlation_id=correlation_id)


def parse_traceparent(value: str) -> Trace | None:
    """The caller's span as a Trace, or None when `value` is not a valid traceparent header.

    Version ff and all-zero ids are invalid; versions above 00 may carry more fields, which are
    ignored; version 00 may not (W3C Trace Context, section 3.2).
    """
    match = _TRACEPARENT.match(value)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or trace_id == _ZERO_TRACE or span_id == _ZERO_SPAN:
        return None
    if version == "00" and more:
        return None
    return Trace(trace_id, span_id, sampled=bool(int(flags, 16) & 1))


def continue_trace(traceparent: str | None, correlation_id: str | None = None) -> Trace:
    """A span for work that arrived with these headers; invalid or absent ones start a new trace."""
    parent = parse_traceparent(traceparent) if traceparent else None
    trace = parent.child() if parent else new_trace()
    if correlation_id is not None and _CORRELATION.match(correlation_id):
        trace.correlation_id = correlation_id
    else:
        trace.correlation_id = trace.trace_id
    return trace


_current: ContextVar[Trace | None] = ContextVar("oms_trace", default=None)


def current() -> Trace | None:
    """The trace of the work this task is doing, if any."""
    return _current.get()


def enter(trace: Trace) -> Token[Trace | None]:
    """Make `trace` current until `leave`; the plain form of `bind` for the request path."""
    return _current.set(trace)


def leave(token: Token[Trace | None]) -> None:
    """Restore what was current before `enter`."""
    _current.reset(token)


@contextmanager
def bind(trace: Trace) -> Iterator[Trace]:
    """Make `trace` current, so that every log line within carries its ids."""
    token = enter(trace)
    try:
        yield trace
    finally:
        leave(token)


def set_order(order_id: str) -> None:
    """Name the order that the current work is about, once it is known."""
    trace = _current.get()
    if trace is not None:
        trace.order_id = order_id
