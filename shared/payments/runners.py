"""How concurrent callers share one ledger.

At once in memory, or in batches with one commit each.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from shared.payments.ledger import Clock, Ledger, MemoryStore, utc_now
from shared.payments.port import PaymentError, ProviderUnavailable
from shared.payments.sqlite_store import SqliteStore

T = TypeVar("T")
Job = Callable[[Ledger], Any]

BATCH_MAX = 512
QUEUE_MAX = 20_000


class Runner(Protocol):
    """Runs jobs on a ledger one at a time.

    A result is returned only once it is as durable as it gets.
    """

    async def run(self, job: Callable[[Ledger], T]) -> T:
        """Return what `job` returns, or raise what it raises."""

    async def close(self) -> None:
        """Finish what is under way and let go of the ledger."""


class Direct:
    """Runs each job at once, on a ledger in memory.

    Never yields, so virtual time and order stay exact.
    """

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.ledger = Ledger(MemoryStore()) if ledger is None else ledger

    async def run(self, job: Callable[[Ledger], T]) -> T:
        """See `Runner.run`."""
        return job(self.ledger)

    async def close(self) -> None:
        """See `Runner.close`; there is nothing to let go of."""


class GroupCommit:
    """Runs jobs on a SQLite ledger: those that arrive during a commit share the next one.

    SQLite works in one thread of its own, so the event loop never waits for the disk.
    """

    def __init__(self, store: SqliteStore, clock: Clock = utc_now) -> None:
        self._store = store
        self._ledger = Ledger(store, clock)
        self._pending: list[tuple[Job, asyncio.Future[Any]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="payments-ledger")
        self._closed = False

    async def run(self, job: Callable[[Ledger], T]) -> T:
        """See `Runner.run`. Raises `ProviderUnavailable` when closed, overloaded or out of disk."""
        if self._closed:
            raise ProviderUnavailable(
                "the payments ledger is closed; send the request to a live server"
            )
        if len(self._pending) >= QUEUE_MAX:
            raise ProviderUnavailable(f"{QUEUE_MAX} requests wait for the ledger; retry later")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._pending.append((job, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="payments-ledger")
        return await future

    async def close(self) -> None:
        """See `Runner.close`."""
        self._closed = True
        if self._worker is not None:
            await self._worker
        self._thread.shutdown()
        self._store.close()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending:
            batch = self._pending[:BATCH_MAX]
            del self._pending[:BATCH_MAX]
            jobs = [job for job, _ in batch]
            try:
                results = await loop.run_in_executor(self._thread, self._commit, jobs)
            except Exception as error:  # noqa: BLE001  even now nobody may wait for ever
                results = [(None, _lost(error)) for _ in jobs]
            for (_, future), (value, failure) in zip(batch, results, strict=True):
                if (
                    future.done()
                ):  # the caller gave up: to it the outcome is unknown, as with any timeout
                    continue
                if failure is None:
                    future.set_result(value)
                else:
                    future.set_exception(failure)
        self._worker = None

    def _commit(self, jobs: list[Job]) -> list[tuple[Any, Exception | None]]:
        """Run the jobs in one transaction; if it can't be committed, every job of it failed."""
        results: list[tuple[Any, Exception | None]] = []
        try:
            self._store.begin()
            for job in jobs:
                try:
                    results.append((job(self._ledger), None))
                except (
                    PaymentError
                ) as error:  # raised before anything was written: the rest may go on
                    results.append((None, error))
            self._store.commit()
        except Exception as error:  # noqa: BLE001  whatever it is, every caller is told
            self._store.rollback()
            return [(None, _lost(error)) for _ in jobs]
        return results


def _lost(cause: Exception) -> ProviderUnavailable:
    error = ProviderUnavailable(
        f"the payments ledger couldn't be written ({type(cause).__name__}: {cause}); free the disk "
        "or look for another writer, then retry with the same key"
    )
    error.__cause__ = cause
    return error
