"""A database of views filled from journeys, and the views' pages served from it: for integration
and browser tests."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import uvicorn

import services.views
from ops.stack import Stack, create_database, drop_database
from services.views import versions
from services.views.__main__ import application
from services.views.feed import Feeder
from services.views.projector import Projector
from services.views.reader import Reader
from services.views.store import ViewStore
from shared.ledger.migrate import migrate
from shared.ledger.postgres import PostgresStore
from shared.ledger.store import Head, Partition
from shared.ledger.work import Unit
from shared.service import Keyring
from shared.service.links import Links
from shared.service.security import KeyEntry, Role, generate_key, hash_key
from shared.service.settings import PagesSettings
from shared.stream.consumer import StartedConsumer
from shared.stream.healer import CannotHeal
from shared.stream.port import Record
from tests.issuer import Issuer
from tests.issuer import serving as identity
from tests.unit.views.journey import Journey, Said, Topics, received, task


class NoHealer:
    """There is nobody to heal from."""

    async def fetch(self, partition: Partition, after: int, upto: int) -> list[Record]:
        raise CannotHeal("no feed in this test")

    async def heads(self, topics: set[str]) -> dict[Partition, Head]:
        return {}


@contextmanager
def database(stack: Stack) -> Iterator[str]:
    """A migrated database of the views, empty; its DSN."""
    name = f"views_{uuid4().hex[:8]}"
    dsn = create_database(stack.postgres, name, stack.data)
    try:
        migrate(dsn, Path(services.views.__file__).parent)
        yield dsn
    finally:
        drop_database(stack.postgres, name)


async def project(store: ViewStore, records: Iterable[Record], batch: int = 100) -> None:
    """Apply records, as the runtime would hand them over."""
    tasks = [task(r) for r in records]
    projector = Projector(store)
    for k in range(0, len(tasks), batch):
        some = tasks[k : k + batch]
        expected = await store.checkpoints({t.partition for t in some if t.partition})
        await projector.submit(Unit(some, expected))


def shop() -> dict[str, Journey]:
    """Orders in many states, by a name of the state."""
    split = Journey("1004", "shop", quantities=(1, 4), skus=("LAMP-3", "BULB-9"))
    j = {
        "completed": Journey("1001").whole(),
        "returned": Journey("1002").whole(),
        "cancelled": Journey("1003").placed().reserved().confirmed().opened().cancelled(),
        "split": split.placed().reserved(("LON", "YRK")).confirmed(),
        "backordered": Journey("1005", skus=("X" * 64, "CUP-07")).placed("wait").backordered(),
        "rejected": Journey("1006").placed().rejected(),
        "held": Journey("1007", channel="shop").placed().reserved().confirmed().held(),
        "placed": Journey("<b>1008</b>").placed(),
    }
    j["returned"].at += timedelta(days=3, hours=2)
    j["returned"].returned([j["returned"].line(0, 1)])
    s = j["split"]
    s.fulfilment(1, [s.line(0, 1)]).shipped(1, [s.line(0, 1)], last=False)
    s.delivered(1, [s.line(0, 1)])
    s.opened_second([s.line(1, 4)], "YRK")
    return j


def stock() -> list[Said]:
    """Receipts of what `shop` sells."""
    return [
        received(sku, 100, location)
        for sku in ("TEA-01", "CUP-07", "LAMP-3", "BULB-9")
        for location in ("LON", "YRK")
    ]


def topics_of(journeys: Iterable[Journey]) -> Topics:
    """The topics after these journeys and the receipts."""
    topics = Topics()
    topics.publish(stock())
    for journey in journeys:
        topics.publish(journey.said)
    return topics


@dataclass
class Site:
    """The pages, served; ``key`` is an agent's, ``channel_key`` that of the channel shop, ``links`` makes tracking
    links. At ``pages_url`` they are another site than ``issuer``, which signs people on there."""

    url: str
    pages_url: str
    key: str
    channel_key: str
    orders: dict[str, Journey]
    links: Links
    issuer: Issuer


@contextmanager
def serving(dsn: str, orders: dict[str, Journey]) -> Iterator[Site]:
    """The views of these orders on a free port, without a broker; an identity provider signs people on."""
    with identity() as issuer, _serving(dsn, orders, issuer) as site:
        yield site


@contextmanager
def _serving(dsn: str, orders: dict[str, Journey], issuer: Issuer) -> Iterator[Site]:
    keys = {role: generate_key(role) for role in (Role.AGENT, Role.CHANNEL)}
    entries = [
        KeyEntry("kim", hash_key(keys[Role.AGENT]), Role.AGENT),
        KeyEntry("shop-1", hash_key(keys[Role.CHANNEL]), Role.CHANNEL, "shop"),
    ]
    links = Links({"new": "n" * 32, "old": "o" * 32})
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    # Another site than the provider's 127.0.0.1, as a browser sees it.
    settings = PagesSettings.load(**issuer.sign_on(f"http://localhost:{port}"))
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        store = PostgresStore(dsn)
        await store.open()
        try:
            [version] = await versions.ensure(store)
            records = topics_of(orders.values())
            await project(ViewStore(store, version.version), records)
            feeder = Feeder(store, no_broker, NoHealer())
            app = application(
                Keyring(entries),
                store,
                Reader(store),
                feeder,
                links=links,
                trust=settings.trust,
                sign_on=settings.sign_on,
            )
            app.seal()
            server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
            job = asyncio.create_task(server.serve(sockets=[listener]))
            while not server.started:
                await asyncio.sleep(0.01)
            started.set()
            while not stop.is_set():
                await asyncio.sleep(0.05)
            server.should_exit = True
            await job
        finally:
            await store.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        assert started.wait(30), "the pages are not served"
        url = f"http://127.0.0.1:{port}"
        yield Site(
            url, settings.pages_url, keys[Role.AGENT], keys[Role.CHANNEL], orders, links, issuer
        )
    finally:
        stop.set()
        thread.join(15)
        listener.close()


async def no_broker(group: str) -> StartedConsumer:
    """A connection that is never asked for."""
    raise AssertionError(f"{group} wants a broker, this test has none")
