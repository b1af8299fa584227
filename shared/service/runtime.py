"""An event-sourced service on real ground: its engine over Postgres and Kafka, behind HTTP.

``compose`` is what a service's ``__main__`` calls with its table, its performers and its routes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from fastapi import APIRouter
from prometheus_client import Gauge

from shared.ledger.postgres import PostgresStore
from shared.ledger.store import Unavailable
from shared.ledger.table import Table
from shared.ledger.writer import Writer
from shared.service import operations
from shared.service.admission import Admission
from shared.service.engine import Engine, Performers
from shared.service.http import ServiceApp, create_app
from shared.service.lifecycle import Service
from shared.service.security import Keyring
from shared.service.settings import InvalidSettingsError, Settings
from shared.service.tasks import Handle, State, Task
from shared.stream.consumer import ConsumerRuntime
from shared.stream.healer import HttpHealer
from shared.stream.kafka import KafkaConsumer, KafkaProducer
from shared.stream.lag import GroupLag
from shared.stream.port import BrokerLost
from shared.stream.relay import Relay

log = structlog.get_logger()

#: How long the broker keeps the partitions of a process that was killed: until then its successor reads nothing.
SESSION_MS = 10_000
#: How often /readyz learns whether the database answers, and how long an answer may take.
DATABASE_CHECK_SECONDS = 1.0
DATABASE_ANSWER_SECONDS_MAX = 3.0
#: How often the gate learns how far the house is behind, and the pause when the broker does not say.
LAG_CHECK_SECONDS = 1.0
LAG_RETRY_SECONDS = 10.0


@dataclass(frozen=True)
class Runtime:
    """What routes may use."""

    table: Table
    store: PostgresStore
    writer: Writer
    consumer: ConsumerRuntime
    relay: Relay


@asynccontextmanager
async def compose(
    settings: Settings,
    table: Table,
    routes: Callable[[Runtime, ServiceApp], APIRouter],
    performers: Performers | None = None,
    *,
    takes_orders: bool = False,
) -> AsyncIterator[Service]:
    """A service of these parts, connected to its database; tasks are listed in the order in which they stop. One that
    ``takes_orders`` watches how far the house is behind, and lets new ones in accordingly."""
    if settings.keys_file is None:
        raise InvalidSettingsError("OMS_KEYS_FILE is not set: nothing is open without keys.")
    store = PostgresStore(settings.database)
    await store.open()
    healer = HttpHealer(settings.peers, settings.peer_key)
    engine = Engine(
        table,
        store,
        healer,
        lambda: _producer(settings),
        lambda: _consumer(settings, table),
        performers or {},
        partitions=settings.partitions,
        gather_seconds=settings.gather_s,
    )
    runtime = Runtime(table, store, engine.writer, engine.consumer, engine.relay)
    admission = Admission(settings.new_work_max, settings.lag_max_s if takes_orders else 0)
    app = create_app(
        table.service,
        keyring=Keyring.from_file(settings.keys_file),
        rates=settings.request_rates,
        admission=admission,
        trust=settings.trust,
        access_log=settings.access_log,
    )
    app.include_router(operations.routes(runtime))
    app.include_router(routes(runtime, app))
    _measure(app, runtime)
    tasks = [Task("consumer", lambda handle: _consume(handle, engine.consumer))]
    tasks += [
        Task(name, partial(_run, work=part.run))
        for name, part in engine.parts.items()
        if part is not engine.consumer
    ]
    tasks.append(Task("database", lambda handle: _watch_database(handle, store)))
    if takes_orders and settings.lag_max_s:
        tasks.insert(0, Task("lag", lambda handle: _watch_lag(handle, settings, admission)))
    try:
        yield Service(app, tasks)
    finally:
        await healer.close()
        await store.close()


async def _producer(settings: Settings) -> KafkaProducer:
    producer = KafkaProducer(settings.kafka, settings.kafka_login)
    await producer.start()
    return producer


async def _consumer(settings: Settings, table: Table) -> KafkaConsumer:
    consumer = KafkaConsumer(
        settings.kafka,
        f"oms-{table.service}",
        table.topics,
        session_ms=SESSION_MS,
        login=settings.kafka_login,
    )
    await consumer.start()
    return consumer


async def _run(handle: Handle, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run endless work, ready at once, until the task is told to stop; work that fails fails the process."""
    handle.ready()
    await _until_stopped(handle, work())


async def _watch_database(handle: Handle, store: PostgresStore) -> None:
    """Ready while the database answers: without it nothing can be decided, and /readyz says so."""
    while True:
        try:
            async with asyncio.timeout(DATABASE_ANSWER_SECONDS_MAX), store.connection() as c:
                await c.execute("select 1")
        except (Unavailable, TimeoutError) as error:
            if handle.state is State.READY:
                log.warning("database_away", error=repr(error))
            handle.not_ready("the database does not answer; requests are refused with 503")
        else:
            handle.ready()
        if await handle.sleep(DATABASE_CHECK_SECONDS):
            return


async def _watch_lag(handle: Handle, settings: Settings, admission: Admission) -> None:
    """Tell the gate how far the house is behind. While nobody can say, new work is let in: it is durable, and waits."""
    handle.ready()
    while not handle.stopping.is_set():
        lag = GroupLag(settings.kafka, settings.lag_groups, settings.kafka_login)
        try:
            await lag.start()
            while not await handle.sleep(LAG_CHECK_SECONDS):
                behind = (await lag.read()).values()
                counted = (x.seconds for x in behind if x.records > settings.lag_min)
                admission.lag_s = max(counted, default=0.0)
        except BrokerLost as error:
            log.warning("lag_unknown", error=str(error), next="new orders are let in meanwhile")
            admission.lag_s = 0.0
            await handle.sleep(LAG_RETRY_SECONDS)
        finally:
            await lag.stop()


async def _consume(handle: Handle, consumer: ConsumerRuntime) -> None:
    """Run the consumer; it is ready once partitions are assigned, and watched for progress."""

    async def report() -> None:
        await consumer.ready.wait()
        handle.ready()
        while True:
            handle.progress.report(assigned=consumer.assigned, behind=consumer.behind)
            handle.progress.steps = consumer.counters.handled
            await asyncio.sleep(1)

    reporting = asyncio.ensure_future(report())
    try:
        await _until_stopped(handle, consumer.run())
    finally:
        reporting.cancel()
        await asyncio.wait((reporting,))


async def _until_stopped(handle: Handle, work: Coroutine[Any, Any, None]) -> None:
    job = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(handle.stopping.wait())
    try:
        await asyncio.wait((job, stopping), return_when=asyncio.FIRST_COMPLETED)
        if job.done():
            job.result()
    finally:
        stopping.cancel()
        job.cancel()
        await asyncio.wait((job,))


def _measure(app: ServiceApp, runtime: Runtime) -> None:
    """Metrics of the stream side, read when scraped."""
    counters = runtime.consumer.counters
    for name in (
        "handled",
        "duplicates",
        "gaps",
        "healed",
        "parked",
        "refused",
        "stopped",
        "rewound",
    ):
        gauge = Gauge(
            f"oms_consumer_{name}",
            f"Records {name} by the consumer since start",
            registry=app.metrics.registry,
        )
        gauge.set_function(lambda name=name: float(getattr(counters, name)))  # type: ignore[misc]
    published = Gauge(
        "oms_feed_published", "Last feed position published", registry=app.metrics.registry
    )
    published.set_function(lambda: float(runtime.relay.published))
