"""The limits at the parser, over real connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.service.admission import Admission
from shared.service.door import HEAD_MAX_BYTES, Door
from shared.service.limits import Rates
from shared.service.server import EmbeddedServer, bind_socket
from tests.unit.service.conftest import build, headers
from tests.unit.service.test_http import ORDER


@asynccontextmanager
async def served(proxies: str = "", **options: object) -> AsyncIterator[int]:
    """The example service on a free port."""
    listener = bind_socket("127.0.0.1", 0)
    server = EmbeddedServer(build(**options), proxies)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0)
    try:
        yield listener.getsockname()[1]
    finally:
        server.stop(graceful_s=1)
        await serving


async def said(port: int, *parts: bytes) -> bytes:
    """All that the server answers until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10):
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_long_head_is_cut_off_whether_it_ends_or_not() -> None:
    async with served() as port:
        line = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        fits = b"x-a: " + b"a" * (HEAD_MAX_BYTES - 1000) + b"\r\n\r\n"
        assert b"200 OK" in await said(port, line, fits)
        endless = [b"x-%d: %s\r\n" % (n, b"a" * 900) for n in range(60)]
        for head in ([line + b"x-a: " + b"a" * HEAD_MAX_BYTES + b"\r\n\r\n"], [line, *endless]):
            answer = await said(port, *head)
            assert b"431" in answer.split(b"\r\n", 1)[0]
            assert b"urn:oms:problem:head-too-large" in answer


async def test_bodies_are_not_counted_as_heads() -> None:
    async with served() as port:
        body = b'{"a":"' + b"a" * (2 * HEAD_MAX_BYTES) + b'"}'
        head = b"POST /orders HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n" % len(body)
        first = head + b"\r\n" + body
        last = head + b"connection: close\r\n\r\n" + body
        assert (await said(port, first + first, last)).count(b"401 Unauthorized") == 3


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"GET /livez HTTP/1.1\r\nhost:",
        b"POST /orders HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc",
    ],
    ids=["nothing", "half a head", "half a body"],
)
async def test_who_does_not_finish_is_let_go(part: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Door, "arrival_s", 0.05)
    async with served() as port:
        assert b"200" not in await said(port, part)


async def test_only_a_proxy_of_ours_says_for_whom_it_asks() -> None:
    async def asked(port: int, address: bytes) -> bytes:
        head = b"GET /docs HTTP/1.1\r\nhost: x\r\nx-forwarded-for: %s\r\nconnection: close\r\n\r\n"
        return (await said(port, head % address)).split(b" ", 2)[1]

    rates = Rates(stranger_per_s=0.5)
    async with served("127.0.0.1", rates=rates) as port:
        addresses = [b"192.0.2.1", b"192.0.2.2", b"192.0.2.1"]
        assert [await asked(port, a) for a in addresses] == [b"200", b"200", b"429"]
    async with served("", rates=rates) as port:
        assert [await asked(port, a) for a in addresses[:2]] == [b"200", b"429"]


async def test_new_work_is_turned_away_at_the_door_and_the_connection_stays() -> None:
    """The same answer as further in, also in one segment with others, and while a body still comes."""
    gate = Admission(1, lag_max_s=10)
    gate.lag_s = 10
    body = json.dumps(ORDER).encode()
    sent = headers() | {"content-length": str(len(body)), "host": "x"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())

    def post(path: str, more: str = "") -> bytes:
        return f"POST {path} HTTP/1.1\r\n{lines}{more}\r\n".encode() + body

    async with served(admission=gate) as port:
        whole = post("/new/orders")
        last = post("/orders", "connection: close\r\n")
        told = await said(port, whole + whole, whole[:-5], whole[-5:], last)
        answers = told.split(b"HTTP/1.1 ")[1:]
        assert [a[:3] for a in answers] == [b"503", b"503", b"503", b"201"]
        assert all(
            b"retry-after: 5\r\n" in a and b"urn:oms:problem:overloaded" in a for a in answers[:3]
        )
        assert gate.shed == {"in_flight": 0, "lag": 3}
        # One that wants the connection closed goes the long way, and is told the same.
        closing = await said(port, post("/new/orders", "connection: close\r\n"))
        assert closing.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 5\r\n" in closing
        gate.lag_s = 0
        let_in = await said(port, whole, last)
        assert let_in.count(b"HTTP/1.1 201") == 2
    assert gate.in_flight == 0
