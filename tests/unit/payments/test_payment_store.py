"""The ledger's file and the group commit around it."""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from shared.payments.ledger import Applied, Ledger
from shared.payments.port import Authorised, IdempotencyMismatch, ProviderUnavailable
from shared.payments.rules import Authorise, Capture
from shared.payments.runners import GroupCommit
from shared.payments.sqlite_store import LedgerFileError, SqliteStore


def authorise(key: str, amount: int = 100) -> Authorise:
    return Authorise(key, "pay-1", amount, "GBP", "tok_ok")


async def test_requests_that_arrive_together_share_a_commit(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "ledger.db")
    commits = 0
    commit = store.commit

    def counted() -> None:
        nonlocal commits
        commits += 1
        commit()

    store.commit = counted  # type: ignore[method-assign]
    runner = GroupCommit(store)
    requests = [authorise(f"k{number}") for number in range(200)]
    await asyncio.gather(*(runner.run(partial(Ledger.apply, request=r)) for r in requests))
    assert commits <= 2
    await runner.close()
    reopened = SqliteStore(tmp_path / "ledger.db")
    assert [entry.key for entry in reopened.entries(0, 1000)] == [f"k{n}" for n in range(200)]
    reopened.close()


async def test_one_wrong_request_does_not_spoil_its_batch(tmp_path: Path) -> None:
    runner = GroupCommit(SqliteStore(tmp_path / "ledger.db"))
    requests = [authorise("a"), authorise("a", 7), authorise("b")]
    first, wrong, last = await asyncio.gather(
        *(runner.run(partial(Ledger.apply, request=r)) for r in requests), return_exceptions=True
    )
    assert isinstance(wrong, IdempotencyMismatch)
    for good in (first, last):
        assert isinstance(good, Applied)
        assert isinstance(good.outcome, Authorised)
    assert len(await runner.run(lambda ledger: ledger.entries())) == 2
    await runner.close()


async def test_a_batch_that_cannot_be_committed_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    runner = GroupCommit(SqliteStore(tmp_path / "ledger.db"))

    def broken(ledger: Ledger) -> None:
        ledger.apply(authorise("half"))
        raise sqlite3.OperationalError("database or disk is full")

    results = await asyncio.gather(
        runner.run(lambda ledger: ledger.apply(authorise("before"))),
        runner.run(broken),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [ProviderUnavailable] * 2
    assert await runner.run(lambda ledger: ledger.entries()) == []
    assert not (await runner.run(lambda ledger: ledger.apply(authorise("before")))).replayed
    await runner.close()


async def test_a_caller_that_gives_up_does_not_stop_the_others(tmp_path: Path) -> None:
    runner = GroupCommit(SqliteStore(tmp_path / "ledger.db"))
    leaver = asyncio.create_task(runner.run(lambda ledger: ledger.apply(authorise("left"))))
    stayer = asyncio.create_task(runner.run(lambda ledger: ledger.apply(authorise("stayed"))))
    await asyncio.sleep(0)  # both are queued now
    leaver.cancel()
    assert not (await stayer).replayed
    assert (await runner.run(lambda ledger: ledger.apply(authorise("left")))).replayed
    await runner.close()


async def test_a_closed_ledger_is_unavailable(tmp_path: Path) -> None:
    runner = GroupCommit(SqliteStore(tmp_path / "ledger.db"))
    await runner.close()
    with pytest.raises(ProviderUnavailable, match="closed"):
        await runner.run(lambda ledger: ledger.lookup("k"))


async def test_two_processes_may_share_a_file(tmp_path: Path) -> None:
    """Nothing is cached: what one connection recorded, the other answers, and ids stay dense."""
    runners = [GroupCommit(SqliteStore(tmp_path / "ledger.db")) for _ in range(2)]
    applied = await asyncio.gather(
        *(
            runner.run(partial(Ledger.apply, request=authorise(f"k{n}")))
            for n in range(50)
            for runner in runners
        )
    )
    assert sum(each.replayed for each in applied) == 50
    entries = await runners[0].run(lambda ledger: ledger.entries())
    assert [entry.id for entry in entries] == list(range(1, 51))
    for runner in runners:
        await runner.close()


def test_entries_cannot_be_changed_or_deleted(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "ledger.db")
    store.begin()
    Ledger(store).apply(authorise("a"))
    store.commit()
    store.close()
    with sqlite3.connect(tmp_path / "ledger.db") as other:
        with pytest.raises(sqlite3.IntegrityError, match="never changed"):
            other.execute("UPDATE entries SET amount = 1")
        with pytest.raises(sqlite3.IntegrityError, match="never deleted"):
            other.execute("DELETE FROM entries")
    other.close()


def test_the_table_refuses_what_breaks_the_invariant(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "ledger.db")
    store.begin()
    ledger = Ledger(store)
    outcome = ledger.apply(authorise("a")).outcome
    assert isinstance(outcome, Authorised)
    ledger.apply(Capture("c", outcome.provider_ref, 100, "GBP"))
    store.commit()
    store.close()
    with sqlite3.connect(tmp_path / "ledger.db") as other:
        for column in ("captured", "refunded", "released"):
            with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
                other.execute(f"UPDATE accounts SET {column} = 101")
    other.close()


def test_appending_needs_a_transaction(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "ledger.db")
    with pytest.raises(AssertionError, match="begin"):
        Ledger(store).apply(authorise("a"))
    store.close()


def test_a_file_of_another_schema_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE precious (id INTEGER)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(LedgerFileError, match=r"schema version 0.*OMS_PAYMENTS_LEDGER"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_first_openers_that_race_make_one_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with ThreadPoolExecutor(8) as threads:
        stores = list(threads.map(lambda _: SqliteStore(path), range(8)))
    assert [store.entries(0, 1) for store in stores] == [[]] * 8
    for store in stores:
        store.close()


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and long enough that SQLite reads a header out of it" * 20)
    with pytest.raises(LedgerFileError, match="can't open the payments ledger"):
        SqliteStore(path)
