"""stripe-mock as a process: Stripe's own mock, which knows its OpenAPI document and remembers nothing."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.stack.ports import free_ports

BINARY = Path(__file__).parents[1] / "build" / "tools" / "stripe-mock"
START_SECONDS_MAX = 60.0


def find() -> str | None:
    """Its path: built by `make stripe-mock`, or installed."""
    return str(BINARY) if BINARY.exists() else shutil.which("stripe-mock")


@contextmanager
def running(binary: str) -> Iterator[str]:
    """Its address while it runs."""
    port, https = free_ports(2)  # unasked it would listen on a port of its own choice, too
    process = subprocess.Popen(
        [binary, "-http-addr", f"127.0.0.1:{port}", "-https-addr", f"127.0.0.1:{https}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + START_SECONDS_MAX
        while not _listens(port):
            assert process.poll() is None, f"{binary} ended with {process.returncode}"
            assert time.monotonic() < until, f"{binary} does not listen on {port}"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False
