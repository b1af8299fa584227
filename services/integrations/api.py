"""The integrations service over HTTP: the gateway of channels, and refused inputs."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from services.integrations.channels.documents import OrderDocument, command_of
from services.integrations.channels.shopify import endpoint
from services.integrations.channels.shopify.endpoint import Shopify
from services.integrations.domain.messages import (
    OrderInbound,
    RefuseInput,
    TakeCancellation,
    TakeOrder,
)
from services.integrations.refused import refused_input, refused_page
from services.integrations.resubmitting import Adapter, adapters, resubmit
from shared.events.order import RequestCancellation
from shared.ledger.work import Outcome
from shared.service import (
    IdempotencyKey,
    Identifier,
    Input,
    Position,
    Principal,
    Problem,
    Role,
    Text,
    idempotency,
    require,
    router,
)
from shared.service.admission import NEW_WORK
from shared.service.commands import answer, as_response, decide
from shared.service.openapi import leads_to
from shared.service.pagination import Limit
from shared.service.runtime import Runtime
from shared.service.scope import check_channel

Caller = Annotated[Principal, Depends(require(Role.CHANNEL, Role.AGENT))]
Ops = Annotated[Principal, Depends(require(Role.OPS))]
Reader = Annotated[Principal, Depends(require(Role.OPS, Role.AUDITOR))]
Key = Annotated[IdempotencyKey, Depends(idempotency)]

SOURCE = "rest"
#: Characters of a corrected payload. What is longer is a file: drop it.
CORRECTED_MAX = 65_536

TAKEN = leads_to(
    202,
    {"channel": "$request.path.channel", "number": "$request.body#/number"},
    "POST /channels/{channel}/orders/{number}/cancel",
)
KEPT = leads_to(
    201,
    {"refusal_id": "$response.body#/refusal_id"},
    "GET /refused/{refusal_id}",
    "POST /refused/{refusal_id}/resubmit",
)

Payload = Annotated[
    str, Field(strict=True, min_length=1, max_length=CORRECTED_MAX, pattern=r"^[^\x00]*$")
]


class CancelIn(Input):
    """Why."""

    reason: Text


class RefusedIn(Input):
    """An input that another reader of this system could not use; ``payload`` is an order document."""

    source: Annotated[str, Field(strict=True, max_length=100, pattern=r"^import\.[a-z0-9-]+$")]
    channel: Identifier
    reference: Identifier
    reason: Identifier
    detail: Text
    payload: Payload


class ResubmitIn(Input):
    """The corrected input, in the format in which it came; left out: as it came."""

    payload: Payload | None = None


def routes(runtime: Runtime, shopify: Shopify) -> APIRouter:
    """The routes of the integrations service."""
    r = router()
    _gateway(r, runtime)
    _refused(r, runtime, adapters(shopify.payment_method))
    r.include_router(endpoint.routes(runtime, shopify))
    return r


def _gateway(r: APIRouter, runtime: Runtime) -> None:
    @r.post(
        "/channels/{channel}/orders",
        status_code=202,
        tags=["channels"],
        responses=TAKEN,
        dependencies=[NEW_WORK],
    )
    async def place(channel: Identifier, body: OrderDocument, who: Caller, key: Key) -> Response:
        """Take an order: durable before the answer, then on its way to the order service. The same number again is the
        same order; another order under it is refused."""
        check_channel(who, channel)
        command = TakeOrder(
            source=SOURCE, reference=key.key, order=command_of(body, channel), kept=False
        )
        return await _taken(runtime, command, who, key)

    @r.post("/channels/{channel}/orders/{number}/cancel", status_code=202, tags=["channels"])
    async def cancel(
        channel: Identifier, number: Identifier, body: CancelIn, who: Caller, key: Key
    ) -> Response:
        """Take an order back; the order service says whether it came in time."""
        check_channel(who, channel)
        request = RequestCancellation(channel=channel, external_id=number, reason=body.reason)
        command = TakeCancellation(source=SOURCE, reference=key.key, request=request)
        return await _taken(runtime, command, who, key)


async def _taken(
    runtime: Runtime, command: OrderInbound, who: Principal, key: IdempotencyKey
) -> Response:
    taken = {"order_id": command.order_id, "status": "taken"}
    return await answer(runtime.writer, command, who, key, lambda _: taken)


def _refused(r: APIRouter, runtime: Runtime, readers: Mapping[str, Adapter]) -> None:
    @r.get("/refused", tags=["refused inputs"])
    async def refused(
        who: Reader,
        source: Annotated[str, Query(max_length=100, description="Only of one source")] = "",
        everything: Annotated[bool, Query(description="Resubmitted ones as well")] = False,
        after: Annotated[Position, Query(description="Cursor of the last item seen")] = 0,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Inputs that were not taken, in the order in which they came."""
        items = await refused_page(
            runtime.store, source=source, everything=everything, after=after, limit=limit
        )
        return {"items": items, "after": items[-1]["number"] if items else after}

    @r.post("/refused", status_code=201, tags=["refused inputs"], responses=KEPT)
    async def keep(body: RefusedIn, who: Ops, key: Key) -> Response:
        """Keep an input that the importer could not use. The same again is kept once: ``new`` tells."""
        command = RefuseInput(**body.__dict__)

        def respond(outcome: Outcome) -> tuple[int, Any]:
            return 201, {"refusal_id": command.refusal_id, "new": bool(outcome.events)}

        return as_response(await decide(runtime.writer, command, who, key, respond))

    @r.get("/refused/{refusal_id}", tags=["refused inputs"])
    async def show(refusal_id: Identifier, who: Reader) -> dict[str, Any]:
        """One refused input with its payload."""
        found = await refused_input(runtime.store, refusal_id)
        if found is None:
            raise _unknown(refusal_id)
        return found

    @r.post("/refused/{refusal_id}/resubmit", tags=["refused inputs"])
    async def again(refusal_id: Identifier, body: ResubmitIn, who: Ops) -> dict[str, Any]:
        """Read an input again, as it came or corrected. What was taken before is not taken twice."""
        found = await refused_input(runtime.store, refusal_id)
        if found is None:
            raise _unknown(refusal_id)
        taken = await resubmit(runtime.writer, readers, found, body.payload, who)
        return {
            "refusal_id": refusal_id,
            "accepted": taken.accepted,
            "known": taken.known,
            "refused": [reason for _, reason in taken.refused],
        }


def _unknown(refusal_id: str) -> Problem:
    return Problem(
        404,
        "refusal-unknown",
        "No such refused input",
        detail=f"No refused input {refusal_id} is kept. GET /refused lists them.",
    )
