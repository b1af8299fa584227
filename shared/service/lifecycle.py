"""One process of a service: start, ready, serve, watch, drain, exit with a telling status."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NoReturn, TypeVar

import structlog
import uvloop

from shared.service import logging
from shared.service.failures import log_unexpected
from shared.service.http import ServiceApp
from shared.service.loopguard import LoopGuard
from shared.service.security import KeysFileError
from shared.service.server import EmbeddedServer, bind_socket
from shared.service.settings import InvalidSettingsError, Settings, load_settings
from shared.service.tasks import Handle, State, Task
from shared.service.watch import Monitor

log = structlog.stdlib.get_logger("oms.lifecycle")
S = TypeVar("S", bound=Settings)


class Exit(IntEnum):
    """Exit statuses. A supervisor restarts on 1 and 70; 2 and 69 need a person."""

    OK = 0
    TASK_CRASHED = 1
    SETTINGS = 2
    PORT_TAKEN = 69
    WEDGED = 70
    FORCED = 130


@dataclass(frozen=True)
class Service:
    """What a composition root yields: the application and its background tasks in the order in
    which they shall stop (consumers first, what they depend on last)."""

    app: ServiceApp
    tasks: Sequence[Task] = ()


Compose = Callable[[S], AbstractAsyncContextManager[Service]]


def run(settings: type[S], compose: Compose[S]) -> NoReturn:
    """The `main` of a service: `run(OrderSettings, compose)`.

    `compose(settings)` is an async context manager that opens pools and clients, yields the
    Service, and closes them after the tasks have stopped. Never returns.
    """
    loaded = load_settings(settings)
    logging.configure(loaded.service, loaded.log_level, loaded.log_format)
    sys.exit(uvloop.run(serve(loaded, compose)))


async def serve(settings: S, compose: Compose[S]) -> int:
    """Run until a signal, a crash or a wedge; returns the exit status (see Exit)."""
    try:
        listener = bind_socket(settings.host, settings.port)
    except OSError as error:
        log.critical(
            "service.port_taken",
            host=settings.host,
            port=settings.port,
            reason=str(error),
            next="stop the other process or set OMS_PORT",
        )
        return Exit.PORT_TAKEN
    guard = LoopGuard()
    stop = asyncio.Event()
    main = asyncio.ensure_future(_main(settings, compose, listener, stop, guard))
    _handle_signals(stop, main, guard, settings.drain_s)
    guard.start()
    try:
        return await main
    except asyncio.CancelledError:
        log.warning("service.stopped_at_once", reason="a second signal came while draining")
        return Exit.FORCED
    finally:
        guard.cancel()
        listener.close()


def _handle_signals(
    stop: asyncio.Event, main: asyncio.Future[int], guard: LoopGuard, drain_s: float
) -> None:
    def on_signal(name: str) -> None:
        if stop.is_set():
            log.warning("service.signal_again", signal=name, next="stopping at once")
            main.cancel()
            return
        log.info("service.signal", signal=name)
        # Whatever hangs from here on, the process is gone in time.
        guard.exit_after(drain_s + 0.7)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)


async def _main(
    settings: S,
    compose: Compose[S],
    listener: socket.socket,
    stop: asyncio.Event,
    guard: LoopGuard,
) -> int:
    process = Process(settings, stop, guard)
    manager = compose(settings)
    log.info("service.starting", port=listener.getsockname()[1])
    try:
        service = await _unless(stop, manager.__aenter__())
    except (InvalidSettingsError, KeysFileError) as error:
        log.critical("service.settings", reason=str(error))
        return Exit.SETTINGS
    except Exception as error:  # noqa: BLE001 - logged, and told by the exit status
        log_unexpected(log, "service.start_failed", error, level="critical")
        return Exit.TASK_CRASHED
    if service is None:
        return Exit.OK
    status: int = Exit.TASK_CRASHED
    try:
        status = await process.run(service, listener)
    finally:
        try:
            await manager.__aexit__(None, None, None)
        except Exception as error:  # noqa: BLE001 - logged, and told by the exit status
            log_unexpected(log, "service.close_failed", error)
            status = status or Exit.TASK_CRASHED
    log.info("service.exit", status=int(status))
    return status


async def _unless(stop: asyncio.Event, starting: Coroutine[Any, Any, Service]) -> Service | None:
    """The started service, or None when a signal came first."""
    start = asyncio.ensure_future(starting)
    waiter = asyncio.ensure_future(stop.wait())
    await asyncio.wait((start, waiter), return_when=asyncio.FIRST_COMPLETED)
    waiter.cancel()
    if not start.done():
        start.cancel()
        await asyncio.wait((start,))
        return None
    return start.result()


@dataclass
class Process:
    """The running process: its server and tasks."""

    settings: Settings
    stop: asyncio.Event
    guard: LoopGuard
    running: list[tuple[Task, Handle, asyncio.Task[None]]] = field(default_factory=list)

    async def run(self, service: Service, listener: socket.socket) -> int:
        """Serve until there is a reason to stop, then drain; returns the exit status."""
        app = service.app
        app.seal()
        server = EmbeddedServer(app, self.settings.proxies)
        for task in service.tasks:
            handle = app.health.add(task)
            self.running.append(
                (task, handle, asyncio.create_task(task.run(handle), name=task.name))
            )
        monitor = Monitor(app, self.settings, self.guard)
        watching = asyncio.create_task(monitor.run(), name="monitor")
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        host, port = listener.getsockname()[:2]
        # What lives this long is not garbage; not scanning it again keeps pauses short.
        gc.collect()
        gc.freeze()
        # A batch makes thousands of short-lived structs without cycles; scanning them is waste.
        gc.set_threshold(50_000, 20, 50)
        log.info("service.started", host=host, port=port)
        status = await self._wait(serving, watching, monitor)
        self.guard.exit_after(self.settings.drain_s + 0.7)
        app.health.draining = True
        await self._drain(server, serving)
        watching.cancel()
        await asyncio.wait((watching,))
        # A task that failed while it stopped may have left work unflushed: not a clean exit.
        if status == Exit.OK and any(h.state is State.FAILED for _, h, _ in self.running):
            return Exit.TASK_CRASHED
        return status

    async def _wait(
        self, serving: asyncio.Task[None], watching: asyncio.Task[None], monitor: Monitor
    ) -> int:
        stopping = asyncio.create_task(self.stop.wait())
        tasks = {job for _, _, job in self.running}
        try:
            await asyncio.wait(
                (stopping, serving, watching, *tasks), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopping.cancel()
        if self.stop.is_set():
            return Exit.OK
        if monitor.wedged is not None:
            return Exit.WEDGED
        for job in (serving, watching, *tasks):
            if job.done():
                self._report(job)
        return Exit.TASK_CRASHED

    def _report(self, job: asyncio.Task[None]) -> None:
        name = job.get_name()
        for _, handle, known in self.running:
            if known is job:
                handle.become(State.FAILED)
        error = None if job.cancelled() else job.exception()
        if error is None:
            log.critical("task.ended", task=name, reason="it returned before it was told to stop")
        else:
            log_unexpected(log, "task.crashed", error, level="critical", task=name)

    async def _drain(self, server: EmbeddedServer, serving: asyncio.Task[None]) -> None:
        """Requests first, for they may need the tasks; then the tasks in their order."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.drain_s
        # Half of the time is for requests, so that tasks always get theirs.
        server.stop(graceful_s=max(1, int(self.settings.drain_s / 2)))
        await asyncio.wait((serving,), timeout=self.settings.drain_s / 2 + 1)
        for task, handle, job in self.running:
            if job.done():
                if handle.state is not State.FAILED and (job.cancelled() or job.exception()):
                    self._report(job)
                continue
            handle.become(State.STOPPING)
            handle.stopping.set()
            patience_s = max(0.1, min(task.stop_s, deadline - loop.time()))
            await self._finish(task, handle, job, patience_s)

    async def _finish(
        self, task: Task, handle: Handle, job: asyncio.Task[None], patience_s: float
    ) -> None:
        await asyncio.wait((job,), timeout=patience_s)
        if not job.done():
            log.error("task.stop_timeout", task=task.name, waited_s=round(patience_s, 1))
            job.cancel()
            await asyncio.wait((job,), timeout=0.5)
        if job.done() and not job.cancelled() and (error := job.exception()) is not None:
            handle.become(State.FAILED)
            log_unexpected(log, "task.stop_failed", error, task=task.name)
        else:
            handle.become(State.STOPPED)
