"""Parts of a tally service as processes of their own, to be killed by tests: ``tallyprocess.py ROLE SERVICE``.

Roles: ``writer`` appends, ``relay`` publishes, ``service`` is a whole service with its HTTP feed.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from shared.ledger.postgres import PostgresStore
from shared.ledger.work import Unit
from shared.ledger.writer import Writer
from shared.service import Service, Settings, router, run
from shared.service.runtime import compose
from shared.stream.kafka import KafkaProducer
from shared.stream.relay import Relay
from tests.ledgerkit import PARTITIONS, language, tally, task


async def writer(store: PostgresStore, service: str) -> None:
    """Add to random names until killed."""
    words = language(service)
    writing = Writer(tally(words), store, partitions=PARTITIONS)
    run = asyncio.ensure_future(writing.run())
    while not run.done():
        names = [f"n{random.randrange(40)}" for _ in range(25)]
        await writing.submit(Unit([task(words, name) for name in names]))


async def relay(store: PostgresStore, service: str) -> None:
    async def connect() -> Any:
        producer = KafkaProducer(os.environ["OMS_KAFKA"])
        await producer.start()
        return producer

    await Relay(store, f"/oms/{service}", connect).run()


async def alone(role: Any, service: str) -> None:
    store = PostgresStore(os.environ["OMS_DATABASE"])
    await store.open()
    print("running", flush=True)  # noqa: T201 - read by the tests
    await role(store, service)


def serve(service: str) -> None:
    words = language(service)

    class TallySettings(Settings):
        pass

    @asynccontextmanager
    async def composed(settings: TallySettings) -> AsyncIterator[Service]:
        async with compose(settings, tally(words), lambda *_: router(tags=["tally"])) as made:
            yield made

    run(TallySettings, composed)


if __name__ == "__main__":
    _, chosen, name = sys.argv
    if chosen == "service":
        serve(name)
    asyncio.run(alone({"writer": writer, "relay": relay}[chosen], name))
