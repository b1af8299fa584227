"""The gateway, dropped files and refused inputs over a real database: what is taken goes on once, nothing is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ops.demo.orderfiles import drop
from ops.stack import Stack
from services.integrations.api import routes
from services.integrations.channels.filedrop import FileDrop, Report
from services.integrations.channels.shopify.endpoint import Shopify
from services.integrations.handlers import table
from shared.events.catalogue import FORWARDED
from shared.events.order import OrderRejected, order_id_for
from shared.service import Handle, Role
from tests.integration.serving import Served, serving
from tests.ledgerkit import until

HEADER = "number,currency,sku,quantity,unit_price,payment\n"
GOOD, BAD = "{n},GBP,A,2,250,tok_ok\n", "{n},GBP,A,two,250,tok_ok\n"
MENDED = "{n},GBP,A,3,250,tok_ok\n"


@pytest.fixture
async def service(stack: Stack) -> AsyncIterator[Served]:
    async with serving(stack, table(), lambda runtime, _: routes(runtime, Shopify())) as served:
        yield served


def order(number: str, quantity: int = 2) -> dict[str, Any]:
    line = {"sku": "A", "quantity": quantity, "unit_price": 250}
    return {"number": number, "currency": "GBP", "lines": [line], "payment": "tok_ok"}


async def sent(service: Served) -> list[tuple[str, str]]:
    """What is passed on to the other services: type and key, in order."""
    sql = "select type, key from messages where topic = %s order by position"
    async with service.store.connection() as c:
        rows = await (await c.execute(sql, [FORWARDED])).fetchall()
    return [(str(type).split(".")[2], str(key)) for type, key in rows]


async def test_the_gateway_takes_an_order_once(service: Served) -> None:
    path = "/channels/web/orders"
    first = await service.post(path, Role.CHANNEL, order("1"), key="k1")
    assert (first.status_code, first.json()) == (
        202,
        {"order_id": order_id_for("web", "1"), "status": "taken"},
    )
    replay = await service.post(path, Role.CHANNEL, order("1"), key="k1")
    assert (replay.content, replay.headers["idempotent-replayed"]) == (first.content, "true")
    assert (await service.post(path, Role.CHANNEL, order("1"))).content == first.content
    other = await service.post(path, Role.CHANNEL, order("1", 3))
    assert (other.status_code, other.json()["type"]) == (409, "urn:oms:problem:order-exists")
    assert (
        await service.post("/channels/shop/orders", Role.CHANNEL, order("1"))
    ).status_code == 403
    assert (await service.post(path, Role.WAREHOUSE, order("1"))).status_code == 403
    cancel = f"{path}/1/cancel"
    for _ in range(2):
        gone = await service.post(cancel, Role.CHANNEL, {"reason": "changed my mind"})
        assert gone.status_code == 202
    assert await sent(service) == [("place_order", "web/1"), ("cancel_order", "web/1")]
    assert (await service.get("/refused", Role.OPS)).json()["items"] == []


async def test_an_order_that_nothing_pays_is_refused_at_the_door(service: Served) -> None:
    unpaid = {k: v for k, v in order("1").items() if k != "payment"}
    answer = await service.post("/channels/web/orders", Role.CHANNEL, unpaid)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == "/payment"
    assert await sent(service) == []


async def test_an_unusable_order_may_come_again_under_its_number(service: Served) -> None:
    path = "/channels/web/orders"
    await service.post(path, Role.CHANNEL, order("1"))
    await service.hear(OrderRejected(order_id=order_id_for("web", "1"), reason="invalid"))
    assert (await service.post(path, Role.CHANNEL, order("1", 3))).status_code == 202
    assert len(await sent(service)) == 2


async def test_a_dropped_file_is_taken_once_and_its_bad_lines_are_kept(
    service: Served, tmp_path: Path
) -> None:
    files = FileDrop(tmp_path, service.writer)
    text = HEADER + GOOD.format(n=1) + BAD.format(n=2) + GOOD.format(n=3)
    for name in ("a.csv", "b.csv"):
        drop(tmp_path / "shop", name, text)
    first = await files.take(tmp_path / "shop" / "a.csv")
    assert (first.accepted, first.known, [x.at for x in first.refused]) == (2, 0, ["a.csv:3"])
    drop(tmp_path / "shop", "a.csv", text)
    again = await files.take(tmp_path / "shop" / "a.csv")
    assert (again.accepted, again.known, len(again.refused)) == (0, 2, 1)
    elsewhere = await files.take(tmp_path / "shop" / "b.csv")
    assert (elsewhere.accepted, elsewhere.known) == (0, 2)
    assert await sent(service) == [("place_order", "shop/1"), ("place_order", "shop/3")]
    done = tmp_path / "shop" / "done"
    report = json.loads((done / "a.csv.report.json").read_text())
    assert report["refused"][0]["reason"].startswith("quantity: a whole number is needed")
    again_report = json.loads((done / "a.2.csv.report.json").read_text())
    assert (again_report["accepted"], again_report["known"]) == (0, 2)
    kept = (await service.get("/refused", Role.OPS)).json()["items"]
    assert [x["reference"] for x in kept] == ["a.csv:3", "b.csv:3"]


async def test_the_folder_is_watched_and_no_file_holds_up_the_others(
    service: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = FileDrop(tmp_path, service.writer)
    take, handle = files.take, Handle("file drop")

    async def fails_on_one(path: Path) -> Report:
        if path.name == "a.csv":
            raise RuntimeError("a defect")
        return await take(path)

    monkeypatch.setattr(files, "take", fails_on_one)
    drop(tmp_path / "shop", ".unfinished.csv", "number")
    no_report = f"aa{'a' * 240}.csv"  # the name of its report would be too long
    for name in ("a.csv", no_report, "b.CSV"):
        drop(tmp_path / "shop", name, HEADER + GOOD.format(n=1))
    drop(tmp_path / "Ökoshop", "c.csv", HEADER + GOOD.format(n=2))
    watching = asyncio.create_task(files.run(handle))
    await until((tmp_path / "shop" / "done" / "b.CSV").exists, 20)
    await until((tmp_path / "Ökoshop" / "done" / "c.csv").exists, 20)
    handle.stopping.set()
    await watching
    assert sorted(x.name for x in (tmp_path / "shop").iterdir()) == [
        ".unfinished.csv",
        "a.csv.failed",
        no_report,
        "done",
    ]
    assert await sent(service) == [("place_order", "shop/1")]
    [kept] = (await service.get("/refused", Role.OPS)).json()["items"]
    assert (kept["source"], kept["channel"]) == ("file.csv", "Ökoshop")
    assert kept["detail"].startswith("'Ökoshop' is no channel")
    again = await service.post(f"/refused/{kept['refusal_id']}/resubmit", Role.OPS, {})
    assert again.json()["refused"] == [kept["detail"]]


async def test_files_that_cannot_be_read_are_kept_too(service: Served, tmp_path: Path) -> None:
    files = FileDrop(tmp_path, service.writer)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "a.jsonl").write_bytes(b'\xff\xfe{"x": "\x00"}\n')
    drop(tmp_path / "shop", "b.csv", "nothing\n")
    reports = [await files.take(tmp_path / "shop" / name) for name in ("a.jsonl", "b.csv")]
    assert [(r.accepted, len(r.refused)) for r in reports] == [(0, 1), (0, 1)]
    first, second = (await service.get("/refused", Role.OPS)).json()["items"]
    assert "not UTF-8" in first["detail"]
    assert "no column number" in second["detail"]
    shown = (await service.get(f"/refused/{first['refusal_id']}", Role.AUDITOR)).json()
    assert shown["payload"] == '\\xff\\xfe{"x": "\u2400"}\n'


async def test_a_refused_input_is_corrected_and_resubmitted_once(
    service: Served, tmp_path: Path
) -> None:
    drop(tmp_path / "shop", "a.csv", HEADER + BAD.format(n=2))
    await FileDrop(tmp_path, service.writer).take(tmp_path / "shop" / "a.csv")
    [kept] = (await service.get("/refused", Role.OPS)).json()["items"]
    path = f"/refused/{kept['refusal_id']}/resubmit"

    same = (await service.post(path, Role.OPS, {})).json()
    assert (same["accepted"], len(same["refused"])) == (0, 1)
    mended = {"payload": HEADER + MENDED.format(n=2)}
    assert (await service.post(path, Role.AGENT, mended)).status_code == 403
    taken = await service.post(path, Role.OPS, mended)
    assert taken.json() == {
        "refusal_id": kept["refusal_id"],
        "accepted": 1,
        "known": 0,
        "refused": [],
    }
    twice = await service.post(path, Role.OPS, mended)
    assert (twice.status_code, twice.json()["type"]) == (
        409,
        "urn:oms:problem:already-resubmitted",
    )
    assert await sent(service) == [("place_order", "shop/2")]
    assert (await service.get("/refused", Role.OPS)).json()["items"] == []
    [closed] = (await service.get("/refused", Role.OPS, everything=True)).json()["items"]
    assert closed["resubmitted"]
    assert (await service.post("/refused/none/resubmit", Role.OPS, {})).status_code == 404


async def test_the_parts_of_a_refused_file_are_settled_each_on_its_own(
    service: Served, tmp_path: Path
) -> None:
    drop(tmp_path / "shop", "a.csv", "nothing\n")
    await FileDrop(tmp_path, service.writer).take(tmp_path / "shop" / "a.csv")
    [kept] = (await service.get("/refused", Role.OPS)).json()["items"]
    payload = HEADER + GOOD.format(n=1) + BAD.format(n=2) + GOOD.format(n=3)
    answer = await service.post(
        f"/refused/{kept['refusal_id']}/resubmit", Role.OPS, {"payload": payload}
    )
    assert (answer.json()["accepted"], len(answer.json()["refused"])) == (2, 1)
    [left] = (await service.get("/refused", Role.OPS)).json()["items"]
    assert left["reference"] == "a.csv:3"
