"""The sink as a process of its own: killed, restarted, stopped, looked at."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from ops.stack.ports import free_ports
from services.notifications.domain.messages import MailTaken
from services.notifications.mailer import Mailer
from services.notifications.signing import Secrets, signed
from services.notifications.smtp import SmtpPool
from shared.ledger.effects import TryAgain
from shared.service import Role
from shared.service.security import KeyEntry, generate_key, hash_key, write_keys_file
from tests.integration.notifications.conftest import SENDER, until
from tests.unit.notifications.happenings import mail

SECRET = Secrets("the sink's tests only, thirty-two characters").of("demo")
ROOT = Path(__file__).parents[3]


class SinkProcess:
    """``python -m ops.sink`` on two free ports."""

    def __init__(self, file: Path, **environment: str) -> None:
        self.smtp_port, self.http_port = free_ports(2)
        self.log = file.with_suffix(".log")
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.environment = {
            "OMS_SMTP_PORT": str(self.smtp_port),
            "OMS_PORT": str(self.http_port),
            "OMS_SINK_FILE": str(file),
            "OMS_HOOK_SECRET": SECRET,
            **environment,
        }
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        self.process = await launch(self.environment, self.log)

        async def ready() -> bool:
            assert self.process.returncode is None, self.log.read_text()
            async with httpx.AsyncClient() as client:
                try:
                    return (await client.get(f"{self.url}/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

        await until(ready)

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 10)


async def launch(environment: Mapping[str, str], log: Path) -> asyncio.subprocess.Process:
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ops.sink",
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
        )


@asynccontextmanager
async def running(file: Path, **environment: str) -> AsyncIterator[SinkProcess]:
    sink = SinkProcess(file, **environment)
    await sink.start()
    try:
        yield sink
    finally:
        if sink.process.returncode is None:
            await sink.end(signal.SIGKILL)


async def test_killed_under_load_it_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    file = tmp_path / "mail.jsonl"
    requests = [mail(notification_id=f"n-{i}") for i in range(300)]
    acknowledged: list[str] = []
    async with running(file) as sink:

        async def send_all(*, killing: bool) -> None:
            async with SmtpPool("127.0.0.1", sink.smtp_port, connections=4) as pool:
                mailer = Mailer(pool, SENDER)

                async def send(number: int) -> None:
                    try:
                        answer = await mailer.perform(requests[number], "")
                    except TryAgain:
                        return
                    assert isinstance(answer, MailTaken)
                    acknowledged.append(answer.message_id.strip("<>"))
                    if killing and len(acknowledged) == 100:
                        sink.process.kill()

                await asyncio.gather(*(send(i) for i in range(len(requests))))

        await send_all(killing=True)
        await sink.process.wait()
        assert 100 <= len(acknowledged) < len(requests)
        await sink.start()
        async with httpx.AsyncClient(base_url=sink.url) as client:
            kept = (await client.get("/messages", params={"limit": 1000})).json()
            assert {i["id"] for i in kept["items"]} >= set(acknowledged)
            await send_all(killing=False)
            now = (await client.get("/messages", params={"limit": 1000})).json()
        assert now["total"] == len(requests)
        assert now["duplicates"] == kept["total"]
        assert all(i["received"] <= 2 for i in now["items"])
        assert await sink.end(signal.SIGTERM) == 0


async def test_what_came_can_be_looked_at(tmp_path: Path) -> None:
    async with running(tmp_path / "mail.jsonl") as sink:
        evil = "<script>alert(1)</script>"
        async with SmtpPool("127.0.0.1", sink.smtp_port) as pool:
            await Mailer(pool, SENDER).perform(mail(external_id=evil, name=evil), "")
        async with httpx.AsyncClient(base_url=sink.url) as client:
            [item] = (await client.get("/messages")).json()["items"]
            assert item["subject"] == f"Order {evil} is confirmed"
            raw = await client.get("/messages/n-1@oms.local")
            assert raw.headers["content-type"].startswith("message/rfc822")
            assert raw.text.startswith("From: Orders <orders@oms.local>\r\n")
            assert (await client.get("/messages/unknown")).status_code == 404
            page = await client.get("/")
            assert evil not in page.text
            assert "&lt;script&gt;" in page.text
            assert "script-src" not in page.headers["content-security-policy"]
            preview = await client.get("/preview/n-1@oms.local")
            assert preview.headers["content-security-policy"].startswith("sandbox;")
            assert evil not in preview.text


async def test_webhooks_are_taken_by_their_signature_only(tmp_path: Path) -> None:
    body = json.dumps({"order_id": "1"}).encode()
    headers = {**signed("msg_1", body, SECRET), "ce-id": "order-1/3", "ce-type": "t"}
    other = signed("msg_2", body, Secrets("another key, of thirty-two characters").of("demo"))
    wrong = [other, {}, {**headers, "webhook-signature": "v1"}, {**headers, "webhook-id": "x"}]
    async with (
        running(tmp_path / "m.jsonl") as sink,
        httpx.AsyncClient(base_url=sink.url) as client,
    ):
        for _ in range(2):
            answer = await client.post("/hooks", content=body, headers=headers)
            assert answer.status_code == 204
        for bad in wrong:
            assert (await client.post("/hooks", content=body, headers=bad)).status_code == 401
        listed = (await client.get("/hooks")).json()
        [hook] = listed["items"]
        assert (hook["id"], hook["event_id"], hook["received"]) == ("msg_1", "order-1/3", 2)
        assert listed["refused"] == len(wrong)


async def test_with_keys_nothing_is_open(tmp_path: Path) -> None:
    key = generate_key(Role.AUDITOR)
    keys = tmp_path / "keys.json"
    write_keys_file(keys, [KeyEntry("a", hash_key(key), Role.AUDITOR)])
    async with running(tmp_path / "mail.jsonl", OMS_KEYS_FILE=str(keys)) as sink:
        async with httpx.AsyncClient(base_url=sink.url) as client:
            for path in ("/messages", "/messages/x", "/preview/x", "/", "/hooks"):
                assert (await client.get(path)).status_code == 401
            answer = await client.get("/messages", headers={"X-API-Key": key})
            assert answer.status_code == 200


@pytest.mark.parametrize(
    "settings", [{"OMS_HOST": "0.0.0.0"}, {"OMS_HOOK_SECRET": "whsec_!"}, {"OMS_SINK_FILE": "/"}]
)
async def test_settings_that_cannot_work_end_it_with_2(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    good = SinkProcess(tmp_path / "mail.jsonl")
    process = await launch(good.environment | settings, good.log)
    assert await asyncio.wait_for(process.wait(), 10) == 2
