"""A fresh system to measure: stack and databases once, and services that come and go over them.

Unlike `ops.system.running` the broker and the database outlive the services, so that a floor is measured on the very
servers, warm as they are, that the services were measured on.
"""

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import psycopg

from ops import stack
from ops.stack.ports import free_base
from ops.stack.state import lock_file
from ops.stack.supervisor import Change, Supervisor
from ops.system import SERVICES, Layout
from ops.system.keys import Keys, ensure_keys
from shared.events import topics
from shared.ledger.migrate import migrate

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
LOGS = BUILD / "bench-logs"
PREFIX = "bench-data-"
SWEEP_AFTER_SECONDS = 600
HOST = "127.0.0.1"
PARTITIONS = 4
#: Port bases of the services.
BASES = range(21_000, 31_000, 50)
WRITE_SIDE = ("order", "inventory", "fulfillment", "returns", "notifications")
ALL = (*WRITE_SIDE, "views")

#: Payments in-process, mails recorded but not sent, locations that confirm by themselves; a rate of the one caller that is
#: counted and never reached; and no regard for lag, for where only some services run the others fall behind for ever.
SETTINGS = {
    "order": {"OMS_PAYMENTS": "inprocess", "OMS_RATE_PER_S": "1000000", "OMS_LAG_MAX_S": "0"},
    "fulfillment": {"OMS_AUTOMATIC_LOCATIONS": '["*"]'},
    "notifications": {"OMS_MAIL": "record"},
}

Row = tuple[object, ...]
Connection = psycopg.AsyncConnection[Row]


class BenchmarkFailed(Exception):
    """What was measured is not what should have been: the message says what was found, and where to look."""


@dataclass
class Services:
    """Services that run now."""

    supervisor: Supervisor
    failures: list[str] = field(default_factory=list)

    def pids(self) -> dict[str, int]:
        """The process of each service."""
        found = self.supervisor.snapshot().processes
        return {p.name: p.pid for p in found if p.pid is not None}

    def check(self) -> None:
        """Raise `BenchmarkFailed` when a service has ended: a restart is no measurement."""
        if self.failures:
            raise BenchmarkFailed(f"a service ended while it was measured: {self.failures[0]}")


@dataclass
class Bed:
    """Servers, databases and topics, without services."""

    layout: Layout
    stack: stack.Stack
    keys: Keys
    dsns: dict[str, str]
    _connections: dict[str, Connection] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def services(self, *names: str) -> AsyncIterator[Services]:
        """Run these services until the context is left; a signal ends the body as an interrupt does."""
        layout = replace(self.layout, services=names)
        failures: list[str] = []

        def note(change: Change) -> None:
            if change.state == "restarting":
                failures.append(f"{change.name} {change.detail}")

        programs = layout.programs(self.stack.kafka, self.dsns, self.keys)
        async with Supervisor(layout.data, programs, on_change=note) as supervisor:
            body = asyncio.current_task()
            assert body is not None
            signalled = asyncio.create_task(supervisor.wait())
            signalled.add_done_callback(lambda t: None if t.cancelled() else body.cancel())
            try:
                yield Services(supervisor, failures)
            finally:
                signalled.cancel()
        cancel_on_signals()  # the supervisor had its own

    async def query(
        self, database: str, sql: str, args: dict[str, object] | None = None
    ) -> list[Row]:
        """One query of a service's database, on a connection that is kept: asking costs what is measured no more."""
        async with self._turn:
            connection = self._connections.get(database)
            if connection is None or connection.closed:
                connection = await psycopg.AsyncConnection.connect(
                    self.dsns[database], autocommit=True
                )
                self._connections[database] = connection
            cursor = await connection.execute(sql.encode(), args)
            return await cursor.fetchall()

    async def number(self, database: str, sql: str, args: dict[str, object] | None = None) -> int:
        """The one number that a query answers."""
        [(value,)] = await self.query(database, sql, args)
        return int(str(value))

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            await connection.close()

    async def add_database(self, name: str) -> str:
        """A database of a benchmark's own, on the same server."""
        dsn = await asyncio.to_thread(
            stack.create_database, self.stack.postgres, name, self.stack.data
        )
        self.dsns[name] = dsn
        return dsn

    def server_pids(self) -> dict[str, int]:
        """The processes of broker and database, where they are ours."""
        servers = {"kafka": self.stack.kafka_server, "postgres": self.stack.postgres_server}
        return {n: s.identity.pid for n, s in servers.items() if s.identity is not None}


@asynccontextmanager
async def open_bed(
    services: tuple[str, ...] = ALL,
    settings: Mapping[str, Mapping[str, str]] = SETTINGS,
    *,
    books_on_file: bool = False,
) -> AsyncIterator[Bed]:
    """A stack with fresh data below ``build``, on free ports, with migrated databases; removed on leaving. After a failure
    the logs stay, in `LOGS`.

    The payment provider works inside the order service's process and keeps its books in memory. They grow with every
    order, so where the service's own memory is measured they are ``books_on_file``.

    Below ``build`` and not in the temporary directory, which may be kept in memory: there is no durability to wait for.
    """
    BUILD.mkdir(exist_ok=True)
    _sweep()
    data = Path(tempfile.mkdtemp(prefix=PREFIX, dir=BUILD))
    books = {"OMS_PAYMENTS_LEDGER": str(data / "payments.sqlite")} if books_on_file else {}
    layout = Layout(
        data,
        port_base=free_base(BASES, SERVICES.values()),
        services=services,
        payments=False,
        mail=False,
        partitions=PARTITIONS,
        extra={**settings, "order": {**settings["order"], **books}},
    )
    try:
        local = await asyncio.to_thread(stack.start, data, ports=stack.Ports.free())
        try:
            dsns = await asyncio.to_thread(_databases, local, services)
            await stack.create_topics(local.kafka, {t.name: PARTITIONS for t in topics()})
            bed = Bed(layout, local, ensure_keys(data, services), dsns)
            try:
                yield bed
            finally:
                await bed.close()
        finally:
            await asyncio.to_thread(local.stop)
    except Exception:
        shutil.rmtree(LOGS, ignore_errors=True)
        shutil.copytree(data / "logs", LOGS)
        raise
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _sweep() -> None:
    """Remove what runs that were killed have left: data that no living stack holds the lock of, older than its start."""
    for left in BUILD.glob(f"{PREFIX}*"):
        if time.time() - left.stat().st_mtime > SWEEP_AFTER_SECONDS:
            try:
                lock_file(left, "stack").close()
            except stack.StackError:
                continue
            shutil.rmtree(left, ignore_errors=True)


def cancel_on_signals() -> None:
    """Let SIGINT and SIGTERM cancel the present task, so that it cleans up after itself."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _databases(local: stack.Stack, services: tuple[str, ...]) -> dict[str, str]:
    dsns: dict[str, str] = {}
    for name in services:
        dsns[name] = stack.create_database(local.postgres, name, local.data)
        migrate(dsns[name], ROOT / "services" / name)
    return dsns


async def until(
    condition: Callable[[], Awaitable[bool]],
    what: str,
    *,
    timeout_s: float,
    every_s: float = 0.1,
    services: Services | None = None,
) -> None:
    """Wait for a condition of other processes. Raises `BenchmarkFailed` when it takes too long or a service ends."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not await condition():
        if services is not None:
            services.check()
        if loop.time() > deadline:
            raise BenchmarkFailed(f"{what}: not within {timeout_s:.0f} s")
        await asyncio.sleep(every_s)


def resident_mb(pids: dict[str, int]) -> dict[str, float]:
    """Resident memory of processes now, in 10^6 bytes."""
    return {
        name: round(psutil.Process(pid).memory_info().rss / 1e6, 1) for name, pid in pids.items()
    }


def cpu_seconds(pids: dict[str, int]) -> dict[str, float]:
    """CPU time that processes and their children have used."""
    out = {}
    for name, pid in pids.items():
        process = psutil.Process(pid)
        spent = 0.0
        for one in (process, *process.children(recursive=True)):
            try:
                times = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            spent += times.user + times.system
        # Of children that have ended, such as a database's autovacuum workers.
        times = process.cpu_times()
        out[name] = spent + times.children_user + times.children_system
    return out
