"""When what fails: drawn from a seed. A service is killed every few seconds; beside that, one other fault at a time."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import httpx

from tests.chaos.faults import KINDS, Kind
from tests.chaos.town import PROCESSES, Town

KILL_EVERY_S = 5.0
HOLD_S = (3.0, 8.0)
BREATH_S = (1.0, 3.0)
RECOVERED_WITHIN_S = 120.0
LOOK_EVERY_S = 0.2
KILLED = "killed"


@dataclass
class Injected:
    """One fault that happened. Times are seconds since the start; ``recovered_s`` is None when the run ended before."""

    kind: str
    what: str
    began_s: float
    lifted_s: float
    recovered_s: float | None = None


@dataclass
class Injector:
    """Breaks things until told to stop. ``flows`` tells whether an order sent after a moment (`time.monotonic`) was
    confirmed."""

    town: Town
    seed: int
    flows: Callable[[float], bool]
    kinds: tuple[Kind, ...] = KINDS
    began: float = field(default_factory=time.monotonic)
    injected: list[Injected] = field(default_factory=list)
    _probes: set[asyncio.Task[None]] = field(default_factory=set)
    _http: httpx.AsyncClient = field(
        default_factory=lambda: httpx.AsyncClient(timeout=2, trust_env=False)
    )

    @property
    def missing(self) -> dict[str, str]:
        """Kinds that cannot be had here, and why."""
        return {kind.name: why for kind in self.kinds if (why := kind.missing(self.town))}

    async def run(self, seconds: float) -> None:
        """Inject until the time is over, and return when the last fault was lifted."""
        until = time.monotonic() + seconds
        await asyncio.gather(self._kill(until), self._break(until))

    async def recovered(self) -> None:
        """Return when every fault's recovery was seen, or given up."""
        await asyncio.gather(*self._probes)
        await self._http.aclose()

    async def _kill(self, until: float) -> None:
        random, queue = Random(f"{self.seed}/kills"), list[str]()
        while time.monotonic() + KILL_EVERY_S < until:
            await asyncio.sleep(KILL_EVERY_S)
            queue = queue or random.sample(PROCESSES, len(PROCESSES))
            name = queue.pop()
            pid = self.town.pid(name)
            if pid is None:
                continue  # it is about to start again
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            fault = self._note(KILLED, name, self._now())
            self._watch(self._until_ready(fault, name, pid))

    async def _break(self, until: float) -> None:
        random = Random(f"{self.seed}/faults")
        for kind in self._kinds(random):
            hold_s = random.uniform(*HOLD_S)
            if time.monotonic() + hold_s > until:
                return
            began = self._now()
            what = await kind.act(self.town, random, hold_s)
            fault = self._note(kind.name, what, began)
            await self._until_flowing(fault, until)
            await asyncio.sleep(random.uniform(*BREATH_S))

    def _kinds(self, random: Random) -> Iterator[Kind]:
        """Rounds of all kinds, each in another order."""
        there = [k for k in self.kinds if k.name not in self.missing for _ in range(k.weight)]
        while True:
            yield from random.sample(there, len(there))

    def _note(self, kind: str, what: str, began: float) -> Injected:
        fault = Injected(kind, what, began, self._now())
        self.injected.append(fault)
        return fault

    async def _until_flowing(self, fault: Injected, until: float) -> None:
        """Recovered when an order that was sent afterwards is confirmed."""
        lifted = time.monotonic()
        while time.monotonic() < min(until, lifted + RECOVERED_WITHIN_S):
            if self.flows(lifted):
                fault.recovered_s = self._now()
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def _until_ready(self, fault: Injected, name: str, killed: int) -> None:
        """Recovered when its successor is ready."""
        url = f"{self.town.system.layout.url(name)}/readyz"
        deadline = time.monotonic() + RECOVERED_WITHIN_S
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if self.town.pid(name) != killed and (await self._http.get(url)).is_success:
                    fault.recovered_s = self._now()
                    return
            await asyncio.sleep(LOOK_EVERY_S)

    def _watch(self, probe: object) -> None:
        task = asyncio.ensure_future(probe)  # type: ignore[call-overload]
        self._probes.add(task)

    def _now(self) -> float:
        return time.monotonic() - self.began
