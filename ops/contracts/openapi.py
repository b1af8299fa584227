"""The OpenAPI 3.1 document of every service, from the application that its ``__main__`` composes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from ops.contracts.tables import services
from shared.ledger.postgres import PostgresStore
from shared.service import ServiceApp, Settings
from shared.service.security import write_keys_file

#: Enough to compose any service; nothing is connected to.
_SETTINGS: dict[str, Any] = {
    "database": "postgresql://nowhere",
    "kafka": "nowhere:9092",
    "payments": "inprocess",
    "webhook_key": "k" * 32,
}


def settings_of(main: Any) -> type[Settings]:
    """The settings class that a service's ``__main__`` defines."""
    [found] = [
        value
        for value in vars(main).values()
        if isinstance(value, type)
        and issubclass(value, Settings)
        and value.__module__ == main.__name__
    ]
    return found


def documents() -> dict[str, dict[str, Any]]:
    """Service name → its document."""
    return asyncio.run(_documents())


async def _documents() -> dict[str, dict[str, Any]]:
    found = {}
    for name in services():
        async with _composed(name) as app:
            found[name] = app.openapi()
    return found


@asynccontextmanager
async def _composed(name: str) -> AsyncIterator[ServiceApp]:
    """The service as it runs, except that its database is not opened and its tasks are not started."""
    main = import_module(f"services.{name}.__main__")
    if not hasattr(main, "service"):
        raise LookupError(f"services/{name}/__main__.py has no service(settings) to be documented")

    async def unopened(_: PostgresStore) -> None:
        """A document needs no rows."""

    with TemporaryDirectory() as folder, patch.object(PostgresStore, "open", unopened):
        keys = Path(folder) / "keys.json"
        write_keys_file(keys, [])
        settings = settings_of(main)(keys_file=keys, **_SETTINGS)
        async with main.service(settings) as composed:
            yield composed.app
