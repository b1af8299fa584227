"""``python -m services.integrations``: puts the integrations service together and runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter
from pydantic import Field

from services.integrations import api
from services.integrations.channels.filedrop import FileDrop
from services.integrations.channels.shopify.endpoint import Shopify
from services.integrations.handlers import table
from shared.service import Service, ServiceApp, Settings, Task, run
from shared.service.runtime import Runtime, compose


class IntegrationsSettings(Settings):
    """The integrations service's settings."""

    service: str = "integrations"
    port: int = 8106
    drop_folder: Path | None = Field(
        None, description="Folder of dropped files, one folder in it for each channel; none: off"
    )
    shopify_secrets: tuple[str, ...] = Field(
        (), repr=False, description='JSON list of the app\'s secrets, ["new", "old"]; none: off'
    )
    shopify_shops: dict[str, str] = Field(
        default_factory=dict, description='JSON: {"example.myshopify.com": "channel"}'
    )
    shopify_payment_method: str = Field(
        "tok_ok", description="What authorises orders that were paid in the shop"
    )


@asynccontextmanager
async def service(settings: IntegrationsSettings) -> AsyncIterator[Service]:
    """The integrations service, connected."""
    tasks: list[Task] = []
    shopify = Shopify(
        settings.shopify_secrets,
        {domain.lower(): channel for domain, channel in settings.shopify_shops.items()},
        settings.shopify_payment_method,
    )

    def routes(runtime: Runtime, _: ServiceApp) -> APIRouter:
        if settings.drop_folder is not None:
            tasks.append(Task("file drop", FileDrop(settings.drop_folder, runtime.writer).run))
        return api.routes(runtime, shopify)

    async with compose(settings, table(), routes) as composed:
        yield Service(composed.app, [*tasks, *composed.tasks])


if __name__ == "__main__":
    run(IntegrationsSettings, service)
