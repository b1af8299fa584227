"""The process as a supervisor sees it: ready, drained, crashed, wedged, blocked."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.service import Role
from shared.service.security import KeyEntry, hash_key, write_keys_file
from tests.fuzz.wire import Wire

ROOT = Path(__file__).parents[3]
EXAMPLE = Path(__file__).with_name("example.py")
WEB, OPS = "oms_channel_test", "oms_ops_test"
ORDER = {"external_id": "A-1", "lines": [{"sku": "S-1", "quantity": 1}]}


class Running:
    """The example as a child process; its log lines are read as they come."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.text: list[str] = []
        self._changed = asyncio.Event()
        self.reader = asyncio.create_task(self._read())
        self.url = ""

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            line = raw.decode().rstrip()
            self.text.append(line)
            if line.startswith("{"):
                self.lines.append(json.loads(line))
            self._changed.set()

    async def event(self, name: str) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while True:
                self._changed.clear()
                for line in self.lines:
                    if line["event"] == name:
                        return line
                await self._changed.wait()

    async def exit(self, timeout_s: float = 20) -> int:
        async with asyncio.timeout(timeout_s):
            status = await self.process.wait()
            await self.reader
        return status

    def headers(self, key: str = WEB, number: int = 0) -> dict[str, str]:
        return {"authorization": f"Bearer {key}", "idempotency-key": f"k{number}"}


Start = Callable[..., Any]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    entries = [
        KeyEntry("web-1", hash_key(WEB), Role.CHANNEL, "web"),
        KeyEntry("ops-1", hash_key(OPS), Role.OPS),
    ]
    write_keys_file(path, entries)
    return path


@pytest.fixture
def start(keys: Path) -> Start:
    @asynccontextmanager
    async def starter(fault: str = "", *, listen: bool = True, **env: str) -> AsyncIterator[Any]:
        variables = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "OMS_PORT": "0",
            "OMS_KEYS_FILE": str(keys),
            "EXAMPLE_FAULT": fault,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(EXAMPLE),
            env=variables | env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        running = Running(process)
        try:
            if listen:
                started = await running.event("service.started")
                running.url = f"http://127.0.0.1:{started['port']}"
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await running.reader

    return starter


async def test_serves_and_stops_in_order(start: Start) -> None:
    async with start() as service, httpx.AsyncClient(base_url=service.url) as client:
        ready = await client.get("/readyz")
        assert ready.status_code == 200
        assert [task["state"] for task in ready.json()["tasks"]] == ["ready", "ready"]
        placed = await client.post("/orders", json=ORDER, headers=service.headers())
        assert (placed.status_code, placed.json()) == (201, {"order_id": "A-1"})

        service.process.send_signal(signal.SIGTERM)
        assert await service.exit() == 0
        assert "closed after consumer,relay" in service.text
        assert service.lines[-1]["event"] == "service.exit"


async def test_what_is_no_request_is_a_problem_too(start: Start) -> None:
    """uvicorn's own answer would be plain text, and a head without end would be kept in memory."""
    get = b"GET /livez HTTP/1.1\r\nhost: x\r\n"
    frames = [
        (400, b"GARBAGE\r\n\r\n"),
        (400, get + b"x: \x00\r\n\r\n"),
        (400, get.replace(b"GET", b"POST") + b"content-length: -1\r\n\r\n"),
        (431, b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n"),
        (431, get + b"x: " + b"y" * 300_000),
        (431, b"GET /" + b"y" * 300_000),
    ]
    async with start() as service:
        for status, frame in frames:
            async with Wire(httpx.URL(service.url).port or 0) as wire:
                answer = await wire.send(frame)
            assert (answer.status, answer.kind) == (status, b"application/problem+json")
            assert json.loads(answer.body)["status"] == status
        async with httpx.AsyncClient(base_url=service.url) as client:
            long = await client.get("/livez", headers={"x": "y" * 30_000})
            assert long.status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_drains_under_load(start: Start, number: signal.Signals) -> None:
    """Every request that the service began is answered; later ones find no listener."""
    answers: list[int] = []
    refused = 0
    stop = asyncio.Event()

    async def shopper(client: httpx.AsyncClient, service: Running, index: int) -> None:
        nonlocal refused
        for turn in range(10_000):
            try:
                answer = await client.post(
                    "/orders", json=ORDER, headers=service.headers(number=index * 10_000 + turn)
                )
            except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError):
                refused += 1
                if stop.is_set():
                    return
            else:
                answers.append(answer.status_code)

    async with start() as service, httpx.AsyncClient(base_url=service.url) as client:
        shoppers = [asyncio.create_task(shopper(client, service, i)) for i in range(16)]
        while len(answers) < 100:
            await asyncio.sleep(0.01)
        assert refused == 0
        begun = time.monotonic()
        stop.set()
        service.process.send_signal(number)
        assert await service.exit() == 0
        assert time.monotonic() - begun < 5
        await asyncio.gather(*shoppers)
    assert set(answers) == {201}
    assert "closed after consumer,relay" in service.text


async def test_a_hanging_request_gets_503_within_the_time(start: Start) -> None:
    async with (
        start(OMS_DRAIN_S="3") as service,
        httpx.AsyncClient(base_url=service.url, timeout=20) as client,
    ):
        hanging = asyncio.create_task(client.get("/hang", headers=service.headers(OPS)))
        while (
            "oms_http_in_flight 2.0"
            not in (await client.get("/metrics", headers=service.headers(OPS))).text
        ):
            await asyncio.sleep(0.01)
        begun = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        answer = await hanging
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:oms:problem:stopping")
        assert await service.exit() == 0
        assert time.monotonic() - begun < 4


async def test_a_task_that_ignores_stop_is_cancelled(start: Start) -> None:
    async with start("ignore_stop") as service:
        begun = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert await service.exit() == 0
        assert time.monotonic() - begun < 10
        assert (await service.event("task.stop_timeout"))["task"] == "consumer"
        assert "closed after relay" in service.text


async def test_a_task_that_fails_while_stopping_is_told(start: Start) -> None:
    async with start("fail_stopping") as service:
        service.process.send_signal(signal.SIGTERM)
        assert await service.exit() == 1
        assert (await service.event("task.stop_failed"))["reason"] == "could not flush"
        assert "closed after relay" in service.text


async def test_a_second_signal_stops_at_once(start: Start) -> None:
    async with start("ignore_stop", OMS_DRAIN_S="60") as service:
        begun = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        await service.event("service.signal")
        service.process.send_signal(signal.SIGTERM)
        assert await service.exit() == 130
        assert time.monotonic() - begun < 5


async def test_a_blocked_loop_cannot_outlive_the_drain_time(start: Start) -> None:
    async with start("block_stopping", OMS_DRAIN_S="2") as service:
        begun = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert await service.exit() == 70
        assert time.monotonic() - begun < 6
        assert any("time.sleep" in line or "in consumer" in line for line in service.text)


@pytest.mark.parametrize(("fault", "event"), [("crash", "task.crashed"), ("return", "task.ended")])
async def test_a_lost_task_ends_the_process(start: Start, fault: str, event: str) -> None:
    async with start(fault, listen=False) as service:
        assert await service.exit() == 1
        line = await service.event(event)
        assert (line["level"], line["task"]) == ("critical", "consumer")
        assert "closed after relay" in service.text


async def test_a_wedged_task_exits_70(start: Start) -> None:
    async with start("wedge", OMS_STALLED_S="0.6") as service:
        assert await service.exit() == 70
        assert (await service.event("task.wedged"))["task"] == "consumer"


async def test_a_failed_start_exits_1_and_a_hanging_one_obeys_sigterm(start: Start) -> None:
    async with start("fail_starting", listen=False) as service:
        assert await service.exit() == 1
        assert "no database" in (await service.event("service.start_failed"))["reason"]
    async with start("hang_starting", listen=False) as service:
        await service.event("service.starting")
        service.process.send_signal(signal.SIGTERM)
        assert await service.exit() == 0


async def test_a_taken_port_is_explained(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with start(listen=False, OMS_PORT=port) as service:
            assert await service.exit() == 69
            line = await service.event("service.port_taken")
            assert (line["port"], "OMS_PORT" in line["next"]) == (int(port), True)


async def test_bad_settings_and_keys_exit_2(start: Start, tmp_path: Path) -> None:
    async with start(listen=False, OMS_PORT="abc") as service:
        assert await service.exit() == 2
        assert "OMS_PORT='abc'" in "\n".join(service.text)
    async with start(listen=False, OMS_KEYS_FILE=str(tmp_path / "none")) as service:
        assert await service.exit() == 2
        assert "OMS_KEYS_FILE" in (await service.event("service.settings"))["reason"]


async def test_loop_lag_is_reported(start: Start) -> None:
    async with start() as service, httpx.AsyncClient(base_url=service.url) as client:
        await client.get("/block", headers=service.headers(OPS))
        assert (await service.event("loop.lag"))["lag_ms"] >= 250
        text = (await client.get("/metrics", headers=service.headers(OPS))).text
        assert "oms_event_loop_lag_alarms_total 1.0" in text


async def test_keys_rotate_in_a_running_service(start: Start, keys: Path) -> None:
    async with start() as service, httpx.AsyncClient(base_url=service.url) as client:
        assert (await client.get("/whoami", headers=service.headers(OPS))).status_code == 200
        write_keys_file(keys, [KeyEntry("ops-2", hash_key("fresh"), Role.OPS)])
        await service.event("keys.reloaded")
        assert (await client.get("/whoami", headers=service.headers(OPS))).status_code == 401
        answer = await client.get("/whoami", headers=service.headers("fresh"))
        assert answer.json() == {"id": "ops-2"}


@pytest.mark.parametrize("chunked", [False, True])
async def test_ten_megabytes_are_refused_with_an_answer(start: Start, chunked: bool) -> None:
    async def stream() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b"x" * 65536

    async with start() as service, httpx.AsyncClient(base_url=service.url) as client:
        content: Any = stream() if chunked else b"x" * 10_485_760
        sent = service.headers() | {"content-type": "application/json"}
        answer = await client.post("/orders", content=content, headers=sent)
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        # The service goes on serving.
        assert (await client.get("/livez")).status_code == 200


HOSTILE_BYTES = [
    b"\x00\x01\x02\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /orders HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    b"POST /orders HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /orders/\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \xff\xfe\r\n\r\n",
    b"GET /x HTTP/1.1\r\nhost: x\r\ntraceparent: \xff\r\nx-correlation-id: \xff\r\n\r\n",
    b"GET /x HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
]


async def test_hostile_bytes_never_give_5xx(start: Start) -> None:
    async with start() as service, httpx.AsyncClient(base_url=service.url) as client:
        host, _, port = service.url.removeprefix("http://").partition(":")
        for raw in HOSTILE_BYTES:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(raw)
            async with asyncio.timeout(10):
                status = await reader.readline()
            writer.close()
            assert status == b"" or status.split()[1].startswith(b"4"), (raw[:60], status)
            assert (await client.get("/livez")).status_code == 200


async def test_a_suspended_process_goes_on(start: Start) -> None:
    async with (
        start("wedge", OMS_STALLED_S="30") as service,
        httpx.AsyncClient(base_url=service.url) as client,
    ):
        service.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(2)  # the suspension itself; there is nothing to await in it
        service.process.send_signal(signal.SIGCONT)
        await service.event("loop.lag")
        assert (await client.get("/livez")).status_code == 200
        assert service.process.returncode is None
