"""Operating system processes that belong to us: started, identified across restarts, ended.

A process is identified by pid *and* start time, because a pid written down before a crash may since
have been given to somebody else's process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from ops.stack.errors import StackError, log_tail

_CHILD = Path(__file__).with_name("child.py")
_LOG_BYTES_MAX = 16 * 1024 * 1024
_KILL_PATIENCE_S = 10.0

# PR_SET_PDEATHSIG fires when the *thread* that forked ends, not the process. So every child is
# forked by one thread that lives as long as this process does.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="oms-spawn")


@dataclass(frozen=True, slots=True)
class Identity:
    """A process as written into state files: its pid and start time (seconds since the epoch)."""

    pid: int
    started: float

    def find(self) -> psutil.Process | None:
        """The live process, or None when it has ended (also when its pid was given away again)."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) > 1.0:
                return None
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.NoSuchProcess:
            return None
        return process


def identify(process: psutil.Process) -> Identity:
    """The identity of a process that lives now."""
    return Identity(process.pid, process.create_time())


@dataclass(frozen=True, slots=True)
class User:
    """The unprivileged user that a program runs as when we are root."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Child:
    """A process that we started; `log` holds what it printed."""

    name: str
    popen: subprocess.Popen[bytes]
    identity: Identity
    log: Path

    @property
    def pid(self) -> int:
        """Process id."""
        return self.popen.pid

    def exit_status(self) -> int | None:
        """Exit status (negative: ended by that signal), or None while it runs."""
        return self.popen.poll()

    def require_running(self) -> None:
        """Raise StackError with the end of the log when the process has ended."""
        status = self.exit_status()
        if status is not None:
            raise StackError(
                f"{self.name} ended at start-up with status {status}; the log {self.log} ends "
                f"with:\n{log_tail(self.log)}"
            )

    def stop(self, signal_number: int = signal.SIGTERM, timeout_s: float = 10.0) -> bool:
        """Ask to end, then kill; True when the process ended by itself within the time."""
        if self.popen.poll() is not None:
            return True
        self.popen.send_signal(signal_number)
        try:
            self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            return False
        return True


def spawn(
    name: str,
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: User | None = None,
    death_signal: int = signal.SIGTERM,
) -> Child:
    """Start a program in a session of its own, its output appended to `log`.

    Its own session, so that Ctrl-C in the terminal reaches only us and we order the shutdown. On
    Linux the kernel sends it `death_signal` when this process dies, however it dies.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    _rotate(log)
    uid, gid = (user.uid, user.gid) if user else (-1, -1)
    wrapped = [sys.executable, "-I", "-S", str(_CHILD)]
    wrapped += [str(os.getpid()), str(int(death_signal)), str(uid), str(gid), "--", *argv]

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                wrapped,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
            )

    popen = _spawner.submit(start).result()
    return Child(name, popen, identify(psutil.Process(popen.pid)), log)


def end(identity: Identity, *, timeout_s: float, first: int = signal.SIGTERM) -> bool:
    """End a process that is not our child (its parent was killed); True if it was there."""
    process = identity.find()
    if process is None:
        return False
    for number, patience_s in ((first, timeout_s), (signal.SIGKILL, _KILL_PATIENCE_S)):
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return True  # it ended between the look and the signal: what we wanted
        if _wait_until_gone(identity, patience_s):
            return True
    raise StackError(f"process {identity.pid} does not end, not even killed: is its disk gone?")


def _wait_until_gone(identity: Identity, timeout_s: float) -> bool:
    """Whether the process ended in time.

    Not `psutil.wait`: it waits for a zombie to be reaped, which in a container without an init
    process never happens to somebody else's child.
    """
    deadline = time.monotonic() + timeout_s
    while identity.find() is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def write_pid(path: Path, identity: Identity) -> None:
    """Note a process on disk, so that a later run can find it if we are killed."""
    write_atomically(path, json.dumps({"pid": identity.pid, "started": identity.started}))


def read_pid(path: Path) -> Identity | None:
    """The process noted at `path`, or None when there is none (or the note was cut short)."""
    try:
        note = json.loads(path.read_text())
        return Identity(int(note["pid"]), float(note["started"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file so that a reader, or a crash, sees the old text or the new, never a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _rotate(log: Path) -> None:
    """Keep one older generation of a log that has grown large."""
    if log.exists() and log.stat().st_size > _LOG_BYTES_MAX:
        log.replace(log.with_name(f"{log.name}.1"))
