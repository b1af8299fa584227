"""The broker's port. Kafka (`shared.stream.kafka`) and the in-memory broker (`shared.stream.memory`) pass one suite."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from shared.ledger.store import Partition, Record

Headers = Sequence[tuple[str, bytes]]

__all__ = ["BrokerLost", "Consumer", "Headers", "Outgoing", "Partition", "Producer", "Record"]


class Outgoing(NamedTuple):
    """One record to be published."""

    key: bytes
    value: bytes
    headers: Headers


class BrokerLost(Exception):
    """The broker did not answer in time, or this client is beyond repair: what was in flight has an unknown outcome.
    Build a new client and go on from what is durable."""


class Producer(Protocol):
    """Publishes to partitions that the caller chooses."""

    async def publish(self, partition: Partition, records: list[Outgoing]) -> None:
        """Append all records in order, acknowledged by the broker, one batch in flight at a time. Raises `BrokerLost`:
        then a first part of them may have landed, in order."""
        ...


class Consumer(Protocol):
    """Reads the partitions that a group gives to this member."""

    async def poll(self, timeout_seconds: float) -> dict[Partition, list[Record]]:
        """The next records of each assigned partition; empty when there are none in time. Raises `BrokerLost`."""
        ...

    def assigned(self) -> frozenset[Partition]:
        """The partitions that are assigned now. Changes only inside `poll`."""
        ...

    def generation(self) -> int:
        """Grows whenever the group gave out partitions, the same ones too: positions are then the broker's, and must be
        sought. Changes only inside `poll`, which then returns nothing."""
        ...

    def pause(self, partition: Partition) -> None:
        """Return no records of a partition until `resume`; a new generation ends it."""
        ...

    def resume(self, partition: Partition) -> None:
        """Return records of a paused partition again."""
        ...

    def seek(self, partition: Partition, offset: int) -> None:
        """Read on from an offset. An offset that the broker does not have becomes the first that it has."""
        ...

    async def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offset after the last record of each partition."""
        ...

    async def positions(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The offset from which `poll` reads on, for each assigned partition. At the end there is nothing left to read,
        even where the last record that was read lies further back."""
        ...

    async def commit(self, offsets: dict[Partition, int]) -> None:
        """Tell the broker how far the group is, for lag tools; failures are of no consequence."""
        ...
