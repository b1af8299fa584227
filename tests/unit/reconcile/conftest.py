"""One world with every story in it, played once; each test gets its own copy of what it left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import deepcopy

import pytest

from tests.evidence import Evidence, gather
from tests.unit.reconcile.stories import play
from tests.unit.reconcile.world import running

Told = tuple[Evidence, dict[str, str]]


@pytest.fixture(scope="session")
def _played() -> Told:
    async def tell() -> Told:
        async with running() as world:
            ids = await play(world)
            return await gather(world), ids

    return asyncio.run(tell())


@pytest.fixture
def evidence(_played: Told) -> Evidence:
    return deepcopy(_played[0])


@pytest.fixture
def ids(_played: Told) -> dict[str, str]:
    return _played[1]


Tamper = Callable[[Evidence, dict[str, str]], None]
