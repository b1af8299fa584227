"""The crowd counts what it is told, and what it is told is judged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from benchmarks.overload import Measured, Window, details
from benchmarks.overload_load import Result, Spec, run
from benchmarks.post_load import Spec as Orders
from benchmarks.post_load import answer_length

TAKEN = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 2\r\n\r\n{}"
RUDE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
FAULT = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}"


class Server(asyncio.Protocol):
    """Answers each request with the next of these, round and round; hangs up when there are none."""

    def __init__(self, answers: tuple[bytes, ...], got: list[bytes], open_: set[Server]) -> None:
        self._answers, self._got, self._open = answers, got, open_
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (length := answer_length(self._received)) is not None:
            self._got.append(self._received[:length])
            self._received = self._received[length:]
            if not self._answers:
                self._transport.close()
                return
            self._transport.write(self._answers[len(self._got) % len(self._answers)])

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)


@asynccontextmanager
async def server(*answers: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server on a free port: its port, and what it got."""
    got: list[bytes] = []
    connected: set[Server] = set()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Server(answers, got, connected), "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], got
        while connected:
            await asyncio.sleep(0)


def spec(port: int, per_s: float, connections: int = 8, seconds: float = 0.4) -> Spec:
    orders = Orders("127.0.0.1", port, "k", connections, 0, seconds, "t-", "web", 1000)
    return Spec(orders, per_s)


async def test_an_open_loop_sends_what_is_due_and_counts_every_answer() -> None:
    async with server(TAKEN, BUSY, BUSY) as (port, got):
        told = await run(spec(port, 200))
    assert told.sent == len(got) == sum(told.statuses.values())
    assert told.sent + told.not_sent >= 60
    assert told.statuses["503"] > told.statuses["201"] == told.accepted_ms["count"] > 0
    assert told.without_retry_after == 0
    assert len({request.split(b"Idempotency-Key: ")[1][:9] for request in got}) == len(got)


async def test_a_closed_loop_waits_when_it_is_turned_away() -> None:
    async with server(BUSY) as (port, got):
        told = await run(spec(port, 0, connections=2))
    assert told.statuses == {"503": len(got)}
    assert 2 <= len(got) <= 4


@pytest.mark.parametrize(("answer", "status"), [(RUDE, "503"), (FAULT, "500")])
async def test_what_no_caller_should_be_told_is_seen(answer: bytes, status: str) -> None:
    async with server(answer) as (port, _):
        told = await run(spec(port, 50))
    assert told.statuses.keys() == {status}
    assert (told.without_retry_after > 0) == (status == "503")
    assert (status == "500") == ("500 Internal" in told.first_error)


async def test_who_gets_no_answer_is_counted() -> None:
    async with server() as (port, _):
        told = await run(spec(port, 50))
    assert told.statuses.keys() == {"lost"}


def test_goodput_is_what_was_carried_and_not_what_was_accepted() -> None:
    def window(completed: float, **statuses: int) -> Window:
        counts = {name.strip("_"): n for name, n in statuses.items()}
        return Window(Result(10, counts, 0, 0, {}, {}, 0.1), completed, {})

    measured = Measured(window(500, _201=5000), window(450, _201=900, _503=8100), 5000, 7.0, 3.0)
    assert (measured.goodput, round(measured.shed, 2)) == (0.9, 0.9)
    assert details(measured)["shed_share"] == 0.9
