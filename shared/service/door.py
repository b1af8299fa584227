"""The HTTP parser's side: what uvicorn itself does not bound, and requests that never become one.

It collects a request's head in memory however long it is, and waits for the rest of a request for ever. Both let
strangers hold memory and connections without a key.

New work that is not let in is answered here, too, before there is a task, a scope or an exception for it: an answer that
costs a fraction of what it would cost further in is what keeps a service at work while it says no to ten times as many.
"""

import asyncio
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from shared.service.admission import Refusal
from shared.service.edge import render
from shared.service.problems import Problem

#: Request line and headers together; the longest that we send or expect are some two thousand.
HEAD_MAX_BYTES = 32 * 1024
#: How long a request may take to arrive, from its first byte to its last, and a new connection until its first.
ARRIVAL_S_MAX = 30.0

_TOO_LARGE = Problem(
    431,
    "head-too-large",
    detail=f"Request line and headers may have {HEAD_MAX_BYTES} bytes together.",
    headers={"Connection": "close"},
)
_NOT_HTTP = Problem(
    400,
    "bad-request",
    detail="This is not HTTP/1.1: check the request line (an address has at most 65,535 bytes), the headers and the "
    "framing of the body.",
    headers={"Connection": "close"},
)


class Door(HttpToolsProtocol):
    """One connection."""

    arrival_s = ARRIVAL_S_MAX

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self._head = 0
        self._in_head = True
        self._incomplete = False
        self._arriving: asyncio.TimerHandle | None = None
        self._refusal: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A new connection has so long to say something."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is expected any more."""
        self._arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, unless a head that is not complete has grown too long."""
        if self._in_head:
            # What follows the head in the same segment counts as well, once: it is at most a segment.
            self._head += len(data) if b"\r\n\r\n" not in data else data.index(b"\r\n\r\n")
            if self._head > HEAD_MAX_BYTES:
                self._refuse(_TOO_LARGE)
                return
        super().data_received(data)
        # Most requests are whole at once, and need no timer.
        if self._incomplete and self._arriving is None:
            self._expect()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._incomplete = True
        self._unset_keepalive_if_required()  # of one that was turned away in the same segment
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """What comes now is counted as a body."""
        self._in_head, self._head = False, 0
        method = self.parser.get_method()
        if self.config.app.brings_new_work(method, self.url) and self._is_plain():  # type: ignore[union-attr]
            refusal = self.config.app.turned_away(self.url)  # type: ignore[union-attr]
            if refusal is not None:
                self._refusal = _answer(self.url, refusal)
                return
            self.scope["oms.asked"] = True  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Nobody reads what is turned away."""
        if self._refusal is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_head, self._incomplete = True, False
        self._arrived()
        if self._refusal is None:
            super().on_message_complete()
            return
        self.transport.write(self._refusal)
        self._refusal = None
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's
        """What the parser refuses: uvicorn's own answer is plain text."""
        self._refuse(_NOT_HTTP)

    def _refuse(self, problem: Problem) -> None:
        self.transport.write(_written(b"/", problem))
        self.transport.close()

    def _is_plain(self) -> bool:
        """Whether the answer can be written as soon as the request is whole: nothing is under way on this connection,
        it stays open, and nobody waits to be told to go on."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        idle = cycle is None or cycle.response_complete
        return (
            idle
            and not self.pipeline
            and not self.expect_100_continue
            and not self.flow.write_paused
            and self.parser.should_keep_alive()
        )

    def _expect(self) -> None:
        self._arrived()
        self._arriving = self.loop.call_later(self.arrival_s, self._too_slow)

    def _arrived(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None

    def _too_slow(self) -> None:
        # Whoever waits for the body sees the connection gone, which every reader of bodies handles.
        self.transport.close()


@lru_cache(maxsize=64)  # of every operation there are two
def _answer(path: bytes, refusal: Refusal) -> bytes:
    return _written(path, refusal.problem())


def _written(path: bytes, problem: Problem) -> bytes:
    """A whole answer, as it goes over the wire."""
    status, headers, body = render(problem, {"path": path.decode()}, None)
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    return b"%s%s\r\n%s" % (STATUS_LINE[status], lines, body)
