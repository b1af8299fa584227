"""A service as its ``__main__`` composes it, over a real database, spoken to without a socket.

Only the writer runs: nothing here needs the broker, and what is not asked for cannot happen.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from ops.contracts.openapi import settings_of
from ops.stack import Stack, create_database, drop_database
from ops.system.layout import WITHOUT_DATABASE
from services.views import versions
from shared.ledger.migrate import migrate
from shared.ledger.postgres import PostgresStore
from shared.service import Role, Service
from shared.service.security import KeyEntry, hash_key, write_keys_file
from shared.service.tasks import Handle
from tests.issuer import Issuer

SERVICES = (
    "order",
    "inventory",
    "fulfillment",
    "returns",
    "notifications",
    "integrations",
    "views",
    "insights",
)
HOME = Path(__file__).parents[3] / "services"
KEYS = {role: f"oms_{role.value}_0123456789abcdef" for role in Role}


class Composed:
    """A composed service: its requests, its OpenAPI document, whose tokens it believes, and how much is in its log."""

    def __init__(
        self, name: str, http: httpx.AsyncClient, openapi: dict[str, Any], dsn: str, issuer: Issuer
    ) -> None:
        self.name = name
        self.http = http
        self.openapi = openapi
        self.dsn = dsn
        self.issuer = issuer
        self.expected = 0

    def operations(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Method, path template and description of every operation."""
        return [
            (method.upper(), path, operation)
            for path, operations in self.openapi["paths"].items()
            for method, operation in operations.items()
        ]

    def logged(self) -> int:
        """How many messages the service's log holds, beside those that were meant to get there."""
        return self._messages() - self.expected

    def expect_what_is_logged(self) -> None:
        """A test has written on purpose, and is done."""
        self.expected = self._messages()

    def _messages(self) -> int:
        if not self.dsn:
            return 0
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute("select count(*) from messages").fetchone()
        assert row is not None
        return int(row[0])


@asynccontextmanager
async def composed(
    stack: Stack, name: str, folder: Path, issuer: Issuer
) -> AsyncIterator[Composed]:
    """The service ``name``, with a database of its own that is dropped afterwards, if it has one."""
    main = importlib.import_module(f"services.{name}.__main__")
    database, dsn = f"t_{uuid4().hex[:8]}", ""
    if name not in WITHOUT_DATABASE:
        dsn = await asyncio.to_thread(create_database, stack.postgres, database, stack.data)
        await asyncio.to_thread(migrate, dsn, HOME / name)
    keys = folder / "keys.json"
    write_keys_file(keys, [_entry(role, key) for role, key in KEYS.items()])
    settings = settings_of(main)(
        database=dsn,
        kafka=stack.kafka,
        keys_file=keys,
        payments="inprocess",
        webhook_key="k" * 32,
        **issuer.sign_on("https://pages.example"),
    )
    try:
        if name == "views":
            await _first_version(dsn)
        async with main.service(settings) as service, _writing(service):
            app = service.app
            app.seal()
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
                yield Composed(name, http, app.openapi(), dsn, issuer)
    finally:
        if dsn:
            await asyncio.to_thread(drop_database, stack.postgres, database)


def starting(answer: httpx.Response) -> bool:
    """Whether a service says that nothing is fed yet: what feeds it is not run here."""
    return answer.status_code == 503 and "urn:oms:problem:starting" in answer.text


def streams(operation: dict[str, Any]) -> bool:
    """Whether an operation's answer does not end: it cannot be asked for here."""
    return "text/event-stream" in str(operation["responses"].get("200"))


async def _first_version(dsn: str) -> None:
    """What the views' feeder does at its first start; it is not run here."""
    store = PostgresStore(dsn)
    await store.open()
    try:
        await versions.create(store, 1)
    finally:
        await store.close()


def _entry(role: Role, key: str) -> KeyEntry:
    channel = "web" if role is Role.CHANNEL else None
    customer = "c-1" if role is Role.CUSTOMER else None
    return KeyEntry(f"{role}-1", hash_key(key), role, channel, customer)


@asynccontextmanager
async def _writing(service: Service) -> AsyncIterator[None]:
    running = [
        asyncio.create_task(task.run(Handle(task.name)))
        for task in service.tasks
        if task.name == "writer"
    ]
    try:
        yield
    finally:
        for job in running:
            job.cancel()
        await asyncio.gather(*running, return_exceptions=True)
