"""One service over a real database, without a broker: requests, and messages as from a topic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import sentinel
from uuid import uuid4

import httpx
from fastapi import APIRouter

from ops.stack import Stack, create_database, drop_database
from shared.events import Message
from shared.ledger.migrate import migrate
from shared.ledger.postgres import PostgresStore
from shared.ledger.table import Table
from shared.ledger.work import Outcome, Task
from shared.ledger.writer import Writer
from shared.service import Keyring, Role, ServiceApp, create_app
from shared.service.runtime import Runtime
from shared.service.security import KeyEntry, hash_key

SERVICES = Path(__file__).parents[2] / "services"
KEYS = {role: f"oms_{role.value}_0123456789abcdef" for role in Role}


class Served:
    """A service under test."""

    def __init__(self, http: httpx.AsyncClient, writer: Writer, store: PostgresStore) -> None:
        self.http = http
        self.writer = writer
        self.store = store

    async def hear(self, message: Message) -> Outcome:
        """Handle a message as if it had come from a topic."""
        return await self.writer.handle(Task(message=message, id=str(uuid4())))

    async def get(self, path: str, role: Role, **query: Any) -> httpx.Response:
        """GET as a role."""
        return await self.http.get(path, params=query or None, headers=_headers(role))

    async def post(
        self, path: str, role: Role, body: Any = None, key: str | None = None
    ) -> httpx.Response:
        """POST as a role, under an Idempotency-Key (a fresh one where none is given)."""
        headers = _headers(role) | {"idempotency-key": key or str(uuid4())}
        return await self.http.post(path, json=body, headers=headers)


def _headers(role: Role) -> dict[str, str]:
    return {"authorization": f"Bearer {KEYS[role]}"}


@asynccontextmanager
async def serving(
    stack: Stack, table: Table, routes: Callable[[Runtime, ServiceApp], APIRouter]
) -> AsyncIterator[Served]:
    """The service with a database of its own, migrated, and dropped afterwards."""
    name = f"t_{uuid4().hex[:8]}"
    dsn = await asyncio.to_thread(create_database, stack.postgres, name, stack.data)
    await asyncio.to_thread(migrate, dsn, SERVICES / table.service)
    store = PostgresStore(dsn)
    await store.open()
    writer = Writer(table, store, partitions=4)
    writing = asyncio.create_task(writer.run())
    entries = [
        KeyEntry(
            f"{role}-1",
            hash_key(key),
            role,
            channel="web" if role is Role.CHANNEL else None,
            customer="c-1" if role is Role.CUSTOMER else None,
        )
        for role, key in KEYS.items()
    ]
    app = create_app(table.service, keyring=Keyring(entries))
    runtime = Runtime(table, store, writer, sentinel.consumer, sentinel.relay)
    app.include_router(routes(runtime, app))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            yield Served(http, writer, store)
    finally:
        writing.cancel()
        await asyncio.wait((writing,))
        await store.close()
        await asyncio.to_thread(drop_database, stack.postgres, name)
