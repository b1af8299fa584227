"""``POST /orders``, durable before the answer, against pgbench on the same server.

Only the order service runs, with its relay to the broker: inventory and the others are stopped, as they are a different
service's load. Both sides run alternately (service, pgbench, service, pgbench), so that a machine that slows down or speeds
up does so for both; before pgbench runs, the relay has published everything, so it has the server to itself.
"""

import asyncio
from collections import Counter
from typing import NamedTuple

import msgspec

from benchmarks import pgbench
from benchmarks.children import child
from benchmarks.load import CHANNEL, SKUS
from benchmarks.post_load import Result, Spec
from benchmarks.statistics import Run, rate, summary
from benchmarks.testbed import HOST, Bed, BenchmarkFailed, Services, until

CONNECTIONS = (1, 16, 64)
ROUNDS = 2


class Measured(NamedTuple):
    """Both sides at one number of connections."""

    connections: int
    orders_per_s: float
    floor_per_s: float
    latency_ms: dict[str, float]
    floor_latency_ms: dict[str, float]
    rounds: list[float]
    floor_rounds: list[float]
    relay_behind_s: float


async def measure(
    bed: Bed, services: Services, connections: int, seconds: float, warm_up_s: float
) -> Measured:
    """Service and floor in turns, each for ``seconds`` in all. `pgbench.prepare` has run before.

    Raises `BenchmarkFailed` when any answer is not 201, or not every answered order is in the log.
    """
    script = bed.stack.data / "pgbench.sql"
    answers: list[Result] = []
    floors: list[pgbench.Measured] = []
    behind_s = 0.0
    for turn in range(ROUNDS):
        before = await _placed(bed)
        answers.append(await _post(bed, connections, seconds / ROUNDS, warm_up_s, turn))
        behind_s = max(behind_s, await _until_published(bed, services))
        _check(answers[-1], await _placed(bed) - before)
        floors.append(await pgbench.measure(bed, script, connections, seconds / ROUNDS))
    runs = [Run(sum(a.statuses.values()), a.seconds) for a in answers]
    return Measured(
        connections,
        rate(runs),
        rate(f.run for f in floors),
        summary([ms for a in answers for ms in a.latencies_ms]),
        summary([ms for f in floors for ms in f.latencies_ms]),
        [round(rate([r])) for r in runs],
        [round(rate([f.run])) for f in floors],
        round(behind_s, 2),
    )


async def _post(bed: Bed, connections: int, seconds: float, warm_up_s: float, turn: int) -> Result:
    spec = Spec(
        host=HOST,
        port=bed.layout.port("order"),
        key=bed.keys.key("order", f"channel:{CHANNEL}"),
        connections=connections,
        warm_up_s=warm_up_s,
        seconds=seconds,
        prefix=f"p{connections}-{turn}-",
        channel=CHANNEL,
        skus=SKUS,
    )
    async with child("benchmarks.post_load", [], {}) as generator:
        process = generator.process
        assert process.stdin is not None
        out, _ = await process.communicate(msgspec.json.encode(spec) + b"\n")
        generator.check_ok()
    return msgspec.json.decode(out, type=Result)


def _check(answer: Result, placed: int) -> None:
    wrong = {s: n for s, n in Counter(answer.statuses).items() if s != "201"}
    if wrong:
        raise BenchmarkFailed(f"answers other than 201: {wrong}; the first: {answer.first_error}")
    if placed < len(answer.latencies_ms):
        raise BenchmarkFailed(
            f"{len(answer.latencies_ms)} orders were answered with 201, {placed} are in the log"
        )


async def _placed(bed: Bed) -> int:
    return await bed.number("order", "select count(*) from streams")


async def _until_published(bed: Bed, services: Services) -> float:
    """Seconds that the relay needed after the load had ended: work that the rate does not show."""

    async def published() -> bool:
        sql = "select published >= position from head, relay"
        return await bed.query("order", sql) == [(True,)]

    loop = asyncio.get_running_loop()
    started = loop.time()
    await until(
        published,
        "the relay has published all orders",
        timeout_s=60,
        every_s=0.02,
        services=services,
    )
    return loop.time() - started
