"""Ten times as much as the house can carry: what it still carries, what it turns away and how, and when it is itself again.

Capacity and goodput are measured alike: orders that reach their end in a window of time, all services of the write side
running, while more comes in than goes out. Only who asks differs: patient callers for capacity, and for goodput a crowd
that sends ten times that rate whatever it is told. Rates of callers are off, so the gate of new orders is alone.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from benchmarks import journey
from benchmarks.children import Child, child
from benchmarks.load import CHANNEL, SKUS
from benchmarks.overload_load import Result, Spec
from benchmarks.post_load import Spec as Orders
from benchmarks.testbed import (
    HOST,
    SETTINGS,
    WRITE_SIDE,
    Bed,
    BenchmarkFailed,
    Services,
    cpu_seconds,
    until,
)

TIMES = 10
#: As in every benchmark, but for the gate: it is as it is shipped.
_ORDER = {name: value for name, value in SETTINGS["order"].items() if name != "OMS_LAG_MAX_S"}
GATED = {**SETTINGS, "order": _ORDER}
PATIENT_CONNECTIONS = 64
CROWD_CONNECTIONS = 2000
#: One probe at a time tells when orders are let in again: so many in a row.
PROBES = 20
NORMAL_SECONDS_MAX = 180


class Window(NamedTuple):
    """One load: what its callers saw, and the orders that ended in a second of its window."""

    told: Result
    completed_per_s: float
    cpu_s: dict[str, float]


class Measured(NamedTuple):
    """Both loads, and how long it took after the crowd until every order let in was at its end and new ones were let
    in."""

    capacity: Window
    crowd: Window
    offered_per_s: float
    drained_s: float
    let_in_s: float

    @property
    def goodput(self) -> float:
        """The share of capacity that was kept."""
        return self.crowd.completed_per_s / self.capacity.completed_per_s

    @property
    def shed(self) -> float:
        """The share of answered requests that was turned away."""
        answered = sum(self.crowd.told.statuses.values())
        return 1 - self.crowd.told.statuses.get("201", 0) / answered


async def measure(bed: Bed, services: Services, *, ramp_s: float, seconds: float) -> Measured:
    """Find capacity, then send ten times that. Raises `BenchmarkFailed` for any answer but 201, 429 and 503 with
    Retry-After, for an accepted order that does not reach its end, and for anything parked."""
    capacity = await _window(bed, services, "oc", 0, ramp_s, seconds)
    await _drained(bed, services, [capacity])
    offered = TIMES * capacity.completed_per_s
    crowd = await _window(bed, services, "ox", offered, ramp_s, seconds)
    drained_s, let_in_s = await asyncio.gather(
        _seconds(lambda: _drained(bed, services, [capacity, crowd])),
        _seconds(lambda: _let_in(bed)),
    )
    services.check()
    return Measured(capacity, crowd, offered, drained_s, let_in_s)


async def _window(
    bed: Bed, services: Services, prefix: str, per_s: float, ramp_s: float, seconds: float
) -> Window:
    connections = CROWD_CONNECTIONS if per_s else PATIENT_CONNECTIONS
    async with _callers(bed, prefix, connections, ramp_s + seconds, per_s) as callers:
        await asyncio.sleep(ramp_s)
        pids = services.pids() | bed.server_pids()
        loop = asyncio.get_running_loop()
        before, started, spent = await journey.completed(bed), loop.time(), cpu_seconds(pids)
        await asyncio.sleep(seconds - 0.5)
        after, ended = await journey.completed(bed), loop.time()
        cpu = {name: round(s - spent[name], 2) for name, s in cpu_seconds(pids).items()}
        told = await _told(callers)
    wrong = {s: n for s, n in told.statuses.items() if s not in ("201", "429", "503")}
    if wrong or told.without_retry_after:
        raise BenchmarkFailed(
            f"answers other than 201, and 429 or 503 with Retry-After: {wrong}, "
            f"{told.without_retry_after} without; the first: {told.first_error}"
        )
    return Window(told, (after - before) / (ended - started), cpu)


def _callers(bed: Bed, prefix: str, connections: int, seconds: float, per_s: float) -> "_Started":
    orders = Orders(
        host=HOST,
        port=bed.layout.port("order"),
        key=bed.keys.key("order", f"channel:{CHANNEL}"),
        connections=connections,
        warm_up_s=0,
        seconds=seconds,
        prefix=prefix,
        channel=CHANNEL,
        skus=SKUS,
    )
    return _Started(Spec(orders, per_s))


class _Started:
    """The generator's process, at work while the context is entered."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._context = child("benchmarks.overload_load", [], {})

    async def __aenter__(self) -> Child:
        generator = await self._context.__aenter__()
        assert generator.process.stdin is not None
        generator.process.stdin.write(msgspec.json.encode(self._spec) + b"\n")
        await generator.process.stdin.drain()
        return generator

    async def __aexit__(self, *error: object) -> None:
        await self._context.__aexit__(*error)  # type: ignore[arg-type]


async def _told(callers: Child) -> Result:
    out, _ = await callers.process.communicate()
    callers.check_ok()
    if not out:
        raise BenchmarkFailed(f"{callers.name} ended and said nothing: see what it printed above")
    return msgspec.json.decode(out, type=Result)


async def _drained(bed: Bed, services: Services, loads: list[Window]) -> None:
    """Every order that is in the log has reached its end, and those are at least the ones that were accepted."""

    async def done() -> bool:
        placed = await bed.number("order", "select count(*) from streams")
        return await journey.completed(bed) >= placed and await journey.settled(bed, WRITE_SIDE)

    await until(
        done,
        "every order that was let in is at its end",
        timeout_s=NORMAL_SECONDS_MAX,
        every_s=0.25,
        services=services,
    )
    placed = await bed.number("order", "select count(*) from streams")
    accepted = sum(load.told.statuses.get("201", 0) for load in loads)
    if placed < accepted:
        raise BenchmarkFailed(f"{accepted} orders were answered with 201, {placed} are in the log")


async def _let_in(bed: Bed) -> None:
    """Wait until probes, one at a time, are all let in."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + NORMAL_SECONDS_MAX
    for attempt in range(10_000):
        async with _callers(bed, f"op{attempt}-", 1, 1.0, PROBES) as callers:
            told = await _told(callers)
        if set(told.statuses) == {"201"}:
            return
        if loop.time() > deadline:
            break
    raise BenchmarkFailed(f"orders are still turned away after {NORMAL_SECONDS_MAX} s")


async def _seconds(act: Callable[[], Awaitable[None]]) -> float:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await act()
    return loop.time() - started


def details(m: Measured) -> dict[str, Any]:
    """What else was seen."""

    def of(window: Window) -> dict[str, object]:
        return {
            "completed_per_s": round(window.completed_per_s, 1),
            "sent": window.told.sent,
            "not_sent": window.told.not_sent,
            "statuses": window.told.statuses,
            "accepted_ms": window.told.accepted_ms,
            "shed_ms": window.told.shed_ms,
            "cpu_s": {**window.cpu_s, "callers": round(window.told.cpu_s, 2)},
        }

    return {
        "offered_per_s": round(m.offered_per_s, 1),
        "shed_share": round(m.shed, 4),
        "drained_s": round(m.drained_s, 1),
        "let_in_s": round(m.let_in_s, 1),
        "capacity": of(m.capacity),
        "crowd": of(m.crowd),
    }
