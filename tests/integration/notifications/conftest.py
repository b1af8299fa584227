"""The notifications service's moving parts on a real database, a real mail sink and real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email.headerregistry import Address
from ipaddress import ip_network
from pathlib import Path
from uuid import uuid4

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ops.sink.smtp import listen
from ops.sink.store import MessageStore
from ops.stack import Stack, create_database, drop_database
from ops.stack.ports import free_ports
from services.notifications.addresses import Addresses
from services.notifications.directory import Directory
from services.notifications.effects import performers
from services.notifications.handlers import table
from services.notifications.mailer import Mailer
from services.notifications.signing import Secrets
from services.notifications.smtp import SmtpPool
from services.notifications.webhooks import Courier
from shared.events import Event, Message
from shared.ledger.effects import Effects
from shared.ledger.migrate import migrate
from shared.ledger.postgres import PostgresStore
from shared.ledger.work import Outcome, Task
from shared.ledger.writer import Writer
from shared.service.server import bind_socket

SERVICE = Path(__file__).parents[3] / "services" / "notifications"
SENDER = Address("Orders", "orders", "oms.local")
SECRETS = Secrets("integration tests only, thirty-two characters")
LOOPBACK = Addresses([ip_network("127.0.0.0/8")])
PATIENCE_SECONDS = 20


async def until(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Wait until something observable from outside holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.02)


class Sink:
    """The mail sink in this process, which can be stopped and started on its port."""

    def __init__(self) -> None:
        [self.port] = free_ports(1)
        self.store = MessageStore()
        self._server: asyncio.Server | None = None
        self._connections: list[asyncio.Transport] = []

    async def start(self) -> None:
        self._server = await listen(self.store, bind_socket("127.0.0.1", self.port))

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    """A mail sink that listens on ``sink.port`` after ``await sink.start()``."""
    sink = Sink()
    yield sink
    await sink.stop()
    sink.store.close()


@dataclass
class Notifier:
    """Writer, effects and store of one service, without a broker: tests hand it its events."""

    store: PostgresStore
    writer: Writer
    table: object

    async def hear(self, event: Message, id: str) -> Outcome:
        """Handle a message as if it came from its topic."""
        return await self.writer.handle(Task(message=event, id=id))

    async def log(self, stream: str) -> list[Event]:
        """A stream's events."""
        rows = await self.store.stream(stream)
        codec = self.writer._table.codec
        return [e for _, tag, _, _, data in rows if isinstance(e := codec.decode(tag, data), Event)]

    async def has(self, stream: str, kind: type[Event]) -> bool:
        """Whether an event of a type is in a stream."""
        return any(isinstance(e, kind) for e in await self.log(stream))

    async def owed(self) -> list[Mapping[str, object]]:
        """Effects that are not settled."""
        return list(await self.store.effects_open(100))


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[str]:
    """A migrated database of this module's own."""
    name = f"n_{uuid4().hex[:8]}"
    dsn = create_database(stack.postgres, name, stack.data)
    migrate(dsn, SERVICE)
    yield dsn
    drop_database(stack.postgres, name)


@pytest.fixture
async def notifier(database: str, sink: Sink) -> AsyncIterator[Notifier]:
    """The service's parts, running; mails go to ``sink``."""
    store = PostgresStore(database)
    await store.open()
    decides = table()
    writer = Writer(decides, store, partitions=1)
    courier = Courier(
        Directory(writer, fresh_s=0.05).find, SECRETS, addresses=LOOPBACK, timeout_s=2, rest_s=0.2
    )
    async with SmtpPool("127.0.0.1", sink.port, connections=2, timeout_s=5) as pool:
        effects = Effects(store, writer, performers(Mailer(pool, SENDER), courier))
        writer.on_effects = effects.take
        jobs = [asyncio.create_task(writer.run()), asyncio.create_task(effects.run())]
        yield Notifier(store, writer, decides)
        for job in reversed(jobs):
            job.cancel()
            await asyncio.wait((job,))
    await courier.close()
    await store.close()


@dataclass
class Receiver:
    """A webhook endpoint of somebody else: answers what it is told to, and keeps what it got."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    otherwise: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.got.append((dict(request.headers), await request.body()))
        if self.hangs:
            await self.released.wait()
        status = self.answers.pop(0) if self.answers else self.otherwise
        await Response(b"", status, self.headers)(scope, receive, send)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that serves on a free port."""
    receiver = Receiver()
    listener = bind_socket("127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{listener.getsockname()[1]}/hooks?token=s3cr3t"
    server = _Server(uvicorn.Config(receiver, lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started)
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.should_exit = True
        await serving
        listener.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A webhook endpoint."""
    async with receiving() as running:
        yield running
