"""Where a shop sends its webhooks: ``POST /shopify/webhooks``, signed, de-duplicated, answered within its patience."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from services.integrations.channels.shopify.signature import signed_by
from services.integrations.channels.shopify.webhooks import Noted, Webhook, read
from services.integrations.domain.messages import Inbound, RefuseInput
from services.integrations.intake import Taken
from shared.ledger.store import Answer, Unavailable
from shared.ledger.work import IdempotencyMismatch, Outcome, Overloaded, Task
from shared.service import Problem
from shared.service.commands import ANSWER_SECONDS_MAX
from shared.service.http import PUBLIC, router
from shared.service.idempotency import mismatch
from shared.service.ids import new_id
from shared.service.runtime import Runtime


@dataclass(frozen=True)
class Shopify:
    """``secrets`` sign webhooks (while one is rotated, both); ``shops`` are their channels by domain."""

    secrets: tuple[str, ...] = field(default=(), repr=False)
    shops: Mapping[str, str] = field(default_factory=dict)
    payment_method: str = ""


def routes(runtime: Runtime, shopify: Shopify) -> APIRouter:
    """The route of the shops' webhooks. No API key opens it: the signature does."""
    r = router(tags=["shopify"])

    @r.post(
        "/shopify/webhooks",
        dependencies=[PUBLIC],
        responses={401: {"description": "Not signed by the shop"}},
    )
    async def webhook(request: Request) -> Response:
        """Take a webhook (`docs/shopify.md`). An authentic one is answered 200 whatever it says: what cannot be used is kept
        as a refused input, and the shop has no reason to send it again."""
        headers: dict[bytes, bytes] = request.scope["oms.headers"]
        body = await request.body()
        if not signed_by(body, headers.get(b"x-shopify-hmac-sha256", b""), shopify.secrets):
            raise _forged()
        found, shop = _webhook(headers, body, shopify)
        inbound = read(found, shopify.payment_method)
        if isinstance(inbound, Noted):
            return _json({"outcome": "noted", "why": inbound.why})
        answer = await _decided(runtime, inbound, shop, found)
        return Response(answer.body, answer.status, media_type="application/json")

    return r


def _webhook(headers: Mapping[bytes, bytes], body: bytes, shopify: Shopify) -> tuple[Webhook, str]:
    """What an authentic request says of itself. Raises `Problem` for a shop or headers that are not understood."""
    said = {
        name: headers.get(f"x-shopify-{name}".encode(), b"").decode("latin-1")
        for name in ("topic", "shop-domain", "webhook-id")
    }
    if missing := [
        name for name, text in said.items() if not 0 < len(text) <= 200 or not text.isprintable()
    ]:
        named = ", ".join(f"X-Shopify-{name.title()}" for name in missing)
        raise Problem(
            400, "shopify-headers", "Headers are missing", detail=f"Missing or unusable: {named}."
        )
    channel = shopify.shops.get(said["shop-domain"].lower())
    if channel is None:
        raise Problem(
            403,
            "shop-unknown",
            "Not one of our shops",
            detail=f"{said['shop-domain']} has no channel here: add it to OMS_SHOPIFY_SHOPS.",
        )
    return Webhook(said["topic"], said["webhook-id"], body, channel), said["shop-domain"]


async def _decided(runtime: Runtime, inbound: Inbound, shop: str, webhook: Webhook) -> Answer:
    """The durable answer; the same webhook again gets the same."""
    digest = hashlib.sha256(webhook.topic.encode() + b"\0" + webhook.body).digest()
    task = Task(
        message=inbound,
        id=f"request:{new_id()}",
        actor=f"channel:{webhook.channel}",
        idempotency=(f"shopify {shop}", webhook.id, digest),
        respond=lambda outcome: Answer(digest, 200, _said(inbound, outcome)),
    )
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            outcome = await runtime.writer.handle(task)
    except IdempotencyMismatch:
        raise mismatch() from None
    except (Unavailable, Overloaded, TimeoutError) as error:
        raise Problem(
            503,
            "try-again",
            "The service cannot write now",
            detail="Nothing is known to have happened. Send the same webhook again.",
            retry_after_s=1,
        ) from error
    assert outcome.answer is not None
    return outcome.answer


def _said(inbound: Inbound, outcome: Outcome) -> bytes:
    taken = Taken()
    taken.add(inbound, outcome)
    if taken.refused:
        code = inbound.reason if isinstance(inbound, RefuseInput) else ""
        code = code or (outcome.refused.code if outcome.refused else "")
        said = {
            "outcome": "refused",
            "reason": code,
            "detail": taken.refused[0][1],
            "refusal_id": inbound.refusal_id,
        }
    else:
        said = {"outcome": "taken" if taken.accepted else "known"}
    return msgspec.json.encode(said)


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _forged() -> Problem:
    return Problem(
        401,
        "signature-invalid",
        "The signature is not ours",
        detail="X-Shopify-Hmac-Sha256 must be the base64 of the HMAC-SHA-256 of the raw body under the app's secret.",
        headers={"WWW-Authenticate": "Shopify-Hmac-Sha256"},
    )
