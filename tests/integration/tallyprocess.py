"""Parts of a tally service as processes of their own, to be killed by tests: ``tallyprocess.py ROLE SERVICE``.

Roles: ``sequencer`` gives positions, ``relay`` publishes, ``service`` is a whole service with its HTTP feed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from shared.ledger.postgres import PostgresStore
from shared.service import Service, Settings, router, run
from shared.service.runtime import compose
from shared.stream.kafka import KafkaProducer
from shared.stream.relay import Relay
from tests.ledgerkit import language, tally


async def sequencer(store: PostgresStore, service: str) -> None:
    while True:
        if not await store.sequence(37):
            await asyncio.sleep(0.01)


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
    asyncio.run(alone({"sequencer": sequencer, "relay": relay}[chosen], name))
