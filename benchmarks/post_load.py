"""The load generator of ``POST /orders``: ``python -m benchmarks.post_load``, a process of its own.

Reads a `Spec` as JSON from standard input, keeps that many connections alive, sends the next request on each as soon as the
last is answered (a closed loop), and prints a `Result` as JSON. Requests are rendered before the clock starts: each is a
different order with its own Idempotency-Key.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import cast

import msgspec
import uvloop

#: The most requests a second that are rendered beforehand; a faster server is served from the same list longer.
RATE_MAX = 12_000
CONNECT_SECONDS_MAX = 10
ANSWER_SECONDS_MAX = 30


class Spec(msgspec.Struct, frozen=True):
    """What to send where. ``key`` is the API key; ``prefix`` makes this run's orders its own."""

    host: str
    port: int
    key: str
    connections: int
    warm_up_s: float
    seconds: float
    prefix: str
    channel: str
    skus: int
    rate_max: int = RATE_MAX


class Result(msgspec.Struct, frozen=True):
    """What came back: answers by status, and the latency of those after the warm-up, in milliseconds."""

    seconds: float
    statuses: dict[str, int]
    latencies_ms: list[float]
    first_error: str = ""


_BODY = (
    '{{"channel":"{channel}","external_id":"{number}","currency":"EUR",'
    '"customer":{{"customer_id":"c-{number}","name":"João Silva","email":"c-{number}@example.com"}},'
    '"ship_to":{{"name":"João Silva","line1":"Rua do Ouro 100","city":"Lisboa",'
    '"postal_code":"1100-063","country":"PT"}},'
    '"lines":[{{"line_id":"1","sku":"SKU-{first:04d}","quantity":1,"unit_price":1999}},'
    '{{"line_id":"2","sku":"SKU-{second:04d}","quantity":2,"unit_price":2999}}],'
    '"payment_method":"tok_ok"}}'
)


def request(spec: Spec, number: int) -> bytes:
    """One request's bytes; its order has two lines of different SKUs."""
    name = f"{spec.prefix}{number:07d}"
    first = number * 7919 % spec.skus
    body = _BODY.format(
        channel=spec.channel, number=name, first=first, second=(first + 1) % spec.skus
    ).encode()
    head = (
        f"POST /orders HTTP/1.1\r\nHost: {spec.host}:{spec.port}\r\nAuthorization: Bearer {spec.key}\r\n"
        f"Idempotency-Key: {name}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answer_length(received: bytes) -> int | None:
    """The length of the first whole answer in what was received; None while it is not whole."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[:end].lower()
    at = head.find(b"content-length:")
    if at < 0:
        raise ValueError(f"an answer without Content-Length: {received[:200]!r}")
    length = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
    return length if len(received) >= length else None


class Run:
    """What all connections share: the requests that are left, and what came back."""

    def __init__(self, spec: Spec, requests: Iterator[bytes]) -> None:
        self.requests = requests
        self.measure_from = self.end = 0.0
        self.statuses: Counter[str] = Counter()
        self.latencies_ms: list[float] = []
        self.first_error = ""
        self.warm_up_s, self.seconds = spec.warm_up_s, spec.seconds

    def start(self) -> None:
        """The clock starts."""
        self.measure_from = time.perf_counter() + self.warm_up_s
        self.end = self.measure_from + self.seconds

    def answered(self, answer: bytes, sent_at: float, now: float) -> None:
        """Note an answer; those that arrive in the warm-up, or after the end, are checked but not counted."""
        status = answer[9:12].decode()
        if status != "201" and not self.first_error:
            self.first_error = answer[:1000].decode(errors="replace")
        if self.measure_from <= now <= self.end:
            self.statuses[status] += 1
            self.latencies_ms.append((now - sent_at) * 1000)
        elif status != "201":
            self.statuses[status] += 1


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._received = b""
        self._sent_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def send(self) -> None:
        """Send the next request, or finish."""
        assert self._transport is not None
        now = time.perf_counter()
        following = next(self._run.requests, None) if now < self._run.end else None
        if following is None:
            if not self.done.done():
                self.done.set_result(None)
            self._transport.close()
            return
        self._sent_at = now
        self._transport.write(following)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if (length := answer_length(self._received)) is None:
            return
        self._run.answered(self._received, self._sent_at, time.perf_counter())
        self._received = self._received[length:]
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))


async def run(spec: Spec) -> Result:
    """Connect, send until the time is over, and wait for the last answers."""
    count = int(spec.rate_max * (spec.warm_up_s + spec.seconds))
    work = Run(spec, iter([request(spec, n) for n in range(count)]))
    loop = asyncio.get_running_loop()
    connections = []
    for _ in range(spec.connections):
        _, connection = await asyncio.wait_for(
            loop.create_connection(lambda: Connection(work), spec.host, spec.port),
            CONNECT_SECONDS_MAX,
        )
        connections.append(connection)
    work.start()
    for connection in connections:
        connection.send()
    patience_s = spec.warm_up_s + spec.seconds + ANSWER_SECONDS_MAX
    await asyncio.wait_for(asyncio.gather(*(c.done for c in connections)), patience_s)
    if next(work.requests, None) is None:
        raise RuntimeError(f"all {count} rendered requests were answered before the time was over")
    return Result(spec.seconds, dict(work.statuses), work.latencies_ms, work.first_error)


if __name__ == "__main__":
    answer = uvloop.run(run(msgspec.json.decode(sys.stdin.buffer.readline(), type=Spec)))
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
