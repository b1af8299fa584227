"""The crowd of the overload scenario: ``python -m benchmarks.overload_load``, a process of its own.

Reads a `Spec` as JSON from standard input and prints a `Result`. With a rate it is an open loop: requests are sent when
they are due, however the last ones fared, over connections that are made as they are needed. Without one it is a closed
loop of patient callers: each sends its next request when the last is answered, and pauses when it was turned away.
"""

import asyncio
import sys
import time
from collections import Counter
from typing import cast

import msgspec
import uvloop

from benchmarks.post_load import Spec as Orders
from benchmarks.post_load import answer_length, request
from benchmarks.statistics import summary

TICK_S = 0.005
ANSWER_SECONDS_MAX = 30
#: What a patient caller waits when it is turned away.
PAUSE_S = 0.25
#: Different bodies, which differ in what is ordered.
FORMS = 1000


class Spec(msgspec.Struct, frozen=True):
    """``orders`` says what to send where, over at most so many connections, for how long. ``per_s`` 0: a closed loop."""

    orders: Orders
    per_s: float = 0


class Result(msgspec.Struct, frozen=True):
    """What came back by status; answers of 429 and 503 without Retry-After; requests that were due and found no
    connection; how long callers waited for each kind of answer, in milliseconds; our own processor time."""

    sent: int
    statuses: dict[str, int]
    without_retry_after: int
    not_sent: int
    accepted_ms: dict[str, float]
    shed_ms: dict[str, float]
    cpu_s: float
    first_error: str = ""


class Crowd:
    """All callers: what was sent, and what came back."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        # Requests with their number cut out: to put another in costs a tenth of writing one.
        self._cut = [request(spec.orders, n).split(_name(spec, n)) for n in range(FORMS)]
        self.end = 0.0
        self.sent = self.not_sent = self.without_retry_after = 0
        self.statuses: Counter[str] = Counter()
        self.accepted_ms: list[float] = []
        self.shed_ms: list[float] = []
        self.first_error = ""
        self.refusals: dict[bytes, str] = {}
        self.over = False
        self.idle: list[Caller] = []
        self.callers: list[Caller] = []

    def next(self) -> bytes:
        """The next request."""
        self.sent += 1
        return _name(self.spec, self.sent).join(self._cut[self.sent % FORMS])

    def answered(self, answer: bytes, seconds: float) -> bool:
        """Note an answer; returns whether the order was taken."""
        status = answer[9:12].decode()
        self.statuses[status] += 1
        if status == "201":
            self.accepted_ms.append(seconds * 1000)
            return True
        self.shed_ms.append(seconds * 1000)
        if status not in ("429", "503"):
            self.first_error = self.first_error or answer[:1000].decode(errors="replace")
        elif b"\r\nretry-after:" not in answer[: answer.index(b"\r\n\r\n")].lower():
            self.without_retry_after += 1
        elif len(self.refusals) < FORMS:
            self.refusals[answer] = status
        return False

    def refused(self, answer: bytes, seconds: float) -> None:
        """Note a refusal that was read before, byte by byte the same."""
        self.statuses[self.refusals[answer]] += 1
        self.shed_ms.append(seconds * 1000)

    async def call(self) -> None:
        """Until the time is over, and the last answer is there."""
        self.end = time.perf_counter() + self.spec.orders.seconds
        if self.spec.per_s:
            await self._when_due()
        else:
            for _ in range(self.spec.orders.connections):
                (await self._connect()).send()
            await asyncio.sleep(self.spec.orders.seconds)
        deadline = time.perf_counter() + ANSWER_SECONDS_MAX
        while len(self.idle) < len(self.callers) and time.perf_counter() < deadline:
            await asyncio.sleep(0.05)
        self.statuses["none"] += len(self.callers) - len(self.idle)
        self.over = True
        for caller in self.callers:
            caller.close()
        await asyncio.sleep(0)

    async def _when_due(self) -> None:
        began = time.perf_counter()
        due = 0
        while (now := time.perf_counter()) < self.end:
            late = int((now - began) * self.spec.per_s) - due
            due += late
            for _ in range(late):
                if self.idle:
                    self.idle.pop().send()
                elif len(self.callers) < self.spec.orders.connections:
                    (await self._connect()).send()
                else:
                    self.not_sent += 1
            await asyncio.sleep(TICK_S)

    async def _connect(self) -> "Caller":
        where = self.spec.orders
        loop = asyncio.get_running_loop()
        _, caller = await loop.create_connection(lambda: Caller(self), where.host, where.port)
        self.callers.append(caller)
        return caller


def _name(spec: Spec, number: int) -> bytes:
    return f"{spec.orders.prefix}{number:07d}".encode()


class Caller(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._received = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def send(self) -> None:
        """Send the next request."""
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(self._crowd.next())

    def data_received(self, data: bytes) -> None:
        if not self._received and data in self._crowd.refusals:  # the same bytes as before
            self._crowd.refused(data, time.perf_counter() - self._sent_at)
            self._done(taken=False)
            return
        self._received += data
        if (length := answer_length(self._received)) is None:
            return
        answer, self._received = self._received[:length], self._received[length:]
        self._done(taken=self._crowd.answered(answer, time.perf_counter() - self._sent_at))

    def _done(self, *, taken: bool) -> None:
        if self._crowd.spec.per_s or time.perf_counter() >= self._crowd.end:
            self._crowd.idle.append(self)
        elif taken:
            self.send()
        else:
            asyncio.get_running_loop().call_later(PAUSE_S, self._again)

    def _again(self) -> None:
        if time.perf_counter() < self._crowd.end:
            self.send()
        else:
            self._crowd.idle.append(self)

    def close(self) -> None:
        """Hang up."""
        assert self._transport is not None
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._crowd.over:
            self._crowd.callers.remove(self)
            if self in self._crowd.idle:
                self._crowd.idle.remove(self)
            else:
                self._crowd.statuses["lost"] += 1
                self._crowd.first_error = self._crowd.first_error or repr(error)


async def run(spec: Spec) -> Result:
    """Send, and tell what came back."""
    crowd = Crowd(spec)
    await crowd.call()
    return Result(
        crowd.sent,
        {status: n for status, n in crowd.statuses.items() if n},
        crowd.without_retry_after,
        crowd.not_sent,
        summary(crowd.accepted_ms) if crowd.accepted_ms else {},
        summary(crowd.shed_ms) if crowd.shed_ms else {},
        time.process_time(),
        crowd.first_error,
    )


if __name__ == "__main__":
    answer = uvloop.run(run(msgspec.json.decode(sys.stdin.buffer.readline(), type=Spec)))
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
