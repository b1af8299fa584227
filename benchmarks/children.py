"""Python processes of a benchmark's own: started, waited for, and ended with it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from benchmarks.testbed import ROOT, BenchmarkFailed

READY_SECONDS_MAX = 30
STOP_SECONDS_MAX = 5


class Child:
    """One process. It ends when its standard input does, so it never outlives this one."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process

    def check(self) -> None:
        """Raise `BenchmarkFailed` when it has ended."""
        if self.process.returncode is not None:
            raise BenchmarkFailed(
                f"{self.name} ended with status {self.process.returncode}: see what it printed above"
            )

    def check_ok(self) -> None:
        """Raise `BenchmarkFailed` unless it has ended well."""
        if self.process.returncode:
            self.check()

    async def ready(self) -> None:
        """Wait for its line ``ready``."""
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), READY_SECONDS_MAX)
        if line.strip() != b"ready":
            await self.process.wait()
            self.check()

    async def stop(self) -> None:
        """Close its standard input, and kill it when that does not end it."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_SECONDS_MAX)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def child(
    module: str, arguments: Sequence[str], env: Mapping[str, str]
) -> AsyncIterator[Child]:
    """``python -m MODULE ARGUMENTS`` with these variables besides ours, stopped on leaving."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **env},
        cwd=ROOT,
        start_new_session=True,
    )
    one = Child(" ".join([module, *arguments]), process)
    try:
        yield one
    finally:
        await one.stop()
