"""The payment port's adapters, each with the real thing behind it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from shared.payments import HttpPayments, InProcessPayments
from shared.payments.fake import FakeProvider
from shared.payments.runners import GroupCommit
from shared.payments.server import create_app
from shared.payments.sqlite_store import SqliteStore

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


@pytest.fixture(params=["memory", "file", "http"])
async def provider(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[InProcessPayments | HttpPayments]:
    """A `PaymentProvider` and `LedgerReader` with an empty ledger; gives up after `PATIENCE_S`."""
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
