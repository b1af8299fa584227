"""Stripe's signed webhooks over a real database: each settles the effect that asked, once, in whatever order."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import stripe
from fastapi import APIRouter

from ops.stack import Stack
from services.order import stripe_webhook
from services.order.domain.saga import Policy
from services.order.effects import answer
from services.order.handlers import table
from shared.payments import Authorised, Money
from shared.payments.stripe.meaning import KEY, done, mark
from shared.service import ServiceApp
from shared.service.runtime import Runtime
from tests.integration.serving import Served, serving
from tests.unit.order.examples import (
    COMMITTED,
    ID,
    LON,
    PAYMENT,
    PLACE,
    RESERVED,
    TEA,
    TOTAL,
    packed,
)

SECRET = "whsec_integration_tests_only"
AUTHORISE = f"{PAYMENT}:authorise"
CAPTURE = f"{LON}.p1.c1:capture"


@pytest.fixture
async def service(stack: Stack) -> AsyncIterator[Served]:
    """The order service with one order that waits for its payment; nothing performs its effects here."""

    def routes(runtime: Runtime, _: ServiceApp) -> APIRouter:
        return stripe_webhook.routes(runtime, SECRET)

    async with serving(stack, table(Policy()), routes) as served:
        await served.hear(PLACE)
        await served.hear(RESERVED)
        yield served


def intent(status: str, *marks: tuple[str, str], received: int = 0) -> dict[str, Any]:
    metadata = {KEY: AUTHORISE, mark(AUTHORISE): done("authorise", TOTAL)}
    return {
        "object": "payment_intent",
        "id": "pi_1",
        "status": status,
        "amount": TOTAL,
        "amount_received": received,
        "currency": "gbp",
        "metadata": metadata | {mark(key): text for key, text in marks},
    }


async def send(
    service: Served, type: str, about: dict[str, Any], key: str = "", secret: str = SECRET
) -> httpx.Response:
    body = json.dumps(
        {
            "id": "evt_1",
            "object": "event",
            "type": type,
            "request": {"id": "req_1", "idempotency_key": key or None},
            "data": {"object": about},
        }
    )
    signature = stripe.WebhookSignature.generate_signature_header(body, secret)
    headers = {"stripe-signature": signature, "content-type": "application/json; charset=utf-8"}
    return await service.http.post("/payments/stripe/webhook", content=body, headers=headers)


async def events(service: Served) -> list[str]:
    rows = await service.store.stream(f"order-{ID}")
    return [row[1].split(".")[2] for row in rows]


async def effects(service: Served) -> list[str]:
    return sorted(row["id"] for row in await service.store.effects_open(10))


async def test_an_authorisation_is_settled_once(service: Served) -> None:
    assert await effects(service) == [AUTHORISE]
    held = intent("requires_capture")
    for _ in range(2):
        answered = await send(service, "payment_intent.amount_capturable_updated", held)
        assert answered.status_code == 204, answered.text
    assert await effects(service) == []
    assert await events(service) == ["placed", "reserved", "payment_authorised"]


async def test_events_may_come_in_any_order(service: Served) -> None:
    """The capture's event first, while even the authorisation is open; then the older one."""
    captured = intent("succeeded", (CAPTURE, done("capture", 1000)), received=1000)
    assert (await send(service, "payment_intent.succeeded", captured, CAPTURE)).status_code == 204
    assert await events(service) == ["placed", "reserved", "payment_authorised"]
    await service.hear(COMMITTED)
    await service.hear(packed(LON, TEA))
    assert await effects(service) == [CAPTURE]
    late = intent("requires_capture")
    assert (
        await send(service, "payment_intent.amount_capturable_updated", late)
    ).status_code == 204
    assert await effects(service) == [CAPTURE]
    assert (await send(service, "payment_intent.succeeded", captured, CAPTURE)).status_code == 204
    assert await effects(service) == []
    assert (await events(service))[-1] == "payment_captured"


async def test_a_decline_rejects_the_order(service: Served) -> None:
    no = intent("requires_payment_method") | {
        "last_payment_error": {
            "code": "card_declined",
            "decline_code": "insufficient_funds",
            "message": "No.",
        }
    }
    assert (await send(service, "payment_intent.payment_failed", no)).status_code == 204
    assert await events(service) == ["placed", "reserved", "payment_declined", "rejected"]


async def test_what_settles_nothing_is_taken_and_ignored(service: Served) -> None:
    customer = {"object": "customer", "id": "cus_1"}
    assert (await send(service, "customer.created", customer)).status_code == 204
    assert (
        await send(service, "payment_intent.processing", intent("processing"))
    ).status_code == 204
    elsewhere = intent("requires_capture") | {"metadata": {}}
    assert (await send(service, "payment_intent.created", elsewhere)).status_code == 204
    assert await effects(service) == [AUTHORISE]


async def test_nothing_that_stripe_did_not_sign_is_heard(service: Served) -> None:
    forged = await send(
        service, "payment_intent.succeeded", intent("succeeded"), secret="whsec_guessed"
    )
    assert forged.status_code == 400
    assert forged.json()["type"] == "urn:oms:problem:webhook-refused"
    bare = await service.http.post("/payments/stripe/webhook", content=b"\xff\x00")
    assert bare.status_code == 400
    assert await effects(service) == [AUTHORISE]


def test_an_answer_of_another_kind_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="Authorised is no answer to"):
        answer(object(), Authorised("pi_1", Money(1, "GBP")))  # type: ignore[arg-type]
