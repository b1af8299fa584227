"""``python -m services.integrations``: puts the integrations service together and runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter
from pydantic import Field

from services.integrations import api
from services.integrations.channels.filedrop import FileDrop
from services.integrations.channels.shopify.endpoint import Shopify
from services.integrations.erp import api as erp_api
from services.integrations.erp.files import ErpFiles
from services.integrations.handlers import table
from services.integrations.wms import api as wms_api
from shared.service import Port, Service, ServiceApp, Settings, Task, run
from shared.service.runtime import Runtime, compose


class IntegrationsSettings(Settings):
    """The integrations service's settings."""

    service: str = "integrations"
    port: Port = 8106
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
        "tok_ok", min_length=1, description="What authorises orders that were paid in the shop"
    )
    erp_feed: bool = Field(True, description="Issue documents for accounting")
    erp_folder: Path | None = Field(
        None, description="Folder for those documents as CSV files; none: off"
    )
    wms_locations: frozenset[str] = Field(
        frozenset(), description="JSON list of locations that an external warehouse handles"
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
        r = api.routes(runtime, shopify)
        if settings.erp_feed:
            r.include_router(erp_api.routes(runtime))
            if settings.erp_folder is not None:
                files = ErpFiles(settings.erp_folder, runtime.store, runtime.writer)
                tasks.append(Task("erp files", files.run))
        if settings.wms_locations:
            r.include_router(wms_api.routes(runtime))
        return r

    decides = table(erp_feed=settings.erp_feed, wms_locations=settings.wms_locations)
    async with compose(settings, decides, routes, takes_orders=True) as composed:
        yield Service(composed.app, [*tasks, *composed.tasks])


if __name__ == "__main__":
    run(IntegrationsSettings, service)
