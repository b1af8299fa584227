"""``python -m services.insights``: puts the insights together and runs them."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import Gauge
from pydantic import Field

from services.insights import live
from services.insights.announcer import Announcer
from services.insights.api import routes
from services.insights.broker import Broker
from services.insights.insights import Insights
from services.insights.listener import Listener
from services.insights.pages import COOKIE, HTMX, STATIC, add_pages
from services.insights.renderer import Renderer
from shared.service import Keyring, Port, Service, ServiceApp, Task, create_app, run
from shared.service.limits import UNLIMITED, Rates
from shared.service.settings import InvalidSettingsError, PagesSettings
from shared.service.trust import SignOn, Trust
from shared.stream.healer import HttpHealer

#: faust tells much; what matters of it is said by the service itself.
FAUST_LEVEL = logging.WARNING
#: Leaving the group and flushing takes faust a few seconds.
STOP_SECONDS = 7.0


class InsightsSettings(PagesSettings):
    """The insights' settings."""

    service: str = "insights"
    port: Port = 8107
    changelog_replicas: int = Field(
        1,
        ge=1,
        le=32_767,
        description="Copies of its changelog topics; as many as other topics have",
    )


@asynccontextmanager
async def service(settings: InsightsSettings) -> AsyncIterator[Service]:
    """The insights, ready to be run. They own no database: what they know lies in their changelog topic."""
    if settings.keys_file is None:
        raise InvalidSettingsError("OMS_KEYS_FILE is not set: nothing is open without keys.")
    for name in ("faust", "mode"):
        logging.getLogger(name).setLevel(FAUST_LEVEL)
    # It says so whenever more than a hundred cells wait for their batch, which is as it should be.
    logging.getLogger("faust.transport.producer").setLevel(logging.ERROR)
    keyring = Keyring.from_file(settings.keys_file)
    broker = Broker(settings.kafka, settings.kafka_login, settings.changelog_replicas)
    healer = HttpHealer(settings.peers, settings.peer_key)
    insights = Insights(broker, healer)
    announcer, listener, renderer = Announcer(insights), Listener(broker), Renderer()
    app = application(
        keyring,
        insights,
        listener,
        renderer,
        rates=settings.request_rates,
        trust=settings.trust,
        sign_on=settings.sign_on,
        access_log=settings.access_log,
    )
    announced = Gauge(
        "oms_insights_announced", "Statements published since start", registry=app.metrics.registry
    )
    announced.set_function(lambda: float(announcer.announced))
    try:
        yield Service(
            app,
            [
                Task("announcer", announcer.run),
                Task("listener", listener.run),
                Task("worker", insights.run, stop_s=STOP_SECONDS),
            ],
        )
    finally:
        await renderer.close()
        await healer.close()


def application(
    keyring: Keyring,
    insights: Insights,
    listener: Listener,
    renderer: Renderer,
    *,
    rates: Rates = UNLIMITED,
    trust: Trust | None = None,
    sign_on: SignOn | None = None,
    access_log: bool = False,
) -> ServiceApp:
    """The JSON API, the event stream and the dashboard."""
    app = create_app(
        "insights",
        keyring=keyring,
        cookie=COOKIE,
        open_paths=[STATIC, HTMX],
        rates=rates,
        trust=trust,
        access_log=access_log,
    )
    app.include_router(routes(insights))
    app.include_router(live.routes(listener, lambda: app.health.draining))
    add_pages(app, insights, keyring, renderer, sign_on)
    _measure(app, insights)
    return app


def _measure(app: ServiceApp, insights: Insights) -> None:
    """Metrics of the worker, read when scraped."""
    for name in ("records", "duplicates", "healed"):
        gauge = Gauge(
            f"oms_insights_{name}", f"Source {name} since start", registry=app.metrics.registry
        )
        gauge.set_function(lambda name=name: float(getattr(insights.worker, name, 0)))  # type: ignore[misc]
    lag = Gauge("oms_insights_lag", "Records to be read", registry=app.metrics.registry)
    lag.set_function(lambda: float(sum(insights.lag.values())))


if __name__ == "__main__":
    run(InsightsSettings, service)
