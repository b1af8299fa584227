"""What runs over a data directory, as written down for other shells: `oms status`, `oms down`.

The note is only trusted together with the process table: after kill -9 it is stale, and every
process in it is looked up by pid and start time.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import msgspec
import psutil

from ops.stack.errors import StackError
from ops.stack.process import Identity, end, write_atomically

STARTING, READY, RESTARTING, STOPPED = "starting", "ready", "restarting", "stopped"


class ProcessState(msgspec.Struct, frozen=True, kw_only=True):
    """One supervised process; `started` in seconds since the epoch, `restarts` the unexpected."""

    name: str
    state: str
    pid: int | None = None
    started: float | None = None
    port: int | None = None
    restarts: int = 0
    log: str = ""

    @property
    def identity(self) -> Identity | None:
        """Pid and start time, when it has been started."""
        if self.pid is None or self.started is None:
            return None
        return Identity(self.pid, self.started)

    @property
    def running(self) -> bool:
        """Whether that very process lives now."""
        return self.identity is not None and self.identity.find() is not None


class SystemState(msgspec.Struct, frozen=True, kw_only=True):
    """The system over one data directory; `addresses` may hold passwords: the file is 0600."""

    supervisor: ProcessState
    addresses: Mapping[str, str] = {}
    processes: tuple[ProcessState, ...] = ()

    @property
    def running(self) -> bool:
        """Whether the supervisor lives; without it the rest is left over."""
        return self.supervisor.running


def state_file(data: Path) -> Path:
    """Where the note is."""
    return data / "state.json"


def write(data: Path, state: SystemState) -> None:
    """Replace the note."""
    text = msgspec.json.format(msgspec.json.encode(state), indent=2).decode()
    write_atomically(state_file(data), f"{text}\n")


def read(data: Path) -> SystemState | None:
    """The note over `data`, or None when nothing was ever started or it was shut down in order."""
    try:
        return msgspec.json.decode(state_file(data).read_bytes(), type=SystemState)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise StackError(
            f"{state_file(data)} cannot be read ({error}): end the processes by hand and delete it"
        ) from error


def clear(data: Path) -> None:
    """Remove the note: everything in it has ended."""
    state_file(data).unlink(missing_ok=True)


def end_leftovers(data: Path, timeout_s: float = 10.0) -> list[str]:
    """End the processes of a killed supervisor; their names. Only for the lock's holder."""
    state = read(data)
    if state is None:
        return []
    living = [process for process in state.processes if process.running]
    for process in living:
        _signal(process, signal.SIGTERM)
    for process in living:
        assert process.identity is not None
        end(process.identity, timeout_s=timeout_s)
    clear(data)
    return [process.name for process in living]


def down(data: Path, timeout_s: float = 20.0) -> list[str]:
    """Stop the system over `data` from any shell; the names of what was stopped.

    Asks the supervisor, which stops its processes and then Kafka and Postgres; kills it when it
    takes longer than `timeout_s`, and then ends whatever was left over.
    """
    data = data.resolve()
    state = read(data)
    if state is None:
        return []
    stopped = [process.name for process in state.processes if process.running]
    if state.supervisor.identity is not None and end(
        state.supervisor.identity, timeout_s=timeout_s
    ):
        stopped.insert(0, state.supervisor.name)
    end_leftovers(data)
    return stopped


@contextmanager
def exclusive(data: Path, what: str) -> Iterator[None]:
    """Hold `data`/`what`.lock for the block; StackError naming the holder when another has it."""
    lock = lock_file(data, what)
    try:
        yield
    finally:
        lock.close()


def lock_file(data: Path, what: str) -> TextIO:
    """Hold `data`/`what`.lock until the file is closed or we die; StackError when taken."""
    file = (data / f"{what}.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise StackError(
            f"the data directory {data} is in use by process {holder}: stop it (`oms down`), or "
            f"choose another with --data"
        ) from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def myself(name: str) -> ProcessState:
    """This process, as an entry of the note."""
    started = psutil.Process().create_time()
    return ProcessState(name=name, state=READY, pid=os.getpid(), started=started)


def _signal(process: ProcessState, number: int) -> None:
    found = process.identity.find() if process.identity else None
    if found is not None:
        try:
            found.send_signal(number)
        except psutil.NoSuchProcess:
            return  # it ended by itself, which is what we want
