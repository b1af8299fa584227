"""The supervisor with real processes: ready, restarted, stopped in time, found by others."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.stack import StackError, state
from ops.stack.ports import HOST, free_ports, is_open
from ops.stack.supervisor import Change, Program, Supervisor

SERVER = """
import http.server, signal, sys
port, mode = int(sys.argv[1]), sys.argv[2]
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if mode == "never" else 200)
        self.end_headers()
    def log_message(self, *arguments):
        pass
print(f"serving in mode {mode}", flush=True)
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""

OWNER = """
import asyncio, sys
from pathlib import Path
from ops.stack.supervisor import Supervisor
from tests.integration.stack.test_supervisor import server
async def main():
    programs = [server("one", int(sys.argv[2])), server("two", int(sys.argv[3]), "stubborn")]
    async with Supervisor(Path(sys.argv[1]), programs, stop_timeout_s=1) as supervisor:
        print("up", flush=True)
        await supervisor.wait()
asyncio.run(main())
"""


def server(name: str, port: int, mode: str = "ordinary", timeout_s: float = 15) -> Program:
    return Program(
        name,
        (sys.executable, "-c", SERVER, str(port), mode),
        port=port,
        ready=f"http://{HOST}:{port}/readyz",
        ready_timeout_s=timeout_s,
    )


class Changes:
    """Collects what the supervisor reports and lets a test wait for it."""

    def __init__(self) -> None:
        self.seen: list[Change] = []
        self._news = asyncio.Event()

    def __call__(self, change: Change) -> None:
        self.seen.append(change)
        self._news.set()

    async def until(self, name: str, wanted: str, times: int = 1) -> Change:
        async with asyncio.timeout(20):
            while True:
                found = [c for c in self.seen if (c.name, c.state) == (name, wanted)]
                if len(found) >= times:
                    return found[-1]
                self._news.clear()
                await self._news.wait()


@contextmanager
def own_process(data: Path, ports: list[int]) -> Iterator[subprocess.Popen[str]]:
    """A supervisor in a process of its own, up; killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data), *map(str, ports)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


async def test_programs_come_up_are_seen_from_outside_and_go_down(tmp_path: Path) -> None:
    one, two = free_ports(2)
    async with Supervisor(
        tmp_path, [server("one", one), server("two", two)], addresses={"kafka": "k:1"}
    ) as supervisor:
        seen = state.read(tmp_path)
        assert seen is not None
        assert seen == supervisor.snapshot()
        assert seen.running
        assert seen.addresses == {"kafka": "k:1"}
        assert [(p.name, p.state, p.port, p.restarts) for p in seen.processes] == [
            ("one", "ready", one, 0),
            ("two", "ready", two, 0),
        ]
        assert all(process.running for process in seen.processes)
        assert seen.processes[0].log == str(tmp_path / "logs" / "one.log")

        supervisor.request_stop()
        await supervisor.wait()

    assert state.read(tmp_path) is None
    assert not any(process.running for process in seen.processes)


async def test_a_process_that_dies_is_reported_and_started_again(tmp_path: Path) -> None:
    changes = Changes()
    [port] = free_ports(1)
    async with Supervisor(tmp_path, [server("one", port)], on_change=changes) as supervisor:
        before = supervisor.snapshot().processes[0]
        assert before.pid is not None
        os.kill(before.pid, signal.SIGKILL)

        assert "ended with status -9" in (await changes.until("one", state.RESTARTING)).detail
        await changes.until("one", state.READY, times=2)
        after = supervisor.snapshot().processes[0]
        assert (after.state, after.restarts) == ("ready", 1)
        assert after.pid != before.pid
        assert after.running


async def test_a_program_that_is_not_ready_in_time_stops_everything(tmp_path: Path) -> None:
    one, two = free_ports(2)
    programs = [server("one", one), server("two", two, "never", timeout_s=1)]

    with pytest.raises(StackError, match=r"(?s)two was not ready within 1 s.*two\.log.*mode never"):
        await Supervisor(tmp_path, programs).__aenter__()

    assert not is_open(one)
    assert not is_open(two)
    assert state.read(tmp_path) is None


async def test_a_listener_that_fails_leaves_nothing_running(tmp_path: Path) -> None:
    one, two = free_ports(2)
    ended = []

    def fail(change: Change) -> None:
        ended.append(change.state)
        if change.state == state.READY:
            raise BrokenPipeError("the terminal is gone")

    with pytest.raises(BrokenPipeError):
        await Supervisor(
            tmp_path,
            [server("one", one), server("two", two, "stubborn")],
            on_change=fail,
            stop_timeout_s=0.5,
        ).__aenter__()

    assert not is_open(one)
    assert not is_open(two)
    assert ended.count(state.STOPPED) == 2


async def test_a_program_that_ends_at_start_up_is_reported_with_its_log(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", "raise SystemExit('no such table')")
    [port] = free_ports(1)

    with pytest.raises(StackError, match=r"(?s)broken ended at start-up.*no such table"):
        await Supervisor(tmp_path, [Program("broken", argv, port=port)]).__aenter__()


async def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    [free] = free_ports(1)
    with socket.create_server((HOST, 0)) as holder:
        taken = holder.getsockname()[1]
        with pytest.raises(StackError, match=f"port {taken} for two"):
            await Supervisor(tmp_path, [server("one", free), server("two", taken)]).__aenter__()

    assert not (tmp_path / "logs").exists()


async def test_a_second_supervisor_on_the_same_data_is_refused(tmp_path: Path) -> None:
    one, two = free_ports(2)
    async with Supervisor(tmp_path, [server("one", one)]) as supervisor:
        with pytest.raises(StackError, match=rf"in use by process {os.getpid()}"):
            await Supervisor(tmp_path, [server("two", two)]).__aenter__()

        assert state.read(tmp_path) == supervisor.snapshot()
        assert is_open(one)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_in_time_even_the_stubborn(tmp_path: Path, number: int) -> None:
    ports = free_ports(2)
    with own_process(tmp_path, ports) as owner:
        running = state.read(tmp_path)
        began = time.monotonic()

        owner.send_signal(number)

        assert owner.wait(10) == 0
        assert time.monotonic() - began < 5
    assert running is not None
    assert not any(process.running for process in running.processes)


def test_down_from_another_shell_stops_the_system(tmp_path: Path) -> None:
    ports = free_ports(2)
    with own_process(tmp_path, ports):
        assert state.down(tmp_path) == ["supervisor", "one", "two"]

    assert not any(is_open(port) for port in ports)
    assert state.down(tmp_path) == []


async def test_after_kill_9_nothing_is_left_and_the_next_start_works(tmp_path: Path) -> None:
    ports = free_ports(2)
    with own_process(tmp_path, ports) as owner:
        left = state.read(tmp_path)
        owner.kill()
    assert left is not None
    assert not left.running

    # `two` ignores SIGTERM, so it outlives its supervisor until the next one ends it.
    assert left.processes[1].running
    programs = [server("one", ports[0]), server("two", ports[1])]
    async with Supervisor(tmp_path, programs, stop_timeout_s=1) as again:
        assert not any(process.running for process in left.processes)
        assert all(process.running for process in again.snapshot().processes)
