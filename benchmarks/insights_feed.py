"""Some of a shop's records are kept from the topics, and told by a feed: what a broker lost, and how it is healed."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from shared.ledger.store import Partition
from shared.stream.port import Outgoing


class Lost:
    """Every ``every``-th position of each topic, and the last of each partition; ``records`` by place and position."""

    def __init__(self, every: int) -> None:
        self._every = every
        self.records: dict[Partition, dict[int, Outgoing]] = {}
        self._heads: dict[Partition, int] = {}

    def keep(
        self, records: Iterable[tuple[Partition, Outgoing]]
    ) -> Iterator[tuple[Partition, Outgoing]]:
        """What is not lost."""
        last: dict[Partition, Outgoing] = {}
        for place, record in records:
            position = _position(record)
            if position % self._every == 0:
                self._lose(place, record)
            else:
                if place in last:
                    yield place, last[place]
                # What comes again is not the end.
                if position > self._heads.get(place, 0):
                    last[place] = record
                else:
                    last.pop(place, None)
                    yield place, record
            self._heads[place] = max(position, self._heads.get(place, 0))
        for place, record in last.items():
            self._lose(place, record)

    def _lose(self, place: Partition, record: Outgoing) -> None:
        self.records.setdefault(place, {})[_position(record)] = record

    def told(self) -> Iterator[tuple[Partition, Outgoing]]:
        """Each lost record once."""
        for place, by_position in self.records.items():
            for record in by_position.values():
                yield place, record

    async def feed(self, request: Request) -> JSONResponse:
        """``GET /feed``, as services answer it."""
        asked = request.query_params
        held = self.records.get((asked["topic"], int(asked["partition"])), {})
        items = [
            {
                "key": r.key.decode(),
                "data": r.value.decode(),
                "headers": [[name, value.decode()] for name, value in r.headers],
            }
            for position, r in sorted(held.items())
            if int(asked["after"]) < position <= int(asked["upto"])
        ]
        return JSONResponse({"items": items})

    async def heads(self, request: Request) -> JSONResponse:
        """``GET /feed/heads``, as services answer it."""
        del request
        items = [
            {"topic": topic, "partition": partition, "position": position, "published": True}
            for (topic, partition), position in self._heads.items()
        ]
        return JSONResponse({"items": items})


def _position(record: Outgoing) -> int:
    return int(dict(record.headers)["ce_sequence"])


@asynccontextmanager
async def serving(lost: Lost) -> AsyncIterator[str]:
    """The feed's address."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = Starlette(routes=[Route("/feed", lost.feed), Route("/feed/heads", lost.heads)])
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
    job = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await job
