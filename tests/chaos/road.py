"""A road between services and a server: a TCP forwarder that can be made slow, deaf or torn."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process

#: How long a dead connection goes unnoticed: as long as the keepalives take that the services ask for.
UNNOTICED_S = 25.0
ANSWER_WITHIN_S = 20.0


class Road:
    """Forwards ``port`` to ``target``, both on the loopback, in a process of its own (`tests.chaos.forwarder`)."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.target = target
        self._process: Process | None = None
        self._asking = asyncio.Lock()

    async def open(self) -> None:
        """Begin to forward."""
        argv = (sys.executable, "-m", "tests.chaos.forwarder", str(self.port), str(self.target))
        self._process = await asyncio.create_subprocess_exec(
            *argv, stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        await self._answer(self._process)

    async def close(self) -> None:
        """End every connection, and forward no more."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def slow(self, latency_s: float) -> None:
        """Hold everything back for so long; 0 for no longer."""
        await self._tell(f"latency {latency_s}")

    async def deafen(self) -> None:
        """Swallow what is sent, and tell nobody: such a connection stays dead after the road has recovered, as one does
        whose other end has vanished, until keepalives would find out."""
        await self._tell(f"deaf {UNNOTICED_S}")

    async def hear(self) -> None:
        """Forward again what is sent on connections that did not go dead."""
        await self._tell("hearing")

    async def reset(self) -> int:
        """Tear every connection with a reset; how many ends there were."""
        return int(await self._tell("reset"))

    async def _tell(self, order: str) -> str:
        assert self._process is not None
        assert self._process.stdin is not None
        async with self._asking:
            self._process.stdin.write(f"{order}\n".encode())
            return await self._answer(self._process)

    async def _answer(self, process: Process) -> str:
        assert process.stdout is not None
        async with asyncio.timeout(ANSWER_WITHIN_S):
            answer = (await process.stdout.readline()).decode().strip()
        if not answer:
            raise RuntimeError(f"the road to port {self.target} has ended")
        return answer
