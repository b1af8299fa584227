"""Run the system's processes: start, wait until ready, restart what dies, stop all in time."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from ops.stack import state
from ops.stack.errors import StackError, log_tail
from ops.stack.ports import HOST, require_free
from ops.stack.process import Child, spawn

_POLL_S = 0.05
_READY_POLL_S = 0.2  # every attempt is a line in an access log
_BACKOFF_FIRST_S = 0.5
_BACKOFF_MAX_S = 10.0
_HEALTHY_AFTER_S = 30.0  # a process that lived this long starts with a fresh back-off


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep running.

    `port`: TCP port it listens on, checked to be free beforehand; `ready`: URL that answers 2xx
    once it serves (default: the port accepts connections; with neither, ready means started). `env`
    is added to ours.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    ready: str | None = None
    ready_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to a process, for whoever shows it."""

    name: str
    state: str
    detail: str = ""


@dataclass(slots=True)
class _Kept:
    """A program with its present process."""

    program: Program
    child: Child | None = None
    state: str = state.STARTING
    restarts: int = 0


class Supervisor:
    """Keeps programs running over one data directory; use as an async context manager.

        async with Supervisor(data, programs, addresses={"kafka": …}) as supervisor:
            await supervisor.wait()          # until SIGINT, SIGTERM or request_stop()

    Entering returns when every program is ready and raises StackError, leaving nothing running,
    when one is not in time. While inside, a program that ends is started again with back-off
    (`on_change` hears of it). Leaving sends SIGTERM to all and SIGKILL to those still there after
    `stop_timeout_s`.
    """

    def __init__(
        self,
        data: Path,
        programs: Sequence[Program],
        *,
        addresses: Mapping[str, str] | None = None,
        on_change: Callable[[Change], None] | None = None,
        stop_timeout_s: float = 8.0,
    ) -> None:
        self._data = data.resolve()
        self._kept = [_Kept(program) for program in programs]
        self._addresses = dict(addresses or {})
        self._on_change = on_change
        self._stop_timeout_s = stop_timeout_s
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._data.mkdir(parents=True, exist_ok=True)
        self._resources.enter_context(state.exclusive(self._data, "supervisor"))
        try:
            await asyncio.to_thread(state.end_leftovers, self._data, self._stop_timeout_s)
            self._catch_signals()
            for kept in self._kept:
                if kept.program.port is not None:
                    require_free(kept.program.port, what=kept.program.name, setting="--port-base")
            await self._start_all()
        except BaseException:
            await self._stop_all()
            await self._resources.aclose()
            raise
        self._tasks = [asyncio.create_task(self._keep(kept)) for kept in self._kept]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        try:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            await self._stop_all()
            await self._resources.aclose()

    async def wait(self) -> None:
        """Return when SIGINT or SIGTERM arrived or `request_stop` was called.

        Raises what ended a keeper, if one failed: a supervisor that no longer supervises must not
        live on.
        """
        stop = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait([stop, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        for task in done - {stop}:
            task.result()

    def request_stop(self) -> None:
        """Make `wait` return."""
        self._stop.set()

    def snapshot(self) -> state.SystemState:
        """What runs now, as `oms status` shows it."""
        processes = tuple(
            state.ProcessState(
                name=kept.program.name,
                state=kept.state,
                pid=kept.child.pid if kept.child else None,
                started=kept.child.identity.started if kept.child else None,
                port=kept.program.port,
                restarts=kept.restarts,
                log=str(self._log(kept.program)),
            )
            for kept in self._kept
        )
        return state.SystemState(
            supervisor=state.myself("supervisor"), addresses=self._addresses, processes=processes
        )

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
            self._resources.callback(loop.remove_signal_handler, number)

    async def _start_all(self) -> None:
        """Start everything side by side; the first failure, or a signal, ends the attempt."""
        for kept in self._kept:
            self._start(kept)
        ready = asyncio.gather(*(self._until_ready(kept) for kept in self._kept))
        stop = asyncio.ensure_future(self._stop.wait())
        either: list[asyncio.Future[Any]] = [ready, stop]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                raise StackError("stopped by a signal while the services were starting")
            await ready
        finally:
            for pending in either:
                pending.cancel()
            await asyncio.gather(*either, return_exceptions=True)

    def _start(self, kept: _Kept) -> None:
        program = kept.program
        kept.child = spawn(
            program.name,
            program.argv,
            log=self._log(program),
            env={**os.environ, **program.env},
        )
        self._note(kept, state.STARTING)

    async def _until_ready(self, kept: _Kept) -> None:
        """Return when the program serves; StackError with the end of its log when it does not."""
        child, program = kept.child, kept.program
        assert child is not None, "started before"
        deadline = time.monotonic() + program.ready_timeout_s
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
            while not await _serves(program, client):
                child.require_running()
                if time.monotonic() > deadline:
                    raise StackError(
                        f"{program.name} was not ready within {program.ready_timeout_s:.0f} s "
                        f"({program.ready or f'port {program.port}'}); the log {child.log} ends "
                        f"with:\n{log_tail(child.log)}"
                    )
                await asyncio.sleep(_READY_POLL_S)
        child.require_running()
        self._note(kept, state.READY)

    async def _keep(self, kept: _Kept) -> None:
        """Start the program again whenever it ends, for as long as we run."""
        backoff_s = _BACKOFF_FIRST_S
        while True:
            assert kept.child is not None, "started before"
            began = time.monotonic()
            while (status := kept.child.exit_status()) is None:
                await asyncio.sleep(_POLL_S)
            if time.monotonic() - began > _HEALTHY_AFTER_S:
                backoff_s = _BACKOFF_FIRST_S
            kept.restarts += 1
            detail = (
                f"ended with status {status}, starts again in {backoff_s:g} s; log {kept.child.log}"
            )
            self._note(kept, state.RESTARTING, detail)
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _BACKOFF_MAX_S)
            self._start(kept)
            try:
                await self._until_ready(kept)
            except StackError as error:
                self._note(kept, state.RESTARTING, str(error))
                kept.child.stop(signal.SIGKILL)

    async def _stop_all(self) -> None:
        """SIGTERM to all at once, SIGKILL to those that outstay the time."""
        children = [kept.child for kept in self._kept if kept.child is not None]
        for child in children:
            if child.exit_status() is None:
                child.popen.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self._stop_timeout_s
        killed = []
        try:
            while time.monotonic() < deadline and any(c.exit_status() is None for c in children):
                await asyncio.sleep(_POLL_S)
        finally:  # also when we are cancelled
            for child in children:
                if child.exit_status() is None:
                    child.popen.kill()
                    child.popen.wait()
                    killed.append(child)
        # Only now that nothing runs any more: the listener may fail (a terminal that is gone).
        state.clear(self._data)
        for kept in self._kept:
            if kept.child is not None:
                detail = "killed: it did not end in time" if kept.child in killed else ""
                self._tell(kept, state.STOPPED, detail)

    def _note(self, kept: _Kept, now: str, detail: str = "") -> None:
        """Record a change for other shells and tell the listener."""
        kept.state = now
        state.write(self._data, self.snapshot())
        self._tell(kept, now, detail)

    def _tell(self, kept: _Kept, now: str, detail: str) -> None:
        kept.state = now
        if self._on_change is not None:
            self._on_change(Change(kept.program.name, now, detail))

    def _log(self, program: Program) -> Path:
        return self._data / "logs" / f"{program.name}.log"


async def _serves(program: Program, client: httpx.AsyncClient) -> bool:
    """One attempt: the readiness URL answers 2xx, or the port accepts a connection."""
    if program.ready is not None:
        try:
            return (await client.get(program.ready)).is_success
        except httpx.TransportError:
            return False
    if program.port is None:
        return True
    try:
        _, writer = await asyncio.open_connection(HOST, program.port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
