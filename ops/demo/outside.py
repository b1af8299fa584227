"""An outside producer: what a channel, a warehouse system or a supplier puts on the topics.

Its records are CloudEvents without feed positions: the services tell its duplicates apart by business key.
"""

from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer

from shared.events import Command, Envelope, encode
from shared.service import clock
from shared.service.ids import new_id


class OutsideProducer:
    """Sends commands to the topics that their types name; failures come up in `flush`."""

    def __init__(self, bootstrap: str, source: str) -> None:
        self._client = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=5
        )
        self._source = source
        self._pending: set[Any] = set()
        self._failed: BaseException | None = None

    async def __aenter__(self) -> Self:
        await self._client.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.stop()

    async def send(self, command: Command, *, actor: str = "", twice: bool = False) -> None:
        """Put a command on its topic; ``twice`` sends the very same record again. Order per key is kept."""
        topic = command.route()
        assert topic is not None, f"{command.tag()} stays inside its service"
        envelope = Envelope(
            id=new_id(),
            type=command.tag(),
            source=self._source,
            subject=command.subject,
            time=clock.now(),
            actor=actor,
        )
        headers, data = envelope.headers(), encode(command)
        for _ in range(2 if twice else 1):
            sent = await self._client.send(topic, data, key=command.key.encode(), headers=headers)
            self._pending.add(sent)
            sent.add_done_callback(self._settled)

    async def flush(self) -> None:
        """Return once everything sent was acknowledged. Raises the first failure."""
        await self._client.flush()
        if self._failed is not None:
            raise self._failed

    def _settled(self, sent: Any) -> None:
        self._pending.discard(sent)
        if not sent.cancelled() and sent.exception() is not None:
            self._failed = self._failed or sent.exception()
