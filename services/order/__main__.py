"""``python -m services.order``: puts the order service together and runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field

from services.order.api import routes
from services.order.domain.saga import Policy
from services.order.effects import performers
from services.order.handlers import table
from shared.payments.client import HttpPayments
from shared.payments.inprocess import InProcessPayments
from shared.service import Service, Settings, run
from shared.service.runtime import compose


class OrderSettings(Settings):
    """The order service's settings; durations are seconds."""

    service: str = "order"
    port: int = 8101
    payments: Literal["http", "inprocess"] = Field(
        "http", description="inprocess is the fake provider inside this process: benchmarks only"
    )
    payments_ledger: Path | None = Field(
        None, description="File of the in-process provider's ledger; in memory when not set"
    )
    payments_url: str = Field("http://127.0.0.1:8110", description="Payment provider")
    payments_key: str = Field("", repr=False, description="API key at the payment provider")
    hold_seconds: int = Field(900, ge=1, description="How long stock is promised before payment")
    placed_seconds: int = Field(3_600, ge=1, description="Until an unconfirmed order is held")
    backordered_seconds: int = Field(
        2_592_000, ge=1, description="How long an order waits for stock"
    )
    confirmed_seconds: int = Field(
        1_209_600, ge=1, description="Until an undelivered order is held"
    )
    cancelling_seconds: int = Field(
        3_600, ge=1, description="Until an unfinished cancellation is held"
    )


@asynccontextmanager
async def service(settings: OrderSettings) -> AsyncIterator[Service]:
    """The order service, connected."""
    policy = Policy(**{f: getattr(settings, f) for f in Policy.__struct_fields__})
    provider: InProcessPayments | HttpPayments
    if settings.payments == "inprocess":
        ledger = settings.payments_ledger
        provider = InProcessPayments.on_file(ledger) if ledger else InProcessPayments.in_memory()
    else:
        provider = HttpPayments(settings.payments_url, settings.payments_key)
    try:
        async with compose(settings, table(policy), routes, performers(provider)) as composed:
            yield composed
    finally:
        await provider.close()


if __name__ == "__main__":
    run(OrderSettings, service)
