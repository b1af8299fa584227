"""A shop's webhooks over a real database: signed, once by id and by content, and what is refused can be mended."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from ops.stack import Stack
from services.integrations.api import routes
from services.integrations.channels.shopify.endpoint import Shopify
from services.integrations.channels.shopify.signature import sign
from services.integrations.handlers import table
from shared.events import LineQuantity
from shared.events.order import OrderShipped, order_id_for
from shared.service import Role
from tests.integration.integrations.test_channels import sent
from tests.integration.serving import Served, serving
from tests.unit.integrations.shop import LATER, SHOP, fulfillment, order, refund

NEW, OLD = "a-new-secret", "an-old-secret"
SETTINGS = Shopify((NEW, OLD), {SHOP: "tea"}, "tok_ok")


@pytest.fixture
async def service(stack: Stack) -> AsyncIterator[Served]:
    async with serving(stack, table(), lambda runtime, _: routes(runtime, SETTINGS)) as served:
        yield served


async def say(
    service: Served, topic: str, payload: Any, *, secret: str = NEW, **headers: str
) -> httpx.Response:
    """A webhook as the shop sends it; a header that is given as "" is left out."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    said = {
        "x-shopify-hmac-sha256": sign(body, secret),
        "x-shopify-topic": topic,
        "x-shopify-shop-domain": SHOP,
        "x-shopify-webhook-id": str(uuid4()),
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    kept = {name: value for name, value in said.items() if value}
    return await service.http.post("/shopify/webhooks", content=body, headers=kept)


async def test_only_what_a_secret_signed_is_heard(service: Served) -> None:
    for wrong in ({"secret": "forged"}, {"x_shopify_hmac_sha256": ""}):
        answer = await say(service, "orders/create", order(), **wrong)
        assert (answer.status_code, answer.json()["type"]) == (
            401,
            "urn:oms:problem:signature-invalid",
        )
        assert answer.headers["content-type"] == "application/problem+json"
    for missing in ("x_shopify_topic", "x_shopify_shop_domain", "x_shopify_webhook_id"):
        answer = await say(service, "orders/create", order(), **{missing: ""})
        assert (answer.status_code, answer.json()["type"]) == (
            400,
            "urn:oms:problem:shopify-headers",
        )
    elsewhere = await say(service, "orders/create", order(), x_shopify_shop_domain="x.example")
    assert (elsewhere.status_code, elsewhere.json()["type"]) == (
        403,
        "urn:oms:problem:shop-unknown",
    )
    assert await sent(service) == []
    assert (await service.get("/refused", Role.OPS)).json()["items"] == []
    rotated = await say(service, "orders/create", order(), secret=OLD)
    assert (rotated.status_code, rotated.json()) == (200, {"outcome": "taken"})


async def test_a_webhook_counts_once_by_its_id_and_by_what_it_says(service: Served) -> None:
    first = await say(service, "orders/create", order(), x_shopify_webhook_id="w1")
    again = await say(service, "orders/create", order(), x_shopify_webhook_id="w1")
    assert first.json() == again.json() == {"outcome": "taken"}
    other = await say(service, "orders/create", order(id=1), x_shopify_webhook_id="w1")
    assert other.status_code == 422
    under_another_id = await say(service, "orders/create", order())
    assert under_another_id.json() == {"outcome": "known"}
    waiting = await say(service, "orders/create", order(financial_status="pending"))
    assert waiting.json()["outcome"] == "noted"
    gone = order(cancelled_at=LATER, updated_at=LATER)
    for expected in ("taken", "known"):
        assert (await say(service, "orders/cancelled", gone)).json() == {"outcome": expected}
    assert await sent(service) == [("place_order", "tea/1001"), ("cancel_order", "tea/1001")]


async def test_what_is_refused_is_kept_and_taken_once_it_can_be(service: Served) -> None:
    early = await say(service, "refunds/create", refund())
    assert (early.status_code, early.json()["reason"]) == (200, "order_unknown")
    path = f"/refused/{early.json()['refusal_id']}/resubmit"
    await say(service, "orders/create", order())
    still = (await service.post(path, Role.OPS, {})).json()
    assert "0 left" in still["refused"][0]
    [kept] = (await service.get("/refused", Role.OPS)).json()["items"]
    assert (kept["source"], kept["reason"]) == ("shopify.refunds/create", "not_shipped")
    order_id = order_id_for("tea", "1001")
    await service.hear(
        OrderShipped(
            order_id=order_id,
            fulfillment_id="f1",
            package_id="f1.p1",
            location="leeds",
            lines=(LineQuantity(line_id="11", sku="TEA-1", quantity=2),),
            carrier="dpd",
            tracking_number="T1",
        )
    )
    assert (await service.post(path, Role.OPS, {})).json()["accepted"] == 1
    assert (await service.post(path, Role.OPS, {})).status_code == 409
    assert (await say(service, "refunds/create", refund())).json() == {"outcome": "known"}
    arrived = await say(service, "fulfillments/update", fulfillment())
    assert arrived.json() == {"outcome": "taken"}
    sql = """select type from messages where topic = 'oms.integrations.forwards'
             and type not like 'oms.channel.%%' order by position"""
    async with service.store.connection() as c:
        rows = await (await c.execute(sql)).fetchall()
    assert [row[0] for row in rows] == ["oms.returns.request.v1", "oms.fulfillment.deliver.v1"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b'{"id":1e999999999}',
        b'{"a":"\xed\xa0\x80"}',
    ],
)
async def test_an_authentic_body_that_is_no_json_is_kept(service: Served, body: bytes) -> None:
    answer = await say(service, "orders/create", body)
    assert (answer.status_code, answer.json()["outcome"]) == (200, "refused")
    [kept] = (await service.get("/refused", Role.OPS)).json()["items"]
    assert kept["refusal_id"] == answer.json()["refusal_id"]
    assert (await service.get(f"/refused/{kept['refusal_id']}", Role.OPS)).status_code == 200


async def test_a_body_beyond_all_measure_is_refused(service: Served) -> None:
    assert (await say(service, "orders/create", b" " * (2 << 20))).status_code == 413
