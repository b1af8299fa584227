"""A container engine that answers, has no image, and cannot get one: as much of its API as a client asks for until then."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


@contextmanager
def engine_without_images(socket: Path) -> Iterator[list[str]]:
    """Serve on a unix socket; yields the paths that were asked for."""
    asked: list[str] = []

    class Engine(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith("/_ping"):
                self._answer(200, "OK")
            elif self.path.endswith("/version"):
                self._answer(200, {"ApiVersion": "1.44", "Version": "25.0", "Os": "linux"})
            elif self.path.endswith("/info"):
                self._answer(200, {"OperatingSystem": "nowhere", "Name": "nowhere"})
            elif "/json" in self.path and "/images/" not in self.path:
                self._answer(200, [])
            else:
                self._answer(404, {"message": f"no such thing: {self.path}"})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if "/images/create" in self.path:
                self._answer(500, {"message": "Get the registry: no route to it"})
            else:
                self._answer(404, {"message": "No such image"})

        def _answer(self, status: int, body: Any) -> None:
            asked.append(self.path)
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def address_string(self) -> str:
            return "client"

    with _Server(str(socket), Engine) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join(5)
