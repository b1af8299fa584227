"""How people and machines outside ask: over HTTP's road until they are answered, or through the channel's topic."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import msgspec

from shared.events import Command, Envelope, encode
from shared.ledger.batch import partition_of
from shared.ledger.store import Answer, Unavailable
from shared.ledger.work import Outcome, Overloaded, Task
from shared.service.commands import ANSWER_SECONDS_MAX
from shared.stream.memory import MemoryProducer
from shared.stream.port import BrokerLost, Outgoing
from tests.simulation.process import PARTITIONS

if TYPE_CHECKING:
    from tests.simulation.world import World


class Answers:
    """What each idempotency key was answered with; the same key must get the same for ever."""

    def __init__(self) -> None:
        self._first: dict[str, bytes] = {}
        self._broken: list[str] = []

    def heard(self, key: str, body: bytes) -> None:
        """An answer has reached its caller."""
        if self._first.setdefault(key, body) != body:
            self._broken.append(f"key {key} was answered {self._first[key]!r}, and then {body!r}")

    def broken(self) -> list[str]:
        """Every key that got two answers."""
        return self._broken


class Asking:
    """One way of asking for each road."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._sent = 0
        self._records = 0
        self._producer = MemoryProducer(world.broker)
        self.answers = Answers()

    async def ask(self, service: str, command: Command, key: str = "", actor: str = "") -> Outcome:
        """Ask until there is an answer; with a key, as with an Idempotency-Key."""
        while True:
            try:
                outcome = await self._once(service, command, key, actor)
            except (Unavailable, Overloaded, TimeoutError):
                await asyncio.sleep(self._random.uniform(0.1, 1.0))
                continue
            if key and outcome.answer is not None:
                self.answers.heard(key, outcome.answer.body)
            if not self._world.chaos.strikes("answer_lost", 0.02):
                return outcome

    async def _once(self, service: str, command: Command, key: str, actor: str) -> Outcome:
        process = self._world.services[service].front()
        if process is None:
            raise Unavailable("nobody listens")
        self._sent += 1
        fingerprint = encode(command)

        def respond(outcome: Outcome) -> Answer:
            told = [type(event).__name__ for event in outcome.events]
            refused = outcome.refused.code if outcome.refused else ""
            body = msgspec.json.encode({"request": self._sent, "told": told, "refused": refused})
            return Answer(fingerprint, 200, body)

        task = Task(
            message=command,
            id=f"request:{self._sent}",
            actor=actor,
            idempotency=("sim", key, fingerprint) if key else None,
            respond=respond if key else None,
        )
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            outcome: Outcome = await process.writer.handle(task)
        return outcome

    async def channel(self, command: Command, *, value: bytes | None = None) -> None:
        """Send a record to the channel's topic until the broker has acknowledged it. Two shops send, and both count
        from 0."""
        self._records += 1
        number, shop = divmod(self._records, 2)
        envelope = Envelope(id=str(number), type=command.tag(), source=f"/shop/{shop}")
        record = Outgoing(command.key.encode(), value or encode(command), envelope.headers())
        await self.record(str(command.route()), record)

    async def record(self, topic: str, record: Outgoing) -> None:
        """Publish one record at least once."""
        partition = (topic, partition_of(record.key.decode(), PARTITIONS))
        while True:
            try:
                await self._producer.publish(partition, [record])
            except BrokerLost:
                await asyncio.sleep(0.5)
            else:
                return
