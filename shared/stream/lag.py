"""How far consumer groups are behind, as the broker sees them.

Groups commit their offsets every few batches only (the checkpoints are in the databases), so a lag is seen some
thousand records too large under load, and never too small.
"""

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.stream.login import OPEN, Login
from shared.stream.port import BrokerLost

ANSWER_SECONDS_MAX = 10


class GroupLag:
    """Asks about some groups; the connections stay open between two looks."""

    def __init__(self, bootstrap: str, groups: Iterable[str], login: Login = OPEN) -> None:
        self._groups = tuple(groups)
        # Of no group itself: it only asks for the ends of partitions.
        self._ends = AIOKafkaConsumer(bootstrap_servers=bootstrap, **login.options())
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **login.options())

    async def start(self) -> None:
        """Connect. Raises `BrokerLost`."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                await self._ends.start()
                await self._admin.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await self.stop()
            raise BrokerLost(f"cannot connect: {error!r}") from error

    async def stop(self) -> None:
        """Disconnect."""
        for client in (self._ends.stop, self._admin.close):
            try:
                await asyncio.wait_for(client(), ANSWER_SECONDS_MAX)
            except (KafkaError, OSError, TimeoutError):
                continue  # it is given up anyway

    async def read(self) -> dict[str, int]:
        """Records that each group has still to read, over all partitions for which it has committed. Raises `BrokerLost`."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                read = {g: await self._admin.list_consumer_group_offsets(g) for g in self._groups}
                partitions = {p for offsets in read.values() for p in offsets}
                ends = await self._ends.end_offsets(list(partitions)) if partitions else {}
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerLost(repr(error)) from error
        return {g: sum(_behind(p, o.offset, ends) for p, o in read[g].items()) for g in read}


def _behind(partition: TopicPartition, offset: int, ends: dict[TopicPartition, int]) -> int:
    return max(0, ends.get(partition, 0) - offset) if offset >= 0 else 0
