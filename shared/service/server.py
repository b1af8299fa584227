"""uvicorn inside our own event loop: its signals, start-up and log set-up are ours."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shared.service.http import ServiceApp
from shared.service.problems import MEDIA_TYPE, Problem

BACKLOG = 2048
KEEP_ALIVE_S = 30
HEAD_MAX_BYTES = 128 << 10


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, for requests that never become one: what cannot be parsed is refused as a problem document,
    and a head without end is not kept in memory."""

    _in_head = False
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """asyncio's callback."""
        super().data_received(data)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_MAX_BYTES and not self.transport.is_closing():
            detail = f"Address and headers may have {HEAD_MAX_BYTES} bytes together."
            self._refuse(Problem(431, "head-too-large", detail=detail))

    def on_message_begin(self) -> None:
        """httptools' callback."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """httptools' callback."""
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's
        """What the parser refuses: uvicorn's own answer is plain text."""
        detail = (
            "This is not HTTP/1.1: check the request line (an address has at most 65,535 bytes), the headers and "
            "the framing of the body."
        )
        self._refuse(Problem(400, "bad-request", detail=detail))

    def _refuse(self, problem: Problem) -> None:
        body = problem.body("/", None)
        head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[problem.status_code] + head.encode() + body)
        self.transport.close()


class EmbeddedServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the lifecycle and stops on request."""

    def __init__(self, app: ServiceApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install nothing: the lifecycle handles SIGTERM and SIGINT."""
        yield

    def stop(self, graceful_s: int) -> None:
        """Close the listener, let requests finish for `graceful_s`, then cancel them."""
        self.config.timeout_graceful_shutdown = graceful_s
        self.should_exit = True


def bind_socket(host: str, port: int) -> socket.socket:
    """A listening socket; raises OSError when the port is taken. Port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
