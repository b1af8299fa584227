"""Where webhook endpoints are looked up when they are called."""

import asyncio

from services.notifications.domain.endpoints import Endpoint, Registry
from services.notifications.domain.messages import ReadEndpoints
from shared.events.notifications import ENDPOINTS
from shared.ledger.effects import TryAgain
from shared.ledger.store import Unavailable
from shared.ledger.work import Overloaded, Task
from shared.ledger.writer import Writer

FRESH_SECONDS = 1.0


async def read_registry(writer: Writer) -> Registry:
    """All endpoints as the log has them now. Raises `Unavailable` or `Overloaded`."""
    outcome = await writer.handle(Task(message=ReadEndpoints(), id="read-endpoints"))
    registry = outcome.states[ENDPOINTS]
    assert isinstance(registry, Registry)
    return registry


class Directory:
    """Endpoints by id, at most `FRESH_SECONDS` old: a removed endpoint gets no calls after that."""

    def __init__(self, writer: Writer | None = None, fresh_s: float = FRESH_SECONDS) -> None:
        self._writer = writer
        self._fresh_s = fresh_s
        self._registry = Registry()
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, endpoint_id: str) -> Endpoint | None:
        """The endpoint, or None when there is none. Raises `TryAgain` while the store is away."""
        asked_at = asyncio.get_running_loop().time()
        oldest = asked_at - self._fresh_s
        if self._read_at < oldest or endpoint_id not in self._registry.endpoints:
            async with self._reading:
                # One read answers all that asked before it began.
                unknown = endpoint_id not in self._registry.endpoints
                if self._read_at < (asked_at if unknown else oldest):
                    await self._read()
        return self._registry.endpoints.get(endpoint_id)

    def attach(self, writer: Writer) -> None:
        """Look endpoints up through this writer; before that there are none to find."""
        self._writer = writer

    async def _read(self) -> None:
        if self._writer is None:
            raise TryAgain("the service is starting")
        started = asyncio.get_running_loop().time()
        try:
            self._registry = await read_registry(self._writer)
        except (Unavailable, Overloaded) as error:
            raise TryAgain(f"endpoints cannot be read: {error}") from error
        self._read_at = started
