"""Each service is composed once for all tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ops.stack import Stack
from tests.contract.http.composed import SERVICES, Composed, composed


@pytest_asyncio.fixture(scope="package", loop_scope="package", params=SERVICES)
async def service(
    request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Composed]:
    async with composed(stack, request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running
