"""The fulfillment service over HTTP and a real database: the warehouse's day, and the work list."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ops.stack import Stack
from services.fulfillment.api import routes
from services.fulfillment.handlers import table
from shared.events import Address, LineQuantity
from shared.events.fulfillment import CancelFulfillment, CreateFulfillment, ReleasePackage
from shared.service import Role
from tests.integration.serving import Served, serving

PICKER, AGENT = Role.WAREHOUSE, Role.AGENT
#: Its names are lawful on a topic, where orders come from.
A2 = {"line_id": "Zeile 1/ä", "sku": "Grün (#1)", "quantity": 2}
B1 = {"line_id": "2", "sku": "B", "quantity": 1}


@pytest.fixture
async def service(stack: Stack) -> AsyncIterator[Served]:
    async with serving(stack, table(frozenset({"robot"})), routes) as served:
        yield served


def create(fulfillment_id: str, location: str = "leeds") -> CreateFulfillment:
    return CreateFulfillment(
        fulfillment_id=fulfillment_id,
        order_id="o1",
        location=location,
        lines=(
            LineQuantity(line_id="Zeile 1/ä", sku="Grün (#1)", quantity=2),
            LineQuantity(line_id="2", sku="B", quantity=1),
        ),
        ship_to=Address(name="Ada", city="Leeds", country="GB"),
    )


async def listed(service: Served, **query: Any) -> list[tuple[str, str]]:
    answer = await service.get("/fulfillments", PICKER, **query)
    assert answer.status_code == 200, answer.text
    return [(x["fulfillment_id"], x["status"]) for x in answer.json()["items"]]


async def test_a_fulfillment_goes_through_the_warehouse(service: Served) -> None:
    await service.hear(create("o1.f1"))
    path = "/fulfillments/o1.f1"
    assert await listed(service) == [("o1.f1", "OPEN")]

    started = await service.post(f"{path}/start", PICKER, {})
    assert (started.status_code, started.json()["picker"]) == (202, "warehouse:warehouse-1")
    report = {"lines": [A2], "short_reason": "empty shelf"}
    picked = await service.post(f"{path}/pick", PICKER, report)
    assert picked.json()["status"] == "PICKED"
    assert [x["short"] for x in picked.json()["lines"]] == [0, 1]
    assert await listed(service, status="PICKED", location="leeds") == [("o1.f1", "PICKED")]
    packed = await service.post(f"{path}/pack", PICKER, {"package_id": "o1.f1.p1", "lines": [A2]})
    assert packed.json()["status"] == "PACKED"

    ship = {"package_id": "o1.f1.p1", "carrier": "dpd", "tracking_number": "T1"}
    early = await service.post(f"{path}/ship", PICKER, ship)
    assert early.status_code == 409
    assert early.json()["type"] == "urn:oms:problem:not-released"
    await service.hear(ReleasePackage(fulfillment_id="o1.f1", order_id="o1", package_id="o1.f1.p1"))
    assert (await service.post(f"{path}/ship", PICKER, ship)).json()["status"] == "SHIPPED"
    arrival = {"package_id": "o1.f1.p1", "delivered_at": "2026-01-05T12:00:00+02:00"}
    arrived = await service.post(f"{path}/deliver", PICKER, arrival)
    assert arrived.json()["status"] == "DELIVERED"
    assert await listed(service) == []

    shown = (await service.get(path, AGENT)).json()
    assert shown["ship_to"]["city"] == "Leeds"
    assert [x["type"].split(".")[2] for x in shown["history"]] == [
        "opened",
        "picking_started",
        "picked",
        "packed",
        "package_released",
        "shipped",
        "delivered",
    ]
    assert shown["history"][1]["actor"] == "warehouse:warehouse-1"


async def test_the_same_key_gives_the_same_answer_once(service: Served) -> None:
    await service.hear(create("o1.f1"))
    await service.post("/fulfillments/o1.f1/start", PICKER, {})
    one = {"lines": [A2 | {"quantity": 1}], "final": False}
    first = await service.post("/fulfillments/o1.f1/pick", PICKER, one, key="k1")
    again = await service.post("/fulfillments/o1.f1/pick", PICKER, one, key="k1")
    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    shown = (await service.get("/fulfillments/o1.f1", PICKER)).json()
    assert [x["picked"] for x in shown["lines"]] == [1, 0]
    other = await service.post("/fulfillments/o1.f1/pick", PICKER, {"lines": []}, key="k1")
    assert other.status_code == 422


async def test_the_work_list_is_paged_oldest_first(service: Served) -> None:
    ids = [f"o1.f{n}" for n in range(5)]
    for n, fulfillment_id in enumerate(ids):
        await service.hear(create(fulfillment_id, "york" if n == 3 else "leeds"))
    await service.hear(CancelFulfillment(fulfillment_id="o1.f1", order_id="o1", reason="customer"))
    await service.post("/fulfillments/o1.f0/start", PICKER, {"picker": "pat"})

    found: list[str] = []
    url, pages = "/fulfillments?location=leeds&limit=2", 0
    while url:
        answer = await service.get(url, PICKER)
        found += [x["fulfillment_id"] for x in answer.json()["items"]]
        url = answer.links.get("next", {}).get("url", "")
        pages += 1
    assert found == ["o1.f0", "o1.f2", "o1.f4"]
    assert pages == 2
    assert await listed(service, location="york") == [("o1.f3", "OPEN")]
    assert (await service.get("/fulfillments?cursor=x", PICKER)).status_code == 422


async def test_automatic_locations_need_no_work_list(service: Served) -> None:
    await service.hear(create("o1.f1", "robot"))
    assert await listed(service) == []
    release = ReleasePackage(fulfillment_id="o1.f1", order_id="o1", package_id="o1.f1.p1")
    await service.hear(release)
    shown = (await service.get("/fulfillments/o1.f1", AGENT)).json()
    assert shown["status"] == "DELIVERED"


async def test_the_work_list_equals_the_fold_of_the_streams(service: Served) -> None:
    for n in range(4):
        await service.hear(create(f"o1.f{n}"))
        for step, body in [("start", {}), ("pick", {"lines": [A2, B1]})][: n % 3]:
            await service.post(f"/fulfillments/o1.f{n}/{step}", PICKER, body)
    for fulfillment_id, status in await listed(service):
        shown = (await service.get(f"/fulfillments/{fulfillment_id}", PICKER)).json()
        assert shown["status"] == status


async def test_a_cancel_before_its_create_needs_no_work(service: Served) -> None:
    await service.hear(CancelFulfillment(fulfillment_id="o1.f1", order_id="o1", reason="customer"))
    await service.hear(create("o1.f1"))
    assert await listed(service) == []
    shown = (await service.get("/fulfillments/o1.f1", PICKER)).json()
    assert (shown["status"], shown["ship_to"]) == ("CANCELLED", None)


async def test_roles_and_unknown_ids(service: Served) -> None:
    await service.hear(create("o1.f1"))
    assert (await service.post("/fulfillments/o1.f1/start", AGENT, {})).status_code == 403
    assert (await service.get("/fulfillments", Role.CHANNEL)).status_code == 403
    assert (await service.get("/fulfillments", Role.AUDITOR)).status_code == 200
    assert (await service.get("/fulfillments/none", PICKER)).status_code == 404
    assert (await service.post("/fulfillments/none/start", PICKER, {})).status_code == 404
    bad = {"lines": [{"line_id": "1", "sku": "A", "quantity": 0}]}
    refused = await service.post("/fulfillments/o1.f1/pick", PICKER, bad)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "/lines/0/quantity"
