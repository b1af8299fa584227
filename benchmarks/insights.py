"""``python -m benchmarks.insights``: do the insights count right after all that can happen, and how fast.

Publishes a shop's events, of which the topics lack some, and the end; lets a worker read them, kills it, lets two take
over, has one of them stand still until it is given up and go on as if nothing was, stops one, and compares the totals with
a recount of the topics and what they lack. The floor is a bare aiokafka consumer that decodes the same records in the same
run.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.insights_feed import Lost, serving
from benchmarks.insights_load import Shop
from ops import stack as local_stack
from ops.insights.recount import TOPICS, Recount, count, recount
from ops.insights.verify import Difference, compare
from ops.stack import create_topics
from ops.stack.errors import log_tail
from ops.stack.ports import free_ports
from services.insights.app import SESSION_SECONDS
from services.insights.records import read
from shared.service.security import KeyEntry, Role, generate_key, hash_key, write_keys_file
from shared.stream.kafka import KafkaProducer
from shared.stream.port import Outgoing

PARTITIONS = 4
EVENTS_TOPIC = "oms.insights.events"
CHUNK = 20_000
RESTARTS_MAX = 5
#: One position of so many is not on its topic.
LOST_EVERY = 997


async def fill(kafka: str, shop: Shop, number: int, lost: Lost) -> None:
    """Publish ``number`` of the shop's records, but for what is lost."""
    await create_topics(kafka, dict.fromkeys((*TOPICS, EVENTS_TOPIC), PARTITIONS))
    producer = KafkaProducer(kafka)
    await producer.start()
    try:
        pending: dict[Any, list[Outgoing]] = {}
        for n, (place, record) in enumerate(lost.keep(shop.records(number)), 1):
            pending.setdefault(place, []).append(record)
            if n % CHUNK == 0:
                await asyncio.gather(*(producer.publish(p, r) for p, r in pending.items()))
                pending = {}
        await asyncio.gather(*(producer.publish(p, r) for p, r in pending.items()))
    finally:
        await producer.stop()


async def floor(kafka: str) -> float:
    """Records a second that a bare consumer fetches and decodes."""
    consumer = AIOKafkaConsumer(
        *TOPICS, bootstrap_servers=kafka, auto_offset_reset="earliest", max_poll_records=2000
    )
    await consumer.start()
    try:
        while not (tps := consumer.assignment()):
            await asyncio.sleep(0.05)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(tps)
        started, done = perf_counter(), 0
        while done < sum(ends.values()):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for r in records:
                    read(r.offset, r.headers, r.value)
                done += len(records)
        return done / (perf_counter() - started)
    finally:
        await consumer.stop()


class Worker:
    """A worker's process, started again when it ends by itself, as a supervisor does; and a client of its API."""

    def __init__(self, kafka: str, feed: str, folder: Path, name: str) -> None:
        key = generate_key(Role.OPS)
        keys = folder / f"{name}.json"
        write_keys_file(keys, [KeyEntry("ops", hash_key(key), Role.OPS)])
        [port] = free_ports(1)
        peers = json.dumps({"order": feed, "inventory": feed})
        self._environment = {
            "OMS_KAFKA": kafka, "OMS_PORT": str(port), "OMS_KEYS_FILE": str(keys), "OMS_PEERS": peers,
            "OMS_PEER_KEY": "unasked",
        }  # fmt: skip
        self._log = folder / f"{name}.log"
        self.restarts = -1
        self.process: asyncio.subprocess.Process
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        )

    async def start(self) -> None:
        """Start the process."""
        self.restarts += 1
        if self.restarts > RESTARTS_MAX:
            raise RuntimeError(f"the worker ends again and again:\n{log_tail(self._log)}")
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.insights", stdout=log, stderr=log,
                env=os.environ | self._environment,
            )  # fmt: skip

    async def records(self) -> int:
        """Records read so far, over all partitions, by all workers."""
        return sum(p["records"] for p in (await self.get("/progress"))["partitions"])

    async def get(self, path: str) -> Any:
        """A JSON answer."""
        answer = await self.http.get(path)
        answer.raise_for_status()
        return answer.json()

    async def until(self, count: int, seconds: float) -> None:
        """Wait until ``count`` records are read."""
        async with asyncio.timeout(seconds):
            while True:
                if self.process.returncode is not None:
                    sys.stderr.write(f"the worker ended by itself:\n{log_tail(self._log)}\n")
                    await self.start()
                try:
                    if await self.records() >= count:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.2)

    @property
    def usage(self) -> tuple[float, float]:
        """Resident memory in MB, and processor seconds."""
        seen = psutil.Process(self.process.pid)
        spent = seen.cpu_times()
        return seen.memory_info().rss / 1e6, spent.user + spent.system

    async def stop(self) -> None:
        """End the process, if it runs, as a supervisor does."""
        if self.process.returncode is None:
            self.process.terminate()
        await self.process.wait()
        await self.http.aclose()


@asynccontextmanager
async def worker(kafka: str, feed: str, folder: Path, name: str) -> AsyncIterator[Worker]:
    """A worker, ended afterwards."""
    made = Worker(kafka, feed, folder, name)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@dataclass
class Outcome:
    """What a run showed."""

    records: int
    floor_per_s: float
    worker_per_s: float
    cpu_us_per_record: float
    rss_mb: float
    restarts: int
    missing: int
    compared: int
    differences: list[Difference]
    rebuilt: list[Difference] | None


async def prove(kafka: str, folder: Path, events: int, seconds: float, rebuild: bool) -> Outcome:
    """The whole proof over topics that are filled by it."""
    lost = Lost(LOST_EVERY)
    await fill(kafka, Shop(PARTITIONS), events, lost)
    floor_per_s = await floor(kafka)
    counted = await recount(kafka)
    missing = _count_lost(counted, lost)
    async with serving(lost) as feed:
        return await _prove(kafka, feed, folder, counted, missing, floor_per_s, seconds, rebuild)


def _count_lost(counted: Recount, lost: Lost) -> int:
    """Add to the recount what the topics lack; returns how much that is."""
    missing = 0
    for (topic, partition), record in lost.told():
        counted.records[topic, partition] += 1
        count(counted, dict(record.headers)["ce_type"].decode(), record.value)
        missing += 1
    return missing


async def _prove(
    kafka: str, feed: str, folder: Path, counted: Recount, missing: int, floor_per_s: float,
    seconds: float, rebuild: bool,
) -> Outcome:  # fmt: skip
    total = sum(counted.records.values())
    async with worker(kafka, feed, folder, "first") as first:
        await first.until(1, seconds)
        began, at, (_, spent) = perf_counter(), await first.records(), first.usage
        await first.until(total * 3 // 10, seconds)
        done, took = await first.records() - at, perf_counter() - began
        rss_mb, spent_now = first.usage
        first.process.kill()
    async with worker(kafka, feed, folder, "second") as second:
        async with worker(kafka, feed, folder, "third") as third:
            await third.until(total * 5 // 10, seconds)
            await second.until(total * 5 // 10, seconds)
            second.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(SESSION_SECONDS + 5)
            await third.until(total * 7 // 10, seconds)
            second.process.send_signal(signal.SIGCONT)
            async with asyncio.timeout(seconds):
                await second.process.wait()
            await second.until(total * 8 // 10, seconds)
        await second.until(total, seconds)
        compared, differences = await compare(second.http, counted)
        rss_mb = max(rss_mb, second.usage[0])
        rebuilt = await _rebuilt(second, counted, total, seconds) if rebuild else None
    return Outcome(
        total, floor_per_s, done / took, (spent_now - spent) / max(done, 1) * 1e6, rss_mb,
        second.restarts + third.restarts, missing, compared, differences, rebuilt,
    )  # fmt: skip


async def _rebuilt(second: Worker, counted: Any, total: int, seconds: float) -> list[Difference]:
    version = (await second.get("/progress"))["version"]
    (await second.http.post("/rebuild")).raise_for_status()
    async with asyncio.timeout(seconds):
        while (await second.get("/progress"))["version"] == version:
            await asyncio.sleep(0.2)
    await second.until(total, seconds)
    return (await compare(second.http, counted))[1]


def _say(outcome: Outcome) -> Iterable[str]:
    yield f"records (each once)           {outcome.records:>12,}"
    yield f"floor, bare consumer          {outcome.floor_per_s:>12,.0f} records/s"
    yield f"one worker                    {outcome.worker_per_s:>12,.0f} records/s"
    yield f"ratio                         {outcome.worker_per_s / outcome.floor_per_s:>12.3f}"
    yield f"processor time a record       {outcome.cpu_us_per_record:>12.0f} µs"
    yield f"memory of a worker            {outcome.rss_mb:>12.0f} MB"
    yield f"restarts by a supervisor      {outcome.restarts:>12}"
    yield f"of them from a feed           {outcome.missing:>12,}"
    yield f"figures compared, different   {outcome.compared:>12,} {len(outcome.differences)}"
    if outcome.rebuilt is not None:
        yield f"different after a rebuild     {len(outcome.rebuilt):>12}"
    for difference in [*outcome.differences, *(outcome.rebuilt or ())][:10]:
        yield f"  {difference.what}: topics {difference.topics}, insights {difference.insights}"


def main() -> int:
    """The command; status 1 when a figure differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=1800, help="patience with each step")
    parser.add_argument("--rebuild", action="store_true", help="rebuild, and compare again")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with local_stack.start(folder / "stack", ports=local_stack.Ports.free()) as stack:
            outcome = asyncio.run(
                prove(stack.kafka, folder, asked.events, asked.seconds, asked.rebuild)
            )
    print("\n".join(_say(outcome)))
    return 1 if outcome.differences or outcome.rebuilt else 0


if __name__ == "__main__":
    sys.exit(main())
