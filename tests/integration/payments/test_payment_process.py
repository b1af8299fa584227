"""The provider's process is killed, drains and misbehaves: no money is made or lost."""

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from shared.payments import (
    Authorised,
    Captured,
    Entry,
    FaultSettings,
    HttpPayments,
    Money,
    Outcome,
    ProviderUnavailable,
)
from shared.payments.testing import ProviderProcess

API_KEY = "integration-tests-only-key"
TEN = Money(amount=1000, currency="GBP")


async def ledger_of(client: HttpPayments) -> list[Entry]:
    entries: list[Entry] = []
    while page := await client.entries(after=entries[-1].id if entries else 0):
        entries += page
    return entries


async def entries_appear(client: HttpPayments, count: int) -> None:
    async with asyncio.timeout(20):
        while len(await client.entries()) < count:
            await asyncio.sleep(0.01)


async def test_killed_after_charging_before_answering(tmp_path: Path) -> None:
    process = ProviderProcess(tmp_path / "ledger.db", API_KEY)
    await process.start()
    async with HttpPayments(process.url, API_KEY, timeout_s=20) as client:
        charge = asyncio.create_task(
            client.authorise("order/1/authorise", "pay-1", TEN, "tok_timeout_after_charge")
        )
        await entries_appear(client, 1)
        assert not charge.done()
        assert await process.end(signal.SIGKILL) == -signal.SIGKILL
        with pytest.raises(ProviderUnavailable, match="outcome is unknown"):
            await charge
    async with process, HttpPayments(process.url, API_KEY, timeout_s=20) as client:
        found = await client.lookup("order/1/authorise")
        again = await client.authorise(
            "order/1/authorise", "pay-1", TEN, "tok_timeout_after_charge"
        )
        assert isinstance(again, Authorised)
        assert again == found
        assert len(await ledger_of(client)) == 1


async def test_killed_under_load_every_answer_stands_and_every_retry_completes(
    tmp_path: Path,
) -> None:
    process = ProviderProcess(tmp_path / "ledger.db", API_KEY)
    answered: dict[str, Outcome] = {}

    async def pay(client: HttpPayments, number: int) -> None:
        key = f"order/{number}"
        authorised = await client.authorise(f"{key}/a", f"pay-{number}", TEN, "tok_ok")
        answered[f"{key}/a"] = authorised
        assert isinstance(authorised, Authorised)
        answered[f"{key}/c"] = await client.capture(f"{key}/c", authorised.provider_ref, TEN)

    await process.start()
    async with HttpPayments(process.url, API_KEY, timeout_s=20, connections_max=16) as client:
        load = [asyncio.create_task(pay(client, number)) for number in range(200)]
        await entries_appear(client, 50)
        await process.end(signal.SIGKILL)
        ends = await asyncio.gather(*load, return_exceptions=True)
    unanswered = [end for end in ends if isinstance(end, ProviderUnavailable)]
    assert unanswered, "the kill came too late to hit anything"
    assert all(end is None or isinstance(end, ProviderUnavailable) for end in ends)

    async with process, HttpPayments(process.url, API_KEY, timeout_s=20) as client:
        recorded = {entry.key for entry in await ledger_of(client)}
        assert recorded >= answered.keys()
        for key, outcome in list(answered.items()):
            assert await client.lookup(key) == outcome
        await asyncio.gather(*(pay(client, number) for number in range(200)))
        entries = await ledger_of(client)
    assert Counter(entry.kind for entry in entries) == {"authorised": 200, "captured": 200}
    assert [entry.id for entry in entries] == list(range(1, 401))


async def test_sigterm_lets_go_of_hung_requests_and_ends_with_status_0(tmp_path: Path) -> None:
    process = ProviderProcess(tmp_path / "ledger.db", API_KEY)
    await process.start()
    async with HttpPayments(process.url, API_KEY, timeout_s=20) as client:
        hung = asyncio.create_task(client.authorise("a", "pay-1", TEN, "tok_timeout_after_charge"))
        slow = asyncio.create_task(client.authorise("b", "pay-2", TEN, "tok_slow:1000"))
        await entries_appear(client, 2)
        async with asyncio.timeout(8):
            assert await process.end(signal.SIGTERM) == 0
        with pytest.raises(ProviderUnavailable, match="504"):
            await hung
        assert isinstance(await slow, Authorised)


async def retried(call: Callable[[], Awaitable[Outcome]]) -> Outcome:
    for _ in range(60):
        try:
            return await call()
        except ProviderUnavailable:
            continue
    raise AssertionError("60 attempts failed at a fault rate of one half")


async def test_under_chaos_retries_charge_once(tmp_path: Path) -> None:
    process = ProviderProcess(tmp_path / "ledger.db", API_KEY, OMS_PAYMENTS_HANG_S="0.05")
    async with process, HttpPayments(process.url, API_KEY, timeout_s=10) as client:
        await client.set_faults(
            FaultSettings(
                seed=11,
                error_rate=0.2,
                lost_before_rate=0.1,
                lost_after_rate=0.2,
                latency_ms_max=10,
            )
        )

        async def pay(number: int) -> None:
            authorised = await retried(
                lambda: client.authorise(f"{number}/a", f"pay-{number}", TEN, "tok_ok")
            )
            assert isinstance(authorised, Authorised)
            ref = authorised.provider_ref
            captured = await retried(lambda: client.capture(f"{number}/c", ref, TEN))
            assert isinstance(captured, Captured)

        await asyncio.gather(*(pay(number) for number in range(60)))
        entries = await ledger_of(client)
    assert Counter(entry.kind for entry in entries) == {"authorised": 60, "captured": 60}
    assert sum(entry.amount for entry in entries if entry.kind == "captured") == 60_000


async def run_to_its_end(**environment: str) -> tuple[int | None, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMS_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shared.payments",
        env={**kept, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        _, stderr = await process.communicate()
    return process.returncode, stderr.decode()


async def test_without_a_key_or_a_ledger_it_does_not_start() -> None:
    status, message = await run_to_its_end()
    assert status == 2
    assert "OMS_PAYMENTS_KEY" in message
    assert "OMS_PAYMENTS_LEDGER" in message
    assert "Traceback" not in message


async def test_a_port_in_use_is_a_clear_message(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, message = await run_to_its_end(
            OMS_PAYMENTS_KEY=API_KEY, OMS_PAYMENTS_LEDGER=str(tmp_path / "l.db"), OMS_PORT=str(port)
        )
    assert status == 1
    assert f"127.0.0.1:{port}" in message
    assert "OMS_PORT" in message
    assert "Traceback" not in message


async def test_a_ledger_that_cannot_be_opened_is_a_clear_message(tmp_path: Path) -> None:
    status, message = await run_to_its_end(
        OMS_PAYMENTS_KEY=API_KEY, OMS_PAYMENTS_LEDGER=str(tmp_path), OMS_PORT="0"
    )
    assert status == 1
    assert "can't open the payments ledger" in message
    assert "Traceback" not in message
