"""The payment port's adapters, each with the real thing behind it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from shared.payments import Entry, HttpPayments, InProcessPayments
from shared.payments.fake import FakeProvider
from shared.payments.ledger import Ledger, MemoryStore, utc_now
from shared.payments.runners import Direct, GroupCommit
from shared.payments.server import create_app
from shared.payments.sqlite_store import SqliteStore
from shared.payments.stripe import StripePayments
from tests import stripemock
from tests.contract.payments.stripe_double import StripeDouble

API_KEY = "contract-tests-only-key"
PATIENCE_S = 2.0


@asynccontextmanager
async def serving(ledger: Path) -> AsyncIterator[str]:
    """Serve the provider on a free port; the integration tests run it as the process it is."""
    fake = FakeProvider(GroupCommit(SqliteStore(ledger)))
    draining = asyncio.Event()
    app = create_app(fake, key=API_KEY, draining=draining)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5))
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            draining.set()
            server.should_exit = True
            await task
            await fake.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[str]:
    """The address of a provider with an empty ledger."""
    async with serving(tmp_path / "ledger.db") as url:
        yield url


class StripeUnderTest(StripePayments):
    """The adapter, with the ledger of the double that it talks to."""

    def __init__(self, double: StripeDouble, url: str) -> None:
        super().__init__("sk_test_contract", url=url, timeout_s=PATIENCE_S, requests_max=64)
        self.double = double

    async def entries(self, after: int = 0, limit: int = 500) -> list[Entry]:
        """See `LedgerReader.entries`."""
        return await self.double.fake.entries(after, limit)


@pytest.fixture(scope="session")
def stripe_mock() -> Iterator[str]:
    """The address of a stripe-mock, empty where there is none."""
    if (binary := stripemock.find()) is None:
        yield ""
    else:
        with stripemock.running(binary) as url:
            yield url


@asynccontextmanager
async def stripe_like(mock: str) -> AsyncIterator[StripeUnderTest]:
    """The Stripe adapter on a double that remembers; what stripe-mock refuses fails the test."""
    double = StripeDouble(FakeProvider(Direct(Ledger(MemoryStore(), utc_now))), mock)
    server = uvicorn.Server(
        uvicorn.Config(double.app, log_config=None, lifespan="off", timeout_graceful_shutdown=5)
    )
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        provider = StripeUnderTest(double, f"http://127.0.0.1:{listener.getsockname()[1]}")
        try:
            yield provider
        finally:
            await double.close()
            await provider.close()
            server.should_exit = True
            await task
    assert double.invalid == []


@pytest.fixture
async def stripe(stripe_mock: str) -> AsyncIterator[StripeUnderTest]:
    """The Stripe adapter on a double that remembers."""
    async with stripe_like(stripe_mock) as provider:
        yield provider


@pytest.fixture(params=["memory", "file", "http", "stripe"])
async def provider(
    request: pytest.FixtureRequest, tmp_path: Path, stripe_mock: str
) -> AsyncIterator[InProcessPayments | HttpPayments | StripeUnderTest]:
    """A `PaymentProvider` and `LedgerReader` with an empty ledger; gives up after `PATIENCE_S`."""
    if request.param == "stripe":
        async with stripe_like(stripe_mock) as adapter:
            yield adapter
        return
    if request.param == "http":
        async with (
            serving(tmp_path / "ledger.db") as url,
            HttpPayments(url, API_KEY, timeout_s=PATIENCE_S) as client,
        ):
            yield client
        return
    payments = (
        InProcessPayments.in_memory(patience_s=PATIENCE_S)
        if request.param == "memory"
        else InProcessPayments.on_file(tmp_path / "ledger.db", patience_s=PATIENCE_S)
    )
    yield payments
    await payments.close()


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that is bound, so that nobody else takes it, and doesn't listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
