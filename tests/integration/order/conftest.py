"""One world for this folder: its broker and its database are stopped and frozen, so it shares them with nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from ops import stack as local_stack
from tests.integration.order.world import TOPICS, Client, World, world_of

SERVICES = ("order", "inventory")


@pytest.fixture(scope="package")
def own_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_of(
        tmp_path_factory.mktemp("order"), SERVICES, {"order": {"OMS_PAYMENTS": "inprocess"}}
    ) as world:
        yield world


@pytest.fixture
async def world(own_world: World) -> World:
    """The order service answers requests, and knows the SKU A."""
    if not own_world.has_topics:
        await local_stack.create_topics(own_world.stack.kafka, TOPICS)
        own_world.has_topics = True
    if not own_world.running():
        await own_world.start()
    own_world.knows("A")
    return own_world


@pytest.fixture
async def client(world: World) -> AsyncIterator[Client]:
    async with world.client() as client:
        yield client
