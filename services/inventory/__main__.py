"""``python -m services.inventory``: puts the inventory service together and runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.inventory.api import routes
from services.inventory.handlers import TABLE
from shared.service import Port, Service, Settings, run
from shared.service.runtime import compose


class InventorySettings(Settings):
    """The inventory service's settings."""

    service: str = "inventory"
    port: Port = 8102


@asynccontextmanager
async def service(settings: InventorySettings) -> AsyncIterator[Service]:
    """The inventory service, connected."""
    async with compose(settings, TABLE, routes) as composed:
        yield composed


if __name__ == "__main__":
    run(InventorySettings, service)
