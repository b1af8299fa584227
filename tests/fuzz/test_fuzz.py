"""A short slice of `make fuzz` on one running system: every service's API, both corpora, and the storm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fuzz.api import Tally, fuzz
from tests.fuzz.ground import Ground, ground
from tests.fuzz.hostile import over_http, over_topics
from tests.fuzz.poison import poison
from tests.fuzz.storm import storm

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

#: Of the corpora: a prime, so that every class and every field has its turn somewhere.
EVERY = 61


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    async with ground(tmp_path_factory.mktemp("fuzz")) as made:
        yield made


async def test_hostile_requests_are_refused_by_name(running: Ground) -> None:
    verdict = await over_http(running, EVERY)
    assert verdict.wrong == []
    assert verdict.inputs > 300
    assert verdict.refused > verdict.accepted > 0


async def test_hostile_records_are_parked_and_harm_no_other_key(running: Ground) -> None:
    verdict = await over_topics(running, EVERY)
    assert verdict.wrong == []
    assert verdict.inputs > 300
    assert verdict.parked > 200


async def test_poison_among_orders_delays_none(running: Ground) -> None:
    found = await poison(running, orders=300)
    assert found.wrong == []


async def test_no_api_breaks_its_document(running: Ground) -> None:
    tally = Tally()
    for service in ("order", "inventory", "fulfillment"):
        await asyncio.to_thread(fuzz, running, tally, service, 1, coverage=False)
    assert list(tally.faults.values()) == []
    assert tally.examples > tally.operations > 50


async def test_equal_requests_are_one_order_also_across_a_kill(running: Ground) -> None:
    blown = await storm(running, keys=5)
    assert blown.wrong == []
    assert blown.orders == blown.keys


async def test_the_system_still_sells_and_reconciles(running: Ground) -> None:
    """Last: after everything that was done to it."""
    assert await running.still_sells() == []
    report = await running.reconciled()
    assert report.violations == ()
    assert report.orders > 0
