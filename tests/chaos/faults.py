"""The kinds of fault. Each breaks something real, holds it, and mends it; what it returns says what was done."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from random import Random
from typing import NamedTuple

import psutil
import psycopg
from psycopg.conninfo import make_conninfo

from ops.stack import create_topics
from ops.stack.process import Identity
from shared.events import topics
from shared.stream.kafka import KafkaConsumer
from shared.stream.port import BrokerLost
from tests.chaos.town import PROCESSES, TOWN, Town

GONE_WITHIN_S = 30.0
LATENCY_S = 0.1
#: A lease that a fast clock wrote is honoured until then when it is right again, so no clock is further ahead than orders
#: may take to end. One that is behind lets go of its leases early: that may be minutes.
AHEAD_S, BEHIND_S = 30, 180
STORM_JOINS = 6

Act = Callable[[Town, Random, float], Awaitable[str]]


class Kind(NamedTuple):
    """A kind of fault. ``weight`` is how often it comes in one round of all kinds; ``missing`` says why it cannot be had."""

    name: str
    act: Act
    weight: int = 1
    missing: Callable[[Town], str] = lambda _: ""


async def stopped_and_continued(town: Town, random: Random, seconds: float) -> str:
    name = random.choice(PROCESSES)
    pid = town.pid(name)
    if pid is None:
        return f"{name} was not there"
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        with suppress(ProcessLookupError):  # it was killed meanwhile
            os.kill(pid, signal.SIGCONT)
    return name


async def postgres_crashed(town: Town, random: Random, seconds: float) -> str:
    """What ``pg_ctl stop -m immediate`` does."""
    identity = town.postgres.identity
    assert identity is not None
    os.kill(identity.pid, signal.SIGQUIT)
    await _gone(identity)
    await asyncio.sleep(seconds / 3)
    await asyncio.to_thread(_postgres_again, town)
    return "crashed at once, started again"


async def backend_killed(town: Town, random: Random, seconds: float) -> str:
    """The server throws every connection out and recovers, as after a crash."""
    with _superuser(town) as c:
        sql = "select pid from pg_stat_activity where backend_type = 'client backend' and usename like 'oms%'"
        pids = [pid for (pid,) in c.execute(sql).fetchall()]
    if not pids:
        return "nobody was connected"
    os.kill(random.choice(pids), signal.SIGKILL)
    return "one backend of a service"


async def backends_ended(town: Town, random: Random, seconds: float) -> str:
    """An administrator's, or a pooler's, doing."""
    return f"{await asyncio.to_thread(_end_backends, town)} connections"


async def connections_out(town: Town, random: Random, seconds: float) -> str:
    """Somebody takes every connection there is."""
    with ExitStack() as held:
        await asyncio.to_thread(_take_connections, town, held)
        ended = await asyncio.to_thread(_end_backends, town)
        taken = await asyncio.to_thread(_take_connections, town, held)
        await asyncio.sleep(seconds)
    return f"{ended} were ended, and {taken} taken before they came back"


async def idle_in_transaction(town: Town, random: Random, seconds: float) -> str:
    """Somebody has locked the sequencer's row, and went to lunch."""
    name = random.choice(("order", "inventory", "fulfillment"))
    with psycopg.connect(make_conninfo(town.system.stack.postgres, dbname=f"oms_{name}")) as c:
        c.execute("set lock_timeout = '10s'")
        c.execute("select position from head for update")
        await asyncio.sleep(seconds)
        with suppress(psycopg.Error):  # another fault may have ended it
            c.rollback()
    return name


async def disk_full(town: Town, random: Random, seconds: float) -> str:
    await asyncio.to_thread(town.disk.fill)
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(town.disk.free)
    identity = town.postgres.identity
    if identity is not None and identity.find() is not None:
        return "the server stayed up"
    await asyncio.to_thread(_postgres_again, town)
    return "the server went down, started again"


async def broker_paused(town: Town, random: Random, seconds: float) -> str:
    identity = town.kafka.identity
    assert identity is not None
    os.kill(identity.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        os.kill(identity.pid, signal.SIGCONT)
    return "stood still"


async def broker_killed(town: Town, random: Random, seconds: float) -> str:
    await _broker_down(town)
    await asyncio.sleep(seconds / 3)
    await asyncio.to_thread(_broker_up, town)
    return "killed, started again"


async def broker_wiped(town: Town, random: Random, seconds: float) -> str:
    """Its disk is gone: what was on it comes back from the services' feeds, and from channels that send again."""
    await _broker_down(town)
    await asyncio.to_thread(shutil.rmtree, town.system.stack.data / "kafka" / "log")
    await asyncio.to_thread(_broker_up, town)
    partitions = town.system.layout.partitions
    await create_topics(town.system.stack.kafka, {t.name: partitions for t in topics()})
    return "log directories deleted, topics made anew"


async def rebalance_storm(town: Town, random: Random, seconds: float) -> str:
    group = random.choice(("order", "inventory", "fulfillment", "notifications"))
    for _ in range(STORM_JOINS):
        member = KafkaConsumer(
            town.system.stack.kafka, f"oms-{group}", ["oms.channel.orders"], session_ms=6_000
        )
        with suppress(BrokerLost):
            await member.start()
            await member.poll(seconds / STORM_JOINS)
            await member.stop()
    return f"{STORM_JOINS} members joined and left oms-{group}"


async def clocks_jump(town: Town, random: Random, seconds: float) -> str:
    """Two services disagree about the time."""
    fast, slow = random.sample(TOWN, 2)
    town.clocks.jump(fast, AHEAD_S)
    town.clocks.jump(slow, -BEHIND_S)
    try:
        await asyncio.sleep(seconds)
    finally:
        for name in (fast, slow):
            town.clocks.jump(name, 0)
    return f"{fast} {AHEAD_S} s ahead, {slow} {BEHIND_S} s behind"


def _slow(which: str) -> Act:
    async def act(town: Town, random: Random, seconds: float) -> str:
        road = town.to_postgres if which == "postgres" else town.to_kafka
        await road.slow(LATENCY_S)
        try:
            await asyncio.sleep(seconds)
        finally:
            await road.slow(0)
        return f"{LATENCY_S * 1000:.0f} ms each way"

    return act


def _deaf(which: str) -> Act:
    async def act(town: Town, random: Random, seconds: float) -> str:
        road = town.to_postgres if which == "postgres" else town.to_kafka
        await road.deafen()
        try:
            await asyncio.sleep(seconds)
        finally:
            await road.hear()
        return "half-open connections"

    return act


def _torn(which: str) -> Act:
    async def act(town: Town, random: Random, seconds: float) -> str:
        road = town.to_postgres if which == "postgres" else town.to_kafka
        torn = 0
        for _ in range(3):
            torn += await road.reset()
            await asyncio.sleep(seconds / 3)
        return f"{torn} ends reset"

    return act


KINDS = (
    Kind("stopped and continued", stopped_and_continued, 2),
    Kind("Postgres crashed", postgres_crashed, 4),
    Kind("Postgres backend killed", backend_killed),
    Kind("Postgres backends ended", backends_ended),
    Kind("Postgres connections run out", connections_out),
    Kind("Postgres idle in transaction", idle_in_transaction),
    Kind("Postgres disk full", disk_full, missing=lambda town: town.disk.missing),
    Kind("Postgres slow", _slow("postgres")),
    Kind("Postgres half-open", _deaf("postgres")),
    Kind("Postgres resets", _torn("postgres")),
    Kind("broker paused", broker_paused),
    Kind("broker killed", broker_killed, 4),
    Kind("broker wiped", broker_wiped),
    Kind("broker slow", _slow("kafka")),
    Kind("broker half-open", _deaf("kafka")),
    Kind("broker resets", _torn("kafka")),
    Kind("rebalance storm", rebalance_storm),
    Kind("clocks jump", clocks_jump, missing=lambda town: town.clocks.missing),
)


async def _gone(identity: Identity) -> None:
    async with asyncio.timeout(GONE_WITHIN_S):
        while identity.find() is not None:
            await asyncio.sleep(0.05)


def _superuser(town: Town) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(town.system.stack.postgres, dbname="postgres", autocommit=True)


def _postgres_again(town: Town) -> None:
    town.postgres.stop()  # it is down: this reaps it
    town.postgres.launch()
    town.postgres.wait_ready(60)


def _end_backends(town: Town) -> int:
    with _superuser(town) as c:
        sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename like 'oms%'"
        row = c.execute(sql).fetchone()
    assert row is not None
    return int(str(row[0]))


def _take_connections(town: Town, held: ExitStack) -> int:
    """Until there is none left; as a service's role, because a superuser has some in reserve."""
    for count in range(1_000):
        try:
            held.enter_context(psycopg.connect(town.system.dsns["views"]))
        except psycopg.OperationalError:
            return count
    raise AssertionError("connections never run out")


async def _broker_down(town: Town) -> None:
    identity = town.kafka.identity
    assert identity is not None
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        os.kill(identity.pid, signal.SIGKILL)
    await _gone(identity)
    await asyncio.to_thread(town.kafka.stop)  # it is down: this reaps it


def _broker_up(town: Town) -> None:
    town.kafka.launch()
    town.kafka.wait_ready(90)
