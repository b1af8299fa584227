"""UUID version 7 (RFC 9562, section 5.7): unique ids which sort by the time of their creation."""

import os
import threading
import time
from collections.abc import Callable
from uuid import UUID

_COUNTER_MAX = 0xFFF


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


class Uuid7Generator:
    """Strictly increasing UUIDs within this process, also while the clock stands or steps back.

    The 12 bits of `rand_a` are a counter within one millisecond (RFC 9562, section 6.2, method 1),
    begun in its lower half at random so that two processes rarely meet; when it is full the
    timestamp runs ahead by a millisecond. The other 62 bits are random.
    """

    def __init__(
        self,
        milliseconds: Callable[[], int] = _milliseconds,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._milliseconds = milliseconds
        self._entropy = entropy
        self._last_ms = -1
        self._counter = 0
        self._lock = threading.Lock()

    def __call__(self) -> UUID:
        """The next UUID; safe to call from several threads."""
        noise = int.from_bytes(self._entropy(10), "big")
        with self._lock:
            now_ms = self._milliseconds()
            if now_ms > self._last_ms:
                self._last_ms, self._counter = now_ms, (noise >> 62) & (_COUNTER_MAX >> 1)
            elif self._counter < _COUNTER_MAX:
                self._counter += 1
            else:
                self._last_ms, self._counter = self._last_ms + 1, 0
            head = (self._last_ms << 16) | 0x7000 | self._counter
        return UUID(int=(head << 64) | (0b10 << 62) | (noise & ((1 << 62) - 1)))


uuid7 = Uuid7Generator()


def new_id() -> str:
    """A fresh UUIDv7 as its canonical lower-case text."""
    return str(uuid7())
