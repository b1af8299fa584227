"""Every record names the feed position before it: what a topic has lost is fetched from its producer's feed."""

import asyncio
from collections.abc import Iterable

import structlog

from services.insights.domain.batch import Read
from services.insights.records import Unreadable, read
from shared.ledger.store import Partition
from shared.stream.healer import CannotHeal, Healer

log = structlog.get_logger()

#: How often a feed is asked before the figures go on without what is missing, and how long in between. Nobody may take
#: the partition over meanwhile, so it is not long.
ATTEMPTS = 4
RETRY_SECONDS = 1.0


class Chain:
    """Puts back what is missing. ``healed`` counts the records that were."""

    def __init__(self, healer: Healer) -> None:
        self._healer = healer
        self.healed = 0

    async def whole(self, place: Partition, sequence: int, reads: Iterable[Read]) -> list[Read]:
        """The reads of a partition that is added up to ``sequence``, with those that are missing between them.

        What comes before the first record of a partition is not missed: its topic may keep no more. Where the feed
        does not answer, or has not got them, the gap stays; `domain.batch.Batch` counts it.
        """
        out: list[Read] = []
        for each in reads:
            if 0 < sequence < each.previous:
                out += await self._between(place, sequence, each)
            sequence = max(sequence, each.sequence)
            out.append(each)
        return out

    async def end(self, place: Partition, after: int, upto: int, offset: int) -> list[Read]:
        """The reads of all positions in (after, upto], which nothing on the topic follows; they stand at ``offset``. Where
        the feed does not answer, or has not got them, there are none: the next look asks again."""
        try:
            found = await self._fetch(place, after, upto, offset)
        except CannotHeal as error:
            log.error("end_not_healed", partition=place, after=after, upto=upto, error=str(error))
            return []
        self.healed += len(found)
        log.warning("end_healed", partition=place, after=after, records=len(found))
        return found

    async def _between(self, place: Partition, after: int, following: Read) -> list[Read]:
        upto, offset = following.previous, following.offset - 1
        log.error("gap_found", partition=place, after=after, upto=upto)
        found: list[Read] = []
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(RETRY_SECONDS)
            try:
                at = found[-1].sequence if found else after
                found += await self._fetch(place, at, upto, offset)
            except CannotHeal as error:
                reason = str(error)
                continue
            self.healed += len(found)
            log.warning("gap_healed", partition=place, records=len(found))
            return found
        log.error(
            "gap_not_healed", partition=place, after=after, upto=upto, error=reason,
            next="when the producer answers: oms insights rebuild",
        )  # fmt: skip
        return []

    async def _fetch(self, place: Partition, after: int, upto: int, offset: int) -> list[Read]:
        """All positions in (after, upto]; they stand at ``offset``, before the record that follows them."""
        out: list[Read] = []
        while after < upto:
            page = await self._healer.fetch(place, after, upto)
            if not page:
                raise CannotHeal(f"the feed has nothing in ({after}, {upto}]")
            for record in page:
                try:
                    found = read(offset, record.headers, record.value)
                except Unreadable as error:
                    raise CannotHeal(f"the feed's record after {after}: {error}") from error
                if found.previous != after:
                    raise CannotHeal(f"the feed has no successor of {after}")
                after = found.sequence
                out.append(found)
        return out
