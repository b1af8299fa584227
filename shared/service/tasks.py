"""Background tasks of a service process: their state, readiness and progress."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Where a task is in its life."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Progress:
    """Ticked by a task for each step it completes; watched for a wedged client.

    Only a task that is assigned work, knows it is behind and still doesn't move counts as
    stalled: an idle topic or a lost assignment must never cost a restart.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.assigned = False
        self.behind = False
        self._steps_seen = 0
        self._stalled_s = 0.0

    def tick(self, steps: int = 1) -> None:
        """Count completed steps (records, rows, …)."""
        self.steps += steps

    def report(self, *, assigned: bool, behind: bool) -> None:
        """Say whether there is work that should be moving."""
        self.assigned = assigned
        self.behind = behind

    def observe(self, elapsed_s: float) -> float:
        """Called by the watchdog every `elapsed_s`; returns for how long nothing has moved.

        It adds up observed intervals instead of subtracting times, so that a process that was
        suspended gets its chance to catch up before it is judged.
        """
        moved = self.steps != self._steps_seen
        self._steps_seen = self.steps
        self._stalled_s = (
            0.0 if moved or not (self.assigned and self.behind) else self._stalled_s + elapsed_s
        )
        return self._stalled_s


class Handle:
    """A task's side of the lifecycle: report readiness and progress, learn when to stop."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = State.STARTING
        self.detail = ""
        self.progress = Progress()
        self.stopping = asyncio.Event()
        self._changed = time.monotonic()

    def ready(self) -> None:
        """The task does its work now."""
        if self.state is State.STARTING:
            self.become(State.READY)

    def not_ready(self, detail: str) -> None:
        """The task cannot do its work for now; `detail` is shown at /readyz."""
        if self.state is State.READY:
            self.become(State.STARTING, detail)

    def become(self, state: State, detail: str = "") -> None:
        """Change the state (the lifecycle does)."""
        self.state, self.detail, self._changed = state, detail, time.monotonic()

    async def sleep(self, seconds: float) -> bool:
        """Wait `seconds` or until the task shall stop; returns whether it shall stop."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return False
        return True

    def describe(self) -> dict[str, Any]:
        """What /readyz shows."""
        shown: dict[str, Any] = {
            "name": self.name,
            "state": self.state.value,
            "since_s": round(time.monotonic() - self._changed, 1),
            "steps": self.progress.steps,
            "behind": self.progress.behind,
        }
        if self.detail:
            shown["detail"] = self.detail
        return shown


@dataclass(frozen=True)
class Task:
    """A named background coroutine. It must call `handle.ready()`, run until `handle.stopping` is
    set, then finish its work and return within `stop_s`. Ending earlier counts as a crash."""

    name: str
    run: Callable[[Handle], Coroutine[Any, Any, None]]
    gates_ready: bool = True
    stop_s: float = 3.0


@dataclass
class Health:
    """The state that /livez and /readyz report."""

    service: str
    gates: list[Handle] = field(default_factory=list)
    handles: list[Handle] = field(default_factory=list)
    draining: bool = False

    def add(self, task: Task) -> Handle:
        """Register `task` before it starts."""
        handle = Handle(task.name)
        self.handles.append(handle)
        if task.gates_ready:
            self.gates.append(handle)
        return handle

    @property
    def ready(self) -> bool:
        """Whether traffic is welcome."""
        return not self.draining and all(handle.state is State.READY for handle in self.gates)

    def describe(self) -> dict[str, Any]:
        """What /readyz shows."""
        return {
            "service": self.service,
            "ready": self.ready,
            "draining": self.draining,
            "tasks": [handle.describe() for handle in self.handles],
        }
