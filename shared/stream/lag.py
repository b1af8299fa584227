"""How far consumer groups are behind, as the broker sees them: in records, and in seconds at their present pace.

Groups commit their offsets once a second only (the checkpoints are in the databases), so a lag is seen too large by what
was read since, and never too small.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.stream.login import OPEN, Login
from shared.stream.port import BrokerLost

ANSWER_SECONDS_MAX = 10
#: The time over which a group's pace is measured.
PACE_SECONDS = 6.0


class Lag(NamedTuple):
    """Records that are still to be read, and how long that takes at the pace of the last seconds; for a group that stands
    still, how long it has."""

    records: int
    seconds: float


class Pace:
    """The pace of one group: how far it was at the last looks."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque()

    def lag(self, now: float, read: int, records: int) -> Lag:
        """After a look at ``now`` (seconds): so many records ``read`` in all, so many still to be read."""
        looks = self._looks
        if not records or (looks and read < looks[-1][1]):
            looks.clear()  # its pace shows once it has something to do; a topic that was made anew counts from 0
        elif len(looks) > 1 and looks[-2][1] == looks[-1][1] == read:
            looks.pop()  # of a time in which it stands still, both ends are enough
        looks.append((now, read))
        while len(looks) > 2 and now - looks[1][0] >= PACE_SECONDS and looks[1][1] < read:
            looks.popleft()
        before, read_then = looks[0]
        done = read - read_then
        return Lag(records, (now - before) * (records / done if done else 1.0))


class GroupLag:
    """Asks about some groups; the connections stay open between two looks."""

    def __init__(self, bootstrap: str, groups: Iterable[str], login: Login = OPEN) -> None:
        self._groups = {group: Pace() for group in groups}
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
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    await client()
            except (KafkaError, OSError, TimeoutError):
                continue  # it is given up anyway

    async def read(self) -> dict[str, Lag]:
        """The lag of each group, over all partitions for which it has committed. Raises `BrokerLost`."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                read = {g: await self._admin.list_consumer_group_offsets(g) for g in self._groups}
                partitions = {p for offsets in read.values() for p in offsets}
                ends = await self._ends.end_offsets(list(partitions)) if partitions else {}
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerLost(repr(error)) from error
        now = asyncio.get_running_loop().time()
        return {
            group: pace.lag(
                now,
                sum(o.offset for o in read[group].values()),
                sum(_behind(p, o.offset, ends) for p, o in read[group].items()),
            )
            for group, pace in self._groups.items()
        }


def _behind(partition: TopicPartition, offset: int, ends: dict[TopicPartition, int]) -> int:
    return max(0, ends.get(partition, 0) - offset) if offset >= 0 else 0
