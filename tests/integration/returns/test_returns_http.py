"""The returns service over HTTP and a real database: from request to settlement."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from ops.stack import Stack
from services.returns.api import routes
from services.returns.domain.requests import Policy
from services.returns.handlers import table
from shared.events import LineQuantity, Money
from shared.events.order import OrderShipped, RefundFailed, RefundIssued
from shared.service import Role
from tests.integration.serving import Served, serving

AGENT, WORKER = Role.AGENT, Role.WAREHOUSE
SHIPPED = OrderShipped(
    order_id="o1",
    fulfillment_id="o1.f1",
    package_id="o1.f1.p1",
    location="leeds",
    lines=(LineQuantity(line_id="1", sku="Grün (#1)", quantity=3),),
    carrier="dpd",
    tracking_number="T1",
)
REFUND: dict[str, Any] = {
    "order_id": "o1",
    "refund_id": "r1.refund",
    "payment_id": "pay",
    "return_id": "r1",
}


@pytest.fixture
async def service(stack: Stack) -> AsyncIterator[Served]:
    async with serving(stack, table(), routes) as served:
        yield served


def line(quantity: int, **more: str) -> dict[str, Any]:
    return {"line_id": "1", "sku": "Grün (#1)", "quantity": quantity} | more


def asked(return_id: str, quantity: int) -> dict[str, Any]:
    return {"return_id": return_id, "order_id": "o1", "lines": [line(quantity, reason="worn")]}


async def test_a_return_from_request_to_settlement(service: Served) -> None:
    early = await service.post("/returns", AGENT, asked("r1", 2))
    assert (early.status_code, early.json()["type"]) == (409, "urn:oms:problem:not-shipped")
    assert (await service.get("/orders/o1/returnable", AGENT)).status_code == 404
    await service.hear(SHIPPED)

    requested = await service.post("/returns", AGENT, asked("r1", 2))
    assert (requested.status_code, requested.json()["status"]) == (201, "APPROVED")
    left = (await service.get("/orders/o1/returnable", AGENT)).json()
    assert [(x["shipped"], x["claimed"], x["returnable"]) for x in left["lines"]] == [(3, 2, 1)]
    too_much = await service.post("/returns", AGENT, asked("r2", 2))
    assert too_much.json()["detail"] == "line 1 (Grün (#1)): 2 asked, 1 shipped and not claimed"

    receipt = {"receipt_id": "c1", "location": "leeds", "lines": [line(1)]}
    received = await service.post("/returns/r1/receive", WORKER, receipt)
    assert received.json()["status"] == "PARTIALLY_RECEIVED"
    verdict = {"lines": [line(1, disposition="restock")]}
    inspected = await service.post("/returns/r1/inspect", WORKER, verdict)
    assert inspected.json()["status"] == "INSPECTED"
    assert [(x["disposition"], x["quantity"]) for x in inspected.json()["dispositions"]] == [
        ("restock", 1),
        ("missing", 1),
    ]
    await service.hear(RefundFailed(**REFUND, reason="card_expired"))
    shown = (await service.get("/returns/r1", AGENT)).json()
    assert (shown["status"], shown["refund_problem"]) == ("INSPECTED", "card_expired")
    assert shown["possible"] == "the refund was refused: a person pays it by other means"
    await service.hear(RefundIssued(**REFUND, amount=Money(500, "GBP")))
    shown = (await service.get("/returns/r1", AGENT)).json()
    assert (shown["status"], shown["refund"]) == ("SETTLED", {"amount": 500, "currency": "GBP"})
    assert [x["actor"] for x in shown["history"]][:4] == [
        "agent:agent-1",
        "policy",
        "warehouse:warehouse-1",
        "warehouse:warehouse-1",
    ]
    left = (await service.get("/orders/o1/returnable", AGENT)).json()
    assert left["lines"][0]["returnable"] == 2


async def test_a_person_decides_outside_the_window(stack: Stack) -> None:
    async with serving(stack, table(Policy(window=timedelta(days=-1))), routes) as service:
        await service.hear(SHIPPED)
        asked_for = await service.post("/returns", AGENT, asked("r1", 2))
        assert asked_for.json()["status"] == "REQUESTED"
        declined = await service.post("/returns/r1/decline", AGENT, {"reason": "worn"})
        assert declined.json()["status"] == "DECLINED"
        approved = await service.post("/returns/r1/approve", AGENT)
        assert (approved.status_code, approved.json()["type"]) == (
            409,
            "urn:oms:problem:wrong-state",
        )
        made = (await service.post("/returns", AGENT, asked("r2", 3))).json()
        assert (await service.post("/returns/r2/approve", AGENT)).json()["status"] == "APPROVED"
        assert made["return_id"] == "r2"
        cancelled = await service.post("/returns/r2/cancel", AGENT)
        assert cancelled.json()["status"] == "CANCELLED"


async def test_an_id_is_made_and_kept_under_the_same_key(service: Served) -> None:
    await service.hear(SHIPPED)
    body = {"order_id": "o1", "lines": [line(1)]}
    first = await service.post("/returns", AGENT, body, key="k1")
    again = await service.post("/returns", AGENT, body, key="k1")
    assert first.json()["return_id"] == again.json()["return_id"]
    left = (await service.get("/orders/o1/returnable", AGENT)).json()
    assert left["claims"] == {
        first.json()["return_id"]: [{"line_id": "1", "sku": "Grün (#1)", "quantity": 1}]
    }


async def test_roles_unknown_ids_and_bad_fields(service: Served) -> None:
    assert (await service.post("/returns", Role.CHANNEL, asked("r1", 1))).status_code == 403
    assert (await service.post("/returns", WORKER, asked("r1", 1))).status_code == 403
    assert (await service.get("/returns/r1", AGENT)).status_code == 404
    assert (await service.post("/returns/r1/approve", AGENT)).status_code == 404
    await service.hear(SHIPPED)
    await service.post("/returns", AGENT, asked("r1", 1))
    verdict = {"lines": [line(1, disposition="eaten")]}
    bad = await service.post("/returns/r1/inspect", WORKER, verdict)
    assert bad.status_code == 422
    assert bad.json()["errors"][0]["field"] == "/lines/0/disposition"
