"""What Stripe reports by itself, recorded as the answer of the effect that asked for it.

Whoever comes first, the webhook or the answer to the call, claims the effect; the other finds it gone and changes
nothing. So an event may come twice, late or before the call has returned.
"""

from typing import Any

import msgspec
import structlog
from fastapi import APIRouter, Request, Response

from services.order.domain.messages import (
    AuthorisePayment,
    CapturePayment,
    RefundPayment,
    VoidPayment,
)
from services.order.effects import answer
from shared.ledger.store import Meta, Unavailable
from shared.ledger.work import Overloaded, Task
from shared.payments.stripe import Settled, WebhookRefused, read_webhook
from shared.service import Problem, router
from shared.service.http import PUBLIC
from shared.service.runtime import Runtime

log = structlog.get_logger()

_EFFECT = "select type, request, meta from effects where id = %(id)s"
_REQUESTS: dict[str, msgspec.json.Decoder[Any]] = {
    t.tag(): msgspec.json.Decoder(t)
    for t in (AuthorisePayment, CapturePayment, VoidPayment, RefundPayment)
}


def routes(runtime: Runtime, secret: str) -> APIRouter:
    """The endpoint to register with Stripe; `secret` is what it signs with (`whsec_…`)."""
    r = router(tags=["payments"])

    @r.post("/payments/stripe/webhook", dependencies=[PUBLIC], status_code=204)
    async def webhook(request: Request) -> Response:
        """Stripe's events, open to whoever can sign them. Those that settle nothing are taken and ignored."""
        signature = request.headers.get("stripe-signature", "")
        try:
            settled = read_webhook(await request.body(), signature, secret)
        except WebhookRefused as error:
            raise Problem(
                400, "webhook-refused", "Not a signed event of Stripe's", detail=str(error)
            ) from error
        for each in settled:
            await _record(runtime, each)
        return Response(status_code=204)

    return r


async def _record(runtime: Runtime, settled: Settled) -> None:
    async with runtime.store.connection() as connection:
        cursor = await connection.execute(_EFFECT, {"id": settled.key})
        row = await cursor.fetchone()
    if row is None:
        log.info("stripe_event_known", effect=settled.key)
        return
    type, request, encoded = row
    meta = msgspec.json.decode(encoded, type=Meta)
    try:
        message = answer(_REQUESTS[type].decode(request), settled.outcome)
    except TypeError as error:  # somebody else wrote into the intent's metadata
        log.error("stripe_event_misfit", effect=settled.key, error=str(error))
        return
    task = Task(
        message=message,
        id=f"effect:{settled.key}",
        correlation_id=meta.correlation,
        traceparent=meta.trace,
        cause=meta.causation,
        effect=settled.key,
    )
    try:
        await runtime.writer.handle(task)
    except (Unavailable, Overloaded) as error:
        raise Problem(
            503,
            "try-again",
            "The service cannot write now",
            detail="Nothing was recorded. Send the event again.",
            retry_after_s=1,
        ) from error
