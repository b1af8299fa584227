"""The HTTP parser's side of the limits: what uvicorn itself does not bound.

It collects a request's head in memory however long it is, and waits for the rest of a request for ever. Both let
strangers hold memory and connections without a key.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Request line and headers together; the longest that we send or expect are some two thousand.
HEAD_MAX_BYTES = 32 * 1024
#: How long a request may take to arrive, from its first byte to its last, and a new connection until its first.
ARRIVAL_S_MAX = 30.0

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/problem+json\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s"
)
_PROBLEM = (
    b'{"type":"urn:oms:problem:head-too-large","title":"Request head too large","status":431,"instance":"/",'
    b'"detail":"At most %d bytes of request line and headers are accepted."}' % HEAD_MAX_BYTES
)


class Door(HttpToolsProtocol):
    """One connection."""

    arrival_s = ARRIVAL_S_MAX

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self._head = 0
        self._in_head = True
        self._arriving: asyncio.TimerHandle | None = None

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
                self.transport.write(_TOO_LARGE % (len(_PROBLEM), _PROBLEM))
                self.transport.close()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._expect()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """What comes now is counted as a body."""
        self._in_head, self._head = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_head = True
        self._arrived()
        super().on_message_complete()

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
