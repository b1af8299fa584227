"""What drives an event-sourced service, put together: writer, relay, effects, timers, consumer. It knows neither
Postgres, Kafka nor HTTP; the simulation runs the same engine on their twins in memory."""

import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec

from shared.ledger.effects import Effects, Performer
from shared.ledger.store import Store
from shared.ledger.table import Table
from shared.ledger.timers import Timers
from shared.ledger.writer import Writer, utc_now
from shared.stream.consumer import GATHER_SECONDS, ConsumerRuntime, StartedConsumer
from shared.stream.healer import Healer
from shared.stream.relay import Relay, StartedProducer

Performers = Mapping[type[msgspec.Struct], Performer]


class Engine:
    """One process's parts. Each has an endless ``run``; `parts` lists them in the order in which they should stop."""

    def __init__(
        self,
        table: Table,
        store: Store,
        healer: Healer,
        producer: Callable[[], Awaitable[StartedProducer]],
        consumer: Callable[[], Awaitable[StartedConsumer]],
        performers: Performers,
        *,
        partitions: int,
        gather_seconds: float = GATHER_SECONDS,
        clock: Callable[[], datetime] = utc_now,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.relay = Relay(store, f"/oms/{table.service}", producer)
        self.writer = Writer(
            table, store, partitions=partitions, clock=clock, on_commit=self.relay.offer
        )
        self.effects = Effects(store, self.writer, performers, clock=clock, chance=chance)
        self.writer.on_effects = self.effects.take
        self.timers = Timers(table, store, self.writer, clock=clock)
        self.consumer = ConsumerRuntime(
            table,
            store,
            self.writer,
            healer,
            consumer,
            self.writer.suspect,
            gather_seconds=gather_seconds,
        )

    @property
    def parts(self) -> dict[str, ConsumerRuntime | Timers | Effects | Writer | Relay]:
        """By name: what takes work in stops first, what writes and publishes it last."""
        return {
            "consumer": self.consumer,
            "timers": self.timers,
            "effects": self.effects,
            "writer": self.writer,
            "relay": self.relay,
        }
