"""``python -m services.fulfillment``: puts the fulfillment service together and runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import Field

from services.fulfillment.api import routes
from services.fulfillment.handlers import table
from shared.service import Pause, Port, Service, Settings, run
from shared.service.runtime import compose


class FulfillmentSettings(Settings):
    """The fulfillment service's settings."""

    service: str = "fulfillment"
    port: Port = 8103
    gather_s: Pause = 0.05  # parcels can wait that long
    automatic_locations: frozenset[str] = Field(
        frozenset(),
        description='JSON list of locations that confirm by themselves, ["*"] for all',
    )


@asynccontextmanager
async def service(settings: FulfillmentSettings) -> AsyncIterator[Service]:
    """The fulfillment service, connected."""
    async with compose(settings, table(settings.automatic_locations), routes) as composed:
        yield composed


if __name__ == "__main__":
    run(FulfillmentSettings, service)
