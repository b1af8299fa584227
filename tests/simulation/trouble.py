"""Faults that happen at some time, whatever the code is doing then; the others are in `process` and `outside`."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from shared.events import catalogue
from tests.simulation.process import SESSION_SECONDS, Process, SimConsumer

if TYPE_CHECKING:
    from tests.simulation.world import World

#: How long things go wrong, in virtual seconds, and the mean time between two looks of each kind.
SECONDS = 40.0
MEAN_SECONDS = 4.0
CHANCE = 0.33


class Trouble:
    """Makes trouble until it is told to end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._strikes = {
            "store_outage": self._store_outage,
            "partitioned": self._partitioned,
            "rebalance": self._rebalance,
            "duplicate": self._duplicate,
            "offsets_reset": self._offsets_reset,
            "record_lost": self._record_lost,
            "topic_wiped": self._topic_wiped,
            "crash": self._crash,
            "paused": self._paused,
            "twin": self._twin,
            "clock_jump": self._clock_jump,
        }

    async def make(self) -> None:
        """Until the time is over."""
        makers = [asyncio.ensure_future(self._make(kind)) for kind in self._strikes]
        await asyncio.sleep(SECONDS)
        for maker in makers:
            maker.cancel()

    def end(self) -> None:
        """From now on all is well."""
        world = self._world
        world.chaos.active = False
        world.note("all is well from now on")
        for service in world.everything():
            service.away_until = 0.0
            for process in list(service.processes):
                process.cut_until = 0.0
                process.skew = timedelta()
                if process.paused:
                    process.resume()

    async def _make(self, kind: str) -> None:
        random = self._world.chaos.random.get(kind)
        if random is None:
            return
        while True:
            await asyncio.sleep(random.expovariate(1 / MEAN_SECONDS))
            if self._world.chaos.strikes(kind, CHANCE):
                self._strikes[kind](random)

    def _process(self, random: Random) -> Process | None:
        processes = [p for service in self._world.everything() for p in service.processes]
        return random.choice(processes) if processes else None

    def _store_outage(self, random: Random) -> None:
        service = random.choice(self._world.everything())
        service.away_until = self._world.loop.now + random.uniform(0.5, 6.0)

    def _partitioned(self, random: Random) -> None:
        if process := self._process(random):
            process.cut_until = self._world.loop.now + random.uniform(0.5, 6.0)

    def _rebalance(self, random: Random) -> None:
        if consumer := self._consumer(random):
            consumer.leave()
            consumer.join()

    def _consumer(self, random: Random) -> SimConsumer | None:
        process = self._process(random)
        return random.choice(process.consumers) if process and process.consumers else None

    def _duplicate(self, random: Random) -> None:
        broker = self._world.broker
        partition = random.choice(sorted(broker.logs))
        offsets = list(broker.logs[partition].records)[-20:]
        if offsets:
            broker.repeat(partition, random.choice(offsets))

    def _offsets_reset(self, random: Random) -> None:
        if consumer := self._consumer(random):
            consumer.read_again()

    def _record_lost(self, random: Random) -> None:
        broker = self._world.broker
        partition = random.choice([p for p in sorted(broker.logs) if not _outside(p[0])])
        offsets = list(broker.logs[partition].records)[-random.choice((1, 5)) :]
        if offsets:
            broker.remove(partition, random.choice(offsets))

    def _topic_wiped(self, random: Random) -> None:
        broker = self._world.broker
        topics = sorted({topic for topic, _ in broker.logs if not _outside(topic)})
        broker.wipe(random.choice(topics))

    def _crash(self, random: Random) -> None:
        if process := self._process(random):
            process.kill()

    def _paused(self, random: Random) -> None:
        process = self._process(random)
        if process is None or process.paused:
            return
        loop = self._world.loop
        process.pause()
        seconds = random.choice((random.uniform(0.2, 3 * SESSION_SECONDS), random.uniform(15, 25)))

        def missed() -> None:
            if process.paused and not process.dead:
                for consumer in process.consumers:
                    consumer.leave()
                process.service.start()

        def back() -> None:
            if process.paused and not process.dead:
                process.resume()

        if seconds > SESSION_SECONDS:
            loop.call_later(SESSION_SECONDS, missed)
        loop.call_later(seconds, back)

    def _twin(self, random: Random) -> None:
        service = random.choice(self._world.everything())
        service.start()

        def one_less() -> None:
            if len(service.processes) > 1:
                random.choice(service.processes).kill()

        self._world.loop.call_later(random.uniform(1.0, 8.0), one_less)

    def _clock_jump(self, random: Random) -> None:
        if process := self._process(random):
            process.skew = timedelta(seconds=random.uniform(-20.0, 20.0))


def _outside(topic: str) -> bool:
    """Whether only its producer outside could send its records again."""
    return catalogue.sequenced_by(topic) is None
