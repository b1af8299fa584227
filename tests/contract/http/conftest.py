"""Each service is composed once for all tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from ops.stack import Stack
from tests.contract.http.composed import SERVICES, Composed, composed
from tests.issuer import Issuer, serving


@pytest.fixture(scope="package")
def issuer() -> Iterator[Issuer]:
    with serving() as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package", params=SERVICES)
async def service(
    request: pytest.FixtureRequest,
    stack: Stack,
    tmp_path_factory: pytest.TempPathFactory,
    issuer: Issuer,
) -> AsyncIterator[Composed]:
    folder = tmp_path_factory.mktemp(request.param)
    async with composed(stack, request.param, folder, issuer) as running:
        yield running
