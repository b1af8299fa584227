"""The same request fifty times at once, under many keys: one order for each key, and one answer."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from uuid import uuid4

import httpx
import msgspec
import psycopg

from tests.fuzz.ground import SOUND, Ground, request
from tests.fuzz.wire import Answer, Wire
from tests.ledgerkit import until

AT_ONCE = 50
PLACED = "select count(*) from messages where type = 'oms.order.placed.v1'"


@dataclass
class Storm:
    """What came of it."""

    keys: int = 0
    requests: int = 0
    orders: int = 0
    wrong: list[str] = field(default_factory=list)


async def storm(ground: Ground, keys: int) -> Storm:
    """Every key fifty times at once; then under each key another body; then, after the order service was killed, each
    request once more: the answer must be the same to the byte."""
    out = Storm(keys)
    name = uuid4().hex[:8]
    bodies = {f"{name}-{n}": _body(f"{name}-{n}") for n in range(keys)}
    before = _placed(ground)
    port = ground.system.layout.port("order")
    answers: dict[str, bytes] = {}
    async with AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(Wire(port)) for _ in range(AT_ONCE)]
        for key, body in bodies.items():
            got = await asyncio.gather(*(_insist(ground, one, key, body, out) for one in crowd))
            distinct = {(a.status, a.body) for a in got}
            if len(distinct) != 1 or got[0].status != 201:
                out.wrong.append(f"{key} had {len(distinct)} answers: {sorted(distinct)[:3]}")
            answers[key] = got[0].body
        for key in bodies:
            other = await _ask(ground, crowd[0], key, _body(f"{key}-other"), out)
            if other.status != 422 or b"idempotency-key-reused" not in other.body:
                out.wrong.append(f"{key} with another body: {other.status} {other.body[:200]!r}")
    out.orders = _placed(ground) - before
    if out.orders != keys:
        out.wrong.append(f"{keys} keys made {out.orders} orders")
    await _kill(ground)
    async with Wire(port) as wire:
        for key, body in bodies.items():
            again = await _ask(ground, wire, key, body, out)
            if (again.status, again.body) != (201, answers[key]):
                out.wrong.append(f"{key} after the kill: {again.status} {again.body[:200]!r}")
            if again.headers.get(b"idempotent-replayed") != b"true":
                out.wrong.append(f"{key} after the kill was not marked as replayed")
    return out


def _body(external_id: str) -> bytes:
    return msgspec.json.encode(request(external_id, SOUND))


async def _insist(ground: Ground, wire: Wire, key: str, body: bytes, out: Storm) -> Answer:
    """As a client does: while the first request is in flight, or the house has no room for new orders, again."""
    while True:
        answer = await _ask(ground, wire, key, body, out)
        if answer.status == 503 and b"retry-after" in answer.headers:
            await asyncio.sleep(float(answer.headers[b"retry-after"]))
        elif answer.status == 409 and b"idempotency-in-flight" in answer.body:
            await asyncio.sleep(0.02)
        else:
            return answer


async def _ask(ground: Ground, wire: Wire, key: str, body: bytes, out: Storm) -> Answer:
    out.requests += 1
    headers = [
        (b"authorization", f"Bearer {ground.system.keys.key('order', 'channel:web')}".encode()),
        (b"content-type", b"application/json"),
        (b"idempotency-key", key.encode()),
    ]
    return await wire.request(b"POST", b"/orders", headers, body)


async def _kill(ground: Ground) -> None:
    """SIGKILL to the order service; the supervisor starts it again."""
    before = _pid(ground)
    os.kill(before, signal.SIGKILL)

    async def ready() -> bool:
        await asyncio.sleep(0.1)
        if _pid(ground) in (0, before):
            return False
        try:
            answer = await ground.http.get(f"{ground.url('order')}/readyz")
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    await until(ready, 60)
    ground.restarts.clear()  # this one was wanted


def _pid(ground: Ground) -> int:
    processes = ground.system.supervisor.snapshot().processes
    [pid] = [p.pid for p in processes if p.name == "order"]
    return pid or 0


def _placed(ground: Ground) -> int:
    with psycopg.connect(ground.system.dsns["order"]) as c:
        row = c.execute(PLACED).fetchone()
    assert row is not None
    return int(row[0])
