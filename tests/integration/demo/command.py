"""The `oms` command as its users have it: a process, its output, its signals, and what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Self

import psutil

from ops.stack.ports import is_open
from tests.portrange import OFFSETS

ARGV = (sys.executable, "-c", "from ops.cli import main; main()")
ROOT = Path(__file__).parents[3]


class Command:
    """A running `oms`, its output gathered as it comes."""

    def __init__(self, *arguments: str) -> None:
        self.began = monotonic()
        self.process = subprocess.Popen(
            [*ARGV, *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMS_STACK": "embedded", "COLUMNS": "200"},
        )
        self.text = ""
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._more:
                self.text += line
                self._more.notify_all()
        with self._more:
            self._more.notify_all()

    def until(self, pattern: str, timeout_s: float = 120) -> None:
        """Return when the output has the pattern; fails when the process ends, or takes too long, before."""
        with self._more:
            found = self._more.wait_for(
                lambda: re.search(pattern, self.text) or self.process.poll() is not None, timeout_s
            )
        assert found, f"no {pattern!r} within {timeout_s} s:\n{self.text}"
        assert re.search(pattern, self.text), f"ended before {pattern!r}:\n{self.text}"

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def wait(self, timeout_s: float = 150) -> int:
        """Its exit status."""
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"still running after {timeout_s} s:\n{self.text}") from None
        self._reader.join(10)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind, whatever the test found."""
        self.process.kill()
        self.process.wait()
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


def oms(
    *arguments: str, timeout_s: float = 150, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; ``environment`` comes on top of that of the tests."""
    return subprocess.run(
        [*ARGV, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, "OMS_STACK": "embedded", "COLUMNS": "200", **(environment or {})},
    )


def left_over(data: Path, base: int) -> list[str]:
    """Processes that still have to do with a data directory or listen on one of its ports."""
    mine = os.getpid()
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if process.pid == mine or process.status() == psutil.STATUS_ZOMBIE:
            continue
        with suppress(psutil.Error):
            told: Sequence[str] = process.info["cmdline"] or []
            environment: dict[str, Any] = process.environ()
            if any(str(data) in x for x in (*told, environment.get("OMS_KEYS_FILE", ""))):
                found.append(f"{process.pid} {' '.join(told)[:120]}")
    return found + [f"port {base + offset}" for offset in OFFSETS if is_open(base + offset)]
