"""The documents over a real database: JSON, CSV, files, and cursors that belong to their readers."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter

from ops.stack import Stack
from services.integrations.erp import api
from services.integrations.erp.csvrows import COLUMNS
from services.integrations.erp.files import ErpFiles
from services.integrations.handlers import table
from shared.events import Address, Charge, Customer, LineQuantity, Money, OrderLine
from shared.events import order as o
from shared.service import Role, ServiceApp
from shared.service.runtime import Runtime
from tests.integration.serving import Served, serving
from tests.spec import NOON

LINE = OrderLine(
    line_id="1", sku="TEA", quantity=2, unit_price=500, total=1000, description='5" cup, "blue"'
)
SHIPPING = Charge(kind="shipping", amount=301)
BOTH = (LineQuantity(line_id="1", sku="TEA", quantity=2),)


@pytest.fixture
async def service(stack: Stack) -> AsyncIterator[Served]:
    def routes(runtime: Runtime, _: ServiceApp) -> APIRouter:
        return api.routes(runtime)

    async with serving(stack, table(), routes) as served:
        yield served


async def place(service: Served, id: str) -> None:
    """An order is placed and confirmed: one document."""
    await service.hear(
        o.OrderPlaced(
            order_id=id,
            channel="web",
            external_id=f"W-{id}",
            currency="GBP",
            lines=(LINE,),
            charges=(SHIPPING,),
            total=1301,
            customer=Customer(name="Ada"),
            ship_to=Address(country="GB"),
            payment_method="tok_ok",
            backorder="refuse",
            placed_at=NOON,
        )
    )
    total = Money(1301, "GBP")
    await service.hear(
        o.OrderConfirmed(order_id=id, channel="web", external_id=f"W-{id}", total=total)
    )


async def ship(service: Served, id: str) -> None:
    """Its only package leaves: a second document."""
    names = {"order_id": id, "fulfillment_id": f"{id}.f1", "package_id": f"{id}.f1.p1"}
    await service.hear(o.OrderPacked(**names, lines=BOTH, capture=Money(1301, "GBP")))
    await service.hear(
        o.OrderShipped(**names, lines=BOTH, location="A", carrier="DPD", tracking_number="T")
    )


async def documents(service: Served, path: str = "/erp/documents", **query: Any) -> list[Any]:
    answer = await service.get(path, Role.AUDITOR, **query)
    assert answer.status_code == 200, answer.text
    items: list[Any] = answer.json()["items"]
    return items


async def test_documents_are_read_from_any_position(service: Served) -> None:
    for id in ("a", "b"):
        await place(service, id)
    await ship(service, "a")
    listed = await documents(service)
    assert [(d["position"], d["number"][:3]) for d in listed] == [
        (1, "SO-"),
        (2, "SO-"),
        (3, "INV"),
    ]
    assert listed[2]["type"] == "oms.erp.invoice.v1"
    assert listed[2]["sales_order"] == listed[0]["number"]
    assert listed[2]["total"] == 1301 == 1000 + listed[2]["charges"][0]["amount"]
    assert [d["position"] for d in await documents(service, after=2)] == [3]
    assert [d["position"] for d in await documents(service, kind="invoice")] == [3]
    page = await service.get("/erp/documents", Role.OPS, limit=2)
    assert page.headers["link"] == '</erp/documents?after=2&limit=2>; rel="next"'
    assert "link" not in (await service.get("/erp/documents", Role.OPS, after=2, limit=2)).headers
    assert (await service.get("/erp/documents", Role.CHANNEL)).status_code == 403
    assert (await service.get("/erp/documents", Role.OPS, kind="receipt")).status_code == 422


async def test_each_reader_has_its_own_cursor(service: Served) -> None:
    for id in ("a", "b", "c"):
        await place(service, id)
    waiting = "/erp/cursors/sap/documents"
    assert [d["position"] for d in await documents(service, waiting, limit=2)] == [1, 2]
    assert [d["position"] for d in await documents(service, waiting)] == [1, 2, 3]
    path = "/erp/cursors/sap/acknowledge"
    moved = await service.post(path, Role.AUDITOR, {"position": 2})
    assert moved.json() == {"cursor": "sap", "position": 2}
    assert (await service.post(path, Role.AUDITOR, {"position": 1})).json()["position"] == 2
    beyond = await service.post(path, Role.AUDITOR, {"position": 4})
    assert (beyond.status_code, beyond.json()["type"]) == (409, "urn:oms:problem:position-unknown")
    assert [d["position"] for d in await documents(service, waiting)] == [3]
    other = await documents(service, "/erp/cursors/tax/documents")
    assert [d["position"] for d in other] == [1, 2, 3]
    assert (await service.get("/erp/cursors", Role.OPS)).json() == {
        "items": [{"cursor": "sap", "position": 2, "behind": 1}],
        "last": 3,
    }
    back = {"position": 0, "reason": "restored an old backup"}
    again = await service.post("/erp/cursors/sap/rewind", Role.OPS, back)
    assert again.json() == {"cursor": "sap", "position": 0}
    assert len(await documents(service, waiting)) == 3
    assert (await service.post("/erp/cursors/sap/rewind", Role.CHANNEL, back)).status_code == 403


async def test_the_same_documents_as_csv_and_in_files(service: Served, tmp_path: Path) -> None:
    await place(service, "a")
    await ship(service, "a")
    answer = await service.get("/erp/documents.csv", Role.AUDITOR)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(StringIO(answer.text)))
    assert tuple(rows[0]) == COLUMNS
    told = [(r["kind"], r["row"], r["sku"], r["charge"], r["amount"], r["total"]) for r in rows]
    assert told == [
        ("sales_order", "1", "TEA", "", "1000", "1301"),
        ("sales_order", "2", "", "shipping", "301", "1301"),
        ("invoice", "1", "TEA", "", "1000", "1301"),
        ("invoice", "2", "", "shipping", "301", "1301"),
    ]
    assert rows[0]["description"] == LINE.description
    assert rows[2]["cause"] == "a.f1.p1"

    files = ErpFiles(tmp_path / "erp", service.store, service.writer)
    assert [await files.write(), await files.write()] == [2, 0]
    await place(service, "b")
    assert await files.write() == 1
    names = sorted(p.name for p in (tmp_path / "erp").iterdir())
    assert names == [
        "erp-000000000001-000000000002.csv",
        "erp-000000000003-000000000003.csv",
    ]
    assert (tmp_path / "erp" / names[0]).read_bytes().decode() == answer.text


async def test_a_file_that_was_written_before_a_crash_is_not_written_again(
    service: Served, tmp_path: Path
) -> None:
    await place(service, "a")
    files = ErpFiles(tmp_path, service.store, service.writer)
    (tmp_path / "erp-000000000001-000000000001.csv").write_text("as it was")
    for name in ("erp-2026-summary.csv", "erp-1-2-3.csv", "erp-.csv"):  # the partner's own
        (tmp_path / name).touch()
    await place(service, "b")
    assert [await files.write(), await files.write(), await files.write()] == [1, 1, 0]
    assert (tmp_path / "erp-000000000001-000000000001.csv").read_text() == "as it was"
    assert (tmp_path / "erp-000000000002-000000000002.csv").exists()

    (tmp_path / "erp-000000000001-000000000001.csv").unlink()
    again = {"position": 0, "reason": "the first file is lost"}
    await service.post("/erp/cursors/files/rewind", Role.OPS, again)
    assert [await files.write(), await files.write(), await files.write()] == [1, 1, 0]
    assert (tmp_path / "erp-000000000001-000000000001.csv").exists()
