"""A thread that ends the process when its event loop cannot: the last line of defence.

A blocked loop can neither notice that it is blocked nor handle SIGTERM. The supervisor would see
a live process that does nothing; so this thread prints all stacks and exits.
"""

import faulthandler
import os
import sys
import threading
from collections.abc import Callable

TICK_S = 0.5
BLOCKED_S = 30.0
EXIT_BLOCKED = 70


class LoopGuard(threading.Thread):
    """Call `beat()` from the loop more often than every `blocked_s`.

    Time is counted in the thread's own ticks: after SIGSTOP and SIGCONT the loop gets its full
    time again, while comparing clocks would kill it at once.
    """

    def __init__(
        self, blocked_s: float = BLOCKED_S, leave: Callable[[int], None] = os._exit
    ) -> None:
        super().__init__(name="loopguard", daemon=True)
        self._blocked_s = blocked_s
        self._leave = leave
        self._beats = 0
        self._exit_in_s: float | None = None
        self._done = threading.Event()

    def beat(self) -> None:
        """The loop is alive."""
        self._beats += 1

    def exit_after(self, seconds: float) -> None:
        """Leave in `seconds` at the latest, unless `cancel` comes first; the first call counts."""
        if self._exit_in_s is None:
            self._exit_in_s = seconds

    def cancel(self) -> None:
        """The process ends by itself."""
        self._done.set()

    def run(self) -> None:
        """The thread."""
        silent_s, seen = 0.0, -1
        while not self._done.wait(TICK_S):
            silent_s = 0.0 if self._beats != seen else silent_s + TICK_S
            seen = self._beats
            if silent_s >= self._blocked_s:
                self._give_up(f"the event loop has been blocked for {silent_s:.0f} s")
                return
            if self._exit_in_s is not None:
                self._exit_in_s -= TICK_S
                if self._exit_in_s <= 0:
                    self._give_up("draining took too long")
                    return

    def _give_up(self, reason: str) -> None:
        # Straight to the descriptor: the logging lock may be what the loop waits for.
        message = f'{{"level":"critical","event":"process.killed","reason":"{reason}"}}\n'
        os.write(2, message.encode())
        faulthandler.dump_traceback(file=sys.__stderr__ or 2, all_threads=True)
        self._leave(EXIT_BLOCKED)
