"""``python -m services.order``: puts the order service together and runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, Protocol

from fastapi import APIRouter
from pydantic import Field

from services.order import api
from services.order.domain.saga import Policy
from services.order.effects import performers
from services.order.handlers import table
from shared.payments.client import HttpPayments
from shared.payments.inprocess import InProcessPayments
from shared.payments.port import PaymentProvider
from shared.service import Port, Service, ServiceApp, Settings, run
from shared.service.runtime import Runtime, compose
from shared.service.settings import InvalidSettingsError


class OrderSettings(Settings):
    """The order service's settings; durations are seconds."""

    service: str = "order"
    port: Port = 8101
    payments: Literal["http", "inprocess", "stripe"] = Field(
        "http",
        description="The provider: http is the fake one's process, inprocess the fake one in here "
        "(benchmarks only), stripe is Stripe",
    )
    payments_ledger: Path | None = Field(
        None, description="File of the in-process provider's ledger; in memory when not set"
    )
    payments_url: str = Field("http://127.0.0.1:8110", description="Payment provider")
    payments_key: str = Field("", repr=False, description="API key at the payment provider")
    stripe_key: str = Field("", repr=False, description="Stripe's secret key, sk_… or rk_…")
    stripe_webhook_secret: str = Field(
        "", repr=False, description="What Stripe signs with, whsec_…; without it no webhooks"
    )
    stripe_url: str = Field("https://api.stripe.com", description="Stripe's API, or a mock of it")
    # More than 30 days inventory refuses, and every order would be rejected as invalid.
    hold_seconds: int = Field(
        900, ge=1, le=2_592_000, description="How long stock is promised before payment"
    )
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


class Provider(PaymentProvider, Protocol):
    """A payment provider with connections to close."""

    async def close(self) -> None: ...


def provider_of(settings: OrderSettings) -> Provider:
    """The payment provider that the settings name. Raises InvalidSettingsError."""
    match settings.payments:
        case "inprocess":
            ledger = settings.payments_ledger
            return InProcessPayments.on_file(ledger) if ledger else InProcessPayments.in_memory()
        case "stripe":
            if not settings.stripe_key:
                raise InvalidSettingsError("OMS_STRIPE_KEY is not set, and OMS_PAYMENTS=stripe.")
            from shared.payments.stripe import StripePayments  # half a second of imports

            return StripePayments(settings.stripe_key, url=settings.stripe_url)
        case _:
            return HttpPayments(settings.payments_url, settings.payments_key)


@asynccontextmanager
async def service(settings: OrderSettings) -> AsyncIterator[Service]:
    """The order service, connected."""
    policy = Policy(**{f: getattr(settings, f) for f in Policy.__struct_fields__})
    provider = provider_of(settings)

    def routes(runtime: Runtime, app: ServiceApp) -> APIRouter:
        r = api.routes(runtime, app)
        if settings.payments == "stripe" and settings.stripe_webhook_secret:
            from services.order import stripe_webhook

            r.include_router(stripe_webhook.routes(runtime, settings.stripe_webhook_secret))
        return r

    try:
        async with compose(
            settings, table(policy), routes, performers(provider), takes_orders=True
        ) as composed:
            yield composed
    finally:
        await provider.close()


if __name__ == "__main__":
    run(OrderSettings, service)
