"""One event loop with virtual time, whose every choice comes from a seed.

Nothing waits: when no callback is ready, time jumps to the next timer. Which of several ready callbacks runs first is
drawn, as it would be between machines.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Coroutine
from heapq import heappop
from random import Random
from typing import Any

#: Whoever is running: a process of a service, or nobody in particular (shoppers, the provider, the mail server).
RUNNING: contextvars.ContextVar[Any] = contextvars.ContextVar("running", default=None)


class Deadlock(Exception):
    """Everybody waits for somebody else, and no timer is set."""


class SimTask(asyncio.Task):  # type: ignore[type-arg]
    """A task that knows its process, and hashes by its number: sets of tasks are then ordered alike in every run."""

    def __init__(self, coro: Coroutine[Any, Any, Any], *, number: int, **options: Any) -> None:
        self.number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self.number


class SimLoop(asyncio.BaseEventLoop):
    """See the module. ``now`` is seconds since the world began."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.now = 0.0
        self.steps = 0
        self._order = Random(f"{seed}:order")
        self._tasks = 0
        self.set_task_factory(self._new_task)
        # A task that failed as its process died is nobody's business; the others are awaited.
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        return self.now

    def _new_task(self, loop: asyncio.AbstractEventLoop, coro: Any, context: Any = None) -> SimTask:
        self._tasks += 1
        task = SimTask(coro, number=self._tasks, loop=loop, context=context)
        owner = context[RUNNING] if context is not None and RUNNING in context else RUNNING.get()
        if owner is not None:
            owner.tasks.append(task)
        return task

    def _run_once(self) -> None:
        """What is due now, in an order that is drawn; when nothing is, time jumps to the next timer."""
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[has-type]
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[has-type]
        while timers and timers[0].cancelled():
            heappop(timers)
        if not ready and not self._stopping:  # type: ignore[has-type]
            if not timers:
                raise Deadlock("nothing is ready and no timer is set")
            self.now = max(self.now, timers[0].when())
        while timers and timers[0].when() <= self.now:
            ready.append(heappop(timers))
        drawn = [handle for handle in ready if not handle.cancelled()]
        ready.clear()
        self.steps += len(drawn)
        if len(drawn) > 1:
            self._order.shuffle(drawn)
        for handle in drawn:
            if not handle.cancelled():
                handle._run()

    def _write_to_self(self) -> None:
        """There are no threads that could have to wake it."""


def run(loop: SimLoop, main: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end, and leave nothing behind."""
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        left = [task for task in asyncio.all_tasks(loop) if isinstance(task, SimTask)]
        rest = sorted(left, key=lambda task: task.number)
        for task in rest:
            task.cancel()
        if rest:
            loop.run_until_complete(asyncio.wait(rest, timeout=1))
        asyncio.set_event_loop(None)
        loop.close()
