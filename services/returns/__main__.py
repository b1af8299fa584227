"""``python -m services.returns``: puts the returns service together and runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from pydantic import Field

from services.returns.api import routes
from services.returns.domain.requests import Policy
from services.returns.handlers import table
from shared.service import Pause, Port, Service, Settings, run
from shared.service.runtime import compose


class ReturnsSettings(Settings):
    """The returns service's settings."""

    service: str = "returns"
    port: Port = 8104
    gather_s: Pause = 0.1  # nobody waits for it
    return_window_days: int = Field(
        30, ge=0, le=3650, description="Days after shipment in which returns need no person"
    )


@asynccontextmanager
async def service(settings: ReturnsSettings) -> AsyncIterator[Service]:
    """The returns service, connected."""
    policy = Policy(window=timedelta(days=settings.return_window_days))
    async with compose(settings, table(policy), routes) as composed:
        yield composed


if __name__ == "__main__":
    run(ReturnsSettings, service)
