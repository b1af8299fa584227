"""The insights' pages and API over figures of a made-up shop, served without a broker."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from types import SimpleNamespace
from typing import Any, NamedTuple

import uvicorn

from benchmarks.insights_load import START, Shop
from services.insights.__main__ import application
from services.insights.broker import Broker
from services.insights.domain.batch import Batch
from services.insights.domain.cells import READ, Key, Progress
from services.insights.figures import Figures
from services.insights.insights import Insights
from services.insights.listener import Listener
from services.insights.records import read
from services.insights.renderer import Renderer
from services.insights.state import State
from shared.service import Keyring, Role
from shared.service.security import KeyEntry, generate_key, hash_key
from shared.stream.healer import HttpHealer
from shared.stream.port import Outgoing, Partition

NOBODY = Broker("127.0.0.1:1")
PARTITIONS, SKUS, RECORDS = 2, 30, 7000


def state_of(shop: Shop, count: int) -> State:
    """The cells that a worker would make of the shop's records."""
    state = State(shop.partitions)
    state.hold({}, frozenset(range(shop.partitions)))
    add(state, shop.records(count))
    return state


def add(state: State, records: Iterable[tuple[Partition, Outgoing]]) -> None:
    """Have the state's worker read records."""
    for n, ((topic, partition), record) in enumerate(records):
        key = str(Key(READ, partition, shard=topic))
        progress = state.own.setdefault(key, Progress())
        batch = Batch(partition, progress, state.own.get)
        batch.add(read(n, record.headers, record.value))
        for text, cell in batch.changed.items():
            state.own[text] = cell
            state.note(text)


def more(count: int) -> Iterator[tuple[Partition, Outgoing]]:
    """The next records of the shop whose figures are served."""
    return islice(Shop(PARTITIONS, skus=SKUS).records(RECORDS + count), RECORDS, None)


def insights_of(state: State, now: datetime) -> Insights:
    """Insights that have these cells, at this time."""
    made = Insights(NOBODY, HttpHealer({}, ""), clock=lambda: now)
    worker: Any = SimpleNamespace(state=state, version=1)
    made.worker, made.figures = worker, Figures(state)
    return made


class Site(NamedTuple):
    """Where it is served, an agent's and a channel's key, and what it is made of."""

    url: str
    key: str
    channel_key: str
    state: State
    loop: asyncio.AbstractEventLoop

    def add(self, records: Iterable[tuple[Partition, Outgoing]]) -> None:
        """Have its worker read records, in its own loop: what is being shown does not change meanwhile."""

        async def added() -> None:
            add(self.state, records)

        asyncio.run_coroutine_threadsafe(added(), self.loop).result(30)


@contextmanager
def serving() -> Iterator[Site]:
    """An hour and a half of a shop, a quarter of an hour after its last order, on a free port."""
    state = state_of(Shop(PARTITIONS, skus=SKUS), RECORDS)
    last = max(r.progress.newest for r in Figures(state).progress())
    now = datetime.fromtimestamp(last, START.tzinfo) + timedelta(minutes=15)
    keys = {role: generate_key(role) for role in (Role.AGENT, Role.CHANNEL)}
    entries = [
        KeyEntry("kim", hash_key(keys[Role.AGENT]), Role.AGENT),
        KeyEntry("shop-1", hash_key(keys[Role.CHANNEL]), Role.CHANNEL, "shop"),
    ]
    listener = socket.create_server(("127.0.0.1", 0))
    started, stop = threading.Event(), threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        renderer = Renderer()
        app = application(Keyring(entries), insights_of(state, now), Listener(NOBODY), renderer)
        app.seal()
        config = uvicorn.Config(
            app, lifespan="off", log_level="warning", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        job = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        started.set()
        while not stop.is_set():
            await asyncio.sleep(0.05)
        app.health.draining = True
        server.should_exit = True
        await job
        await renderer.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        assert started.wait(60), "the pages are not served"
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Site(url, keys[Role.AGENT], keys[Role.CHANNEL], state, loops[0])
    finally:
        stop.set()
        thread.join(15)
        listener.close()
