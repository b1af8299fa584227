"""Fetches records that a topic has lost from the feed of the service that produced them."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import structlog

from shared.ledger.store import Partition
from shared.stream.healer import CannotHeal, Healer
from shared.stream.port import Record

log = structlog.get_logger()

#: How long a producer may be away before the worker ends, to begin again from what is durable.
PATIENCE_SECONDS = 20.0
RETRY_SECONDS = 1.0


async def lost(healer: Healer, place: Partition, after: int, upto: int) -> AsyncIterator[Record]:
    """Records of a partition with feed positions in (after, upto]. Raises `CannotHeal` when its producer stays away."""
    log.warning("gap", topic=place[0], partition=place[1], after=after, upto=upto)
    while after < upto:
        page = await _page(healer, place, after, upto)
        if not page:
            return  # the positions were never on this partition
        for record in page:
            yield record
        after = int(dict(page[-1].headers)["ce_sequence"])


async def _page(healer: Healer, place: Partition, after: int, upto: int) -> list[Record]:
    deadline = monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await healer.fetch(place, after, upto)
        except CannotHeal:
            if monotonic() > deadline:
                raise
            await asyncio.sleep(RETRY_SECONDS)
