"""The system that a command works with: one that runs already, or one brought up for the command's time."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ops.cli.client import Running, find
from ops.cli.codes import Exit
from ops.cli.output import Output
from ops.demo.catalogue import AUTOMATIC, EXTERNAL
from ops.stack import Ports, state
from ops.stack.supervisor import Change
from ops.system import Layout, running

#: Distances from the base of the ports.
KAFKA, KAFKA_CONTROLLER, POSTGRES = 92, 93, 32


@dataclass(frozen=True)
class Host:
    """``ours``: this process runs it and stops it. ``stopped`` returns when it was told to."""

    running: Running
    ours: bool
    stopped: Callable[[], Awaitable[None]]


def layout_of(data: Path, port_base: int) -> Layout:
    """The system as the command line starts it: one location is automatic, another an external warehouse's, unless the
    environment names others."""
    defaults = {
        "fulfillment": {"OMS_AUTOMATIC_LOCATIONS": f'["{AUTOMATIC}"]'},
        "integrations": {"OMS_WMS_LOCATIONS": f'["{EXTERNAL}"]'},
    }
    extra = {
        service: {name: os.environ.get(name, ours) for name, ours in settings.items()}
        for service, settings in defaults.items()
    }
    return Layout(data.resolve(), port_base, extra=extra)


def ports_of(port_base: int) -> Ports:
    """Kafka's and Postgres' ports: beside the services', unless the environment names others."""
    named = Ports.from_environment()
    return Ports(
        named.kafka if "OMS_KAFKA_PORT" in os.environ else port_base + KAFKA,
        named.kafka_controller
        if "OMS_KAFKA_CONTROLLER_PORT" in os.environ
        else port_base + KAFKA_CONTROLLER,
        named.postgres if "OMS_POSTGRES_PORT" in os.environ else port_base + POSTGRES,
    )


@asynccontextmanager
async def started(layout: Layout, out: Output) -> AsyncIterator[Host]:
    """The whole system, brought up with a line for each part, and stopped on leaving."""
    starting = _Starting(out)
    with starting:
        context = running(layout, ports=ports_of(layout.port_base), on_change=starting.changed)
        try:
            system = await context.__aenter__()
        except asyncio.CancelledError:
            # The servers are started by a thread that cannot be interrupted: they are stopped once they are up.
            starting.stopping()
            raise
    try:
        yield Host(Running.of(system), True, system.supervisor.wait)
    except BaseException as error:
        starting.stopping()
        if not await context.__aexit__(type(error), error, error.__traceback__):
            raise
    else:
        starting.stopping()
        await context.__aexit__(None, None, None)


@asynccontextmanager
async def hosted(layout: Layout, out: Output) -> AsyncIterator[Host]:
    """The system that runs over the data directory, else one that is started for this time."""
    found = state.read(layout.data)
    if found is None or not found.running:
        async with started(layout, out) as host:
            yield host
        return
    out.note(f"Using the system that runs over {layout.data}.")
    told = asyncio.Event()

    async def stopped() -> None:
        await told.wait()

    with signals(told.set):
        yield Host(find(layout.data), False, stopped)


async def interruptible(host: Host, work: Coroutine[Any, Any, Exit]) -> Exit:
    """The work's result; INTERRUPTED when the host was told to stop before the work had one. It is cancelled then, and
    may still answer."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(host.stopped())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            stopping.result()  # a supervisor that failed says why
            working.cancel()
            await asyncio.wait((working,))
        return Exit.INTERRUPTED if working.cancelled() else working.result()
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


@contextmanager
def signals(act: Callable[[], object]) -> Iterator[None]:
    """Call ``act`` at SIGINT and SIGTERM, until a supervisor takes both over."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, act)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def cancelled_by_signals() -> AbstractContextManager[None]:
    """Ctrl-C and SIGTERM cancel the current task."""
    task = asyncio.current_task()
    assert task is not None
    return signals(task.cancel)


class _Starting:
    """Tells what comes up and what happens to it."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._working = ExitStack()
        self._up = False
        self._stopping = False

    def __enter__(self) -> Self:
        self._working.enter_context(
            self._out.working("Starting Kafka, PostgreSQL and the services …")
        )
        return self

    def __exit__(self, *exception: object) -> None:
        self._up = exception[0] is None
        self._working.close()

    def stopping(self) -> None:
        """From now on processes end because they should."""
        self._stopping = True
        self._out.note("\nStopping …")

    def changed(self, change: Change) -> None:
        """A process changed."""
        if change.state == state.READY:
            again = " again" if self._up else ""
            self._out.note(f"  {change.name:<14}ready{again}")
        elif change.detail and not self._stopping:
            self._out.note(f"  {change.name:<14}{change.detail}", style="yellow")
