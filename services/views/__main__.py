"""``python -m services.views``: puts the views together and runs them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import Gauge
from pydantic import Field

from services.views import tracking
from services.views.api import routes
from services.views.feed import Feeder
from services.views.handlers import TABLE
from services.views.pages import COOKIE, STATIC, add_pages
from services.views.reader import Reader
from shared.ledger.postgres import PostgresStore
from shared.service import Keyring, Port, Service, ServiceApp, Task, create_app, run
from shared.service.limits import UNLIMITED, Rates
from shared.service.links import TRACKING_KEYS, Links, TrackingKeys
from shared.service.settings import InvalidSettingsError, PagesSettings
from shared.service.trust import SignOn, Trust
from shared.stream.healer import HttpHealer
from shared.stream.kafka import KafkaConsumer

#: Records of one poll, and so of one transaction: larger ones write an order's document less often.
RECORDS_MAX = 2000

#: How long the broker waits for a process that was killed before its successor may read.
SESSION_MS = 10_000


class ViewsSettings(PagesSettings):
    """The views' settings."""

    service: str = "views"
    port: Port = 8100
    tracking_keys: TrackingKeys = Field({}, repr=False, description=TRACKING_KEYS)


@asynccontextmanager
async def service(settings: ViewsSettings) -> AsyncIterator[Service]:
    """The views, connected."""
    if settings.keys_file is None:
        raise InvalidSettingsError("OMS_KEYS_FILE is not set: nothing is open without keys.")

    async def connect(group: str) -> KafkaConsumer:
        consumer = KafkaConsumer(
            settings.kafka,
            group,
            TABLE.topics,
            records_max=RECORDS_MAX,
            session_ms=SESSION_MS,
            login=settings.kafka_login,
        )
        await consumer.start()
        return consumer

    keyring = Keyring.from_file(settings.keys_file)
    database = PostgresStore(settings.database)
    await database.open()
    healer = HttpHealer(settings.peers, settings.peer_key)
    feeder = Feeder(database, connect, healer)
    app = application(
        keyring,
        database,
        Reader(database),
        feeder,
        links=Links(settings.tracking_keys),
        rates=settings.request_rates,
        trust=settings.trust,
        sign_on=settings.sign_on,
        access_log=settings.access_log,
    )
    try:
        yield Service(app, [Task("feeder", feeder.run)])
    finally:
        await healer.close()
        await database.close()


def application(
    keyring: Keyring,
    database: PostgresStore,
    reader: Reader,
    feeder: Feeder,
    *,
    links: Links | None = None,
    rates: Rates = UNLIMITED,
    trust: Trust | None = None,
    sign_on: SignOn | None = None,
    access_log: bool = False,
) -> ServiceApp:
    """The JSON API and the pages."""
    app = create_app(
        "views",
        keyring=keyring,
        cookie=COOKIE,
        open_paths=[STATIC],
        rates=rates,
        trust=trust,
        access_log=access_log,
    )
    app.include_router(routes(database, reader, feeder))
    add_pages(app, reader, keyring, sign_on)
    app.include_router(tracking.routes(reader, links or Links({})))
    _measure(app, feeder)
    return app


def _measure(app: ServiceApp, feeder: Feeder) -> None:
    """Metrics of the versions that are fed, read when scraped."""
    for name in ("handled", "duplicates", "gaps", "healed", "parked", "stopped"):
        gauge = Gauge(
            f"oms_consumer_{name}",
            f"Records {name} by the consumers since start",
            registry=app.metrics.registry,
        )
        gauge.set_function(lambda name=name: float(feeder.count(name)))  # type: ignore[misc]


if __name__ == "__main__":
    run(ViewsSettings, service)
