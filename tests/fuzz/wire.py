"""HTTP/1.1 as bytes: a kept-alive connection that sends whatever it is given, which no well-behaved client would."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple, Self

Headers = list[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def kind(self) -> bytes:
        """The media type."""
        return self.headers.get(b"content-type", b"")


class Wire:
    """One connection; it is opened again where the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def request(
        self,
        method: bytes,
        target: bytes,
        headers: Iterable[tuple[bytes, bytes]] = (),
        body: bytes = b"",
    ) -> Answer:
        """Send a request with a body of its true length."""
        lines = [b"%s %s HTTP/1.1" % (method, target), b"host: x"]
        lines += [b"%s: %s" % header for header in headers]
        if body or method in (b"POST", b"PUT"):
            lines.append(b"content-length: %d" % len(body))
        return await self.send(b"\r\n".join(lines) + b"\r\n\r\n" + body, head=method == b"HEAD")

    async def send(self, data: bytes, *, head: bool = False) -> Answer:
        """Send bytes and read one answer. Raises EOFError or OSError where none comes."""
        kept = self._streams is not None
        try:
            return await asyncio.wait_for(self._exchange(data, head), 30)
        except (EOFError, OSError):
            self.close()
            if not kept:
                raise
            # An idle connection may be closed at any time: once more on a fresh one.
            return await asyncio.wait_for(self._exchange(data, head), 30)

    async def _exchange(self, data: bytes, head: bool) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(data)
        first, *rest = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        pairs = (line.partition(b":") for line in rest if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        status = int(first.split(b" ", 2)[1])
        body = b""
        if not head and status not in (204, 304):
            body = await self._body(reader, headers)
        if headers.get(b"connection", b"").lower() == b"close":
            self.close()
        return Answer(status, headers, body)

    async def _body(self, reader: asyncio.StreamReader, headers: dict[bytes, bytes]) -> bytes:
        if b"content-length" in headers:
            return await reader.readexactly(int(headers[b"content-length"]))
        if headers.get(b"content-type", b"").startswith(b"text/event-stream"):
            self.close()  # it has no end
            return b""
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        return body

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
