"""Whom the house talks to, at their worst: a mail server that refuses and repeats what it was told, and a webhook
receiver that fails and does the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from ops.stack.ports import HOST, free_ports


class Neighbour:
    """Where it listens, and how often it was called."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.calls = 0


@contextmanager
def refusing_mail() -> Iterator[Neighbour]:
    """A mail server that knows nobody."""
    neighbour = Neighbour(free_ports(1)[0])

    class Refusing:
        async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
            self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
        ) -> str:
            neighbour.calls += 1
            return f"550 5.1.1 <{address}>: no such mailbox here"

    controller = Controller(Refusing(), HOST, neighbour.port)
    controller.start()
    try:
        yield neighbour
    finally:
        controller.stop()


@contextmanager
def failing_hook() -> Iterator[Neighbour]:
    """A receiver of webhooks that answers 500 with what it was sent."""

    class Failing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            neighbour.calls += 1
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(500, "no")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing on the tests' output."""

    server = ThreadingHTTPServer((HOST, 0), Failing)
    neighbour = Neighbour(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield neighbour
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
