"""Runs the fake provider as the separate process that it is, for tests."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import shared

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 15.0


class ProviderProcess:
    """The provider on a free port of 127.0.0.1, as an async context manager; restart it at will."""

    def __init__(self, ledger: Path, key: str, **environment: str) -> None:
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(Path(shared.__path__[0]).parent),
            "OMS_HOST": "127.0.0.1",
            "OMS_PORT": "0",
            "OMS_PAYMENTS_LEDGER": str(ledger),
            "OMS_PAYMENTS_KEY": key,
            **environment,
        }
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        """Start it."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it, if it still runs."""
        if self._process is not None:
            await self.end(signal.SIGTERM)

    async def start(self) -> None:
        """Start the process and wait until it listens at `url`; the port differs each time."""
        if self._process is not None:
            raise RuntimeError("the provider runs already; end it first")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "shared.payments",
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                line = await self._process.stdout.readline()
        except TimeoutError:
            await self.end(signal.SIGKILL)
            raise
        if not line:
            status = await self.end(signal.SIGTERM)
            raise RuntimeError(f"the provider ended with status {status} before it listened")
        self.url = f"http://127.0.0.1:{json.loads(line)['port']}"

    async def end(self, number: signal.Signals) -> int:
        """Send the signal and return the exit status (negative: died of that signal)."""
        process, self._process = self._process, None
        if process is None:
            raise RuntimeError("the provider doesn't run; start it first")
        if process.returncode is None:
            process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()
            raise
        assert process.returncode is not None
        return process.returncode
