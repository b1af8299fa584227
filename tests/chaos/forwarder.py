"""``python -m tests.chaos.forwarder PORT TARGET``: the process of a `Road`, so that who walks on it does not hold it up.

Every line on standard input is an order, answered by one line: ``latency SECONDS``, ``deaf SECONDS`` (how long a
connection that went dead meanwhile goes unnoticed), ``hearing``, ``reset`` (the answer is how many ends there were).
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import deque
from contextlib import suppress
from typing import cast

import uvloop

from ops.stack.ports import HOST


class Forwarder:
    """What all connections share."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.latency_s = 0.0
        self.unnoticed_s: float | None = None
        self.ends: set[End] = set()

    def order(self, line: str) -> str:
        """Do as we are told; the answer."""
        match line.split():
            case ["latency", seconds]:
                self.latency_s = float(seconds)
            case ["deaf", seconds]:
                self.unnoticed_s = float(seconds)
            case ["hearing"]:
                self.unnoticed_s = None
            case ["reset"]:
                return str(self.reset())
            case _:
                raise ValueError(f"no such order: {line!r}")
        return "done"

    def reset(self) -> int:
        """Tear every connection with a reset; how many ends there were."""
        torn = list(self.ends)
        for end in torn:
            end.tear()
        return len(torn)


class End(asyncio.Protocol):
    """One end of a forwarded connection: what arrives here leaves at the other, in order."""

    def __init__(self, forwarder: Forwarder, other: End | None = None) -> None:
        self._forwarder = forwarder
        self._other = other
        self._transport: asyncio.Transport | None = None
        self._held: deque[bytes | None] = deque()
        self._early: list[bytes] = []
        self._dead = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._forwarder.ends.add(self)
        if self._other is None:
            self._opening = asyncio.ensure_future(self._open())

    async def _open(self) -> None:
        """Find the other end."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        try:
            _, self._other = await loop.create_connection(
                lambda: End(self._forwarder, self), HOST, self._forwarder.target
            )
        except OSError:
            self._transport.abort()
            return
        for data in self._early:
            self._pass(data)
        if self._transport.is_closing():
            self._other.finish()

    def data_received(self, data: bytes) -> None:
        self._forward(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._forwarder.ends.discard(self)
        self._forward(None)

    def pause_writing(self) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.pause_reading()

    def resume_writing(self) -> None:
        other = self._other
        if other is not None and other._transport is not None and not other._transport.is_closing():
            other._transport.resume_reading()

    def _forward(self, data: bytes | None) -> None:
        """Pass on what arrived, at once or late; None is the end."""
        loop = asyncio.get_running_loop()
        if self._dead:
            return
        if (unnoticed_s := self._forwarder.unnoticed_s) is not None:
            self._dead = True
            loop.call_later(unnoticed_s, self.tear)
            if self._other is not None:
                loop.call_later(unnoticed_s, self._other.tear)
        elif self._forwarder.latency_s or self._held:
            self._held.append(data)
            loop.call_later(self._forwarder.latency_s, self._late)
        else:
            self._pass(data)

    def _late(self) -> None:
        self._pass(self._held.popleft())

    def _pass(self, data: bytes | None) -> None:
        if self._other is None:
            if data is not None:
                self._early.append(data)
        elif self._other._transport is None:
            return
        elif data is None:
            self._other.finish()
        elif not self._other._transport.is_closing():
            self._other._transport.write(data)

    def finish(self) -> None:
        """Send what is left, and close."""
        if self._transport is not None:
            self._transport.close()

    def tear(self) -> None:
        """End it with a reset."""
        if self._transport is None or self not in self._forwarder.ends:
            return
        with suppress(OSError):  # closed meanwhile
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._transport.abort()


def _answer(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(port: int, target: int) -> None:
    """Forward until standard input ends, as it does when whoever started us is gone."""
    loop = asyncio.get_running_loop()
    forwarder = Forwarder(target)
    await loop.create_server(lambda: End(forwarder), HOST, port, backlog=512)
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    _answer("open")
    while line := (await orders.readline()).decode():
        _answer(forwarder.order(line))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
