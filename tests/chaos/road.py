"""A road between services and a server: a TCP forwarder in this process that can be made slow, deaf or torn."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from ops.stack.ports import HOST

CHUNK_BYTES = 64 << 10
#: How long a dead connection goes unnoticed: as long as the keepalives take that the services ask for.
UNNOTICED_S = 25.0


class Road:
    """Forwards ``port`` to ``target``, both on the loopback.

    ``latency_s`` holds every chunk back. While ``deaf``, what is sent is swallowed and nobody is told: such a connection
    stays dead after the road has recovered, as one does whose other end has vanished, until keepalives would find out.
    `reset` tears all connections.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.target = target
        self.latency_s = 0.0
        self.deaf = False
        self._server: asyncio.Server | None = None
        self._pairs: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Begin to forward."""
        self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def close(self) -> None:
        """End every connection, and forward no more."""
        assert self._server is not None
        self._server.close()
        for pair in list(self._pairs):
            pair.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)
        self.reset()
        await self._server.wait_closed()

    def reset(self) -> int:
        """Tear every connection with a reset; how many ends there were."""
        torn = list(self._writers)
        for writer in torn:
            sock = writer.get_extra_info("socket")
            with suppress(OSError):  # closed meanwhile
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
        return len(torn)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = asyncio.current_task()
        assert pair is not None
        self._pairs.add(pair)
        self._writers.add(writer)
        behind: asyncio.StreamWriter | None = None
        try:
            with suppress(OSError):
                there, behind = await asyncio.open_connection(HOST, self.target)
                self._writers.add(behind)
                await self._both(self._pump(reader, behind), self._pump(there, writer))
        except asyncio.CancelledError:
            pass  # the road closes
        finally:
            self._pairs.discard(pair)
            for end in filter(None, (writer, behind)):
                self._writers.discard(end)
                end.transport.abort()

    async def _both(self, *pumps: object) -> None:
        """Until one direction ends."""
        going = [asyncio.ensure_future(p) for p in pumps]  # type: ignore[call-overload]
        try:
            await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in going:
                one.cancel()
            await asyncio.gather(*going, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if self.deaf:
                await asyncio.sleep(UNNOTICED_S)
                return
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            writer.write(data)
            await writer.drain()
        if self.deaf:  # nor is it told that the other end is gone
            await asyncio.sleep(UNNOTICED_S)
