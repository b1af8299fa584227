"""The notifications service over HTTP: webhook endpoints, and what was sent to whom."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from services.notifications import queries
from services.notifications.addresses import Addresses, InsideError, host_of
from services.notifications.directory import read_registry
from services.notifications.domain.endpoints import Registry
from services.notifications.domain.messages import RegisterEndpoint, RemoveEndpoint
from services.notifications.domain.urls import URL_LENGTH_MAX, objection
from services.notifications.handlers import WEBHOOK_TYPES
from services.notifications.signing import Secrets
from shared.ledger.store import Unavailable
from shared.ledger.work import Outcome, Overloaded
from shared.service import (
    FieldError,
    IdempotencyKey,
    Identifier,
    Input,
    Position,
    Principal,
    Problem,
    Reply,
    Role,
    idempotency,
    require,
    router,
)
from shared.service.commands import decide
from shared.service.ids import new_id
from shared.service.openapi import leads_to
from shared.service.pagination import Limit
from shared.service.runtime import Runtime

Ops = Annotated[Principal, Depends(require(Role.OPS))]
Reader = Annotated[Principal, Depends(require(Role.AGENT, Role.OPS, Role.AUDITOR))]
Key = Annotated[IdempotencyKey, Depends(idempotency)]

REGISTERED = leads_to(
    201, {"endpoint_id": "$response.body#/endpoint_id"}, "DELETE /endpoints/{endpoint_id}"
)

_TAGS = frozenset(t.tag() for t in WEBHOOK_TYPES)


def _known_type(tag: str) -> str:
    if tag not in _TAGS:
        known = ", ".join(sorted(_TAGS))
        raise PydanticCustomError("event_type", "No event type; one of {known}", {"known": known})
    return tag


def _callable_url(url: str) -> str:
    if why := objection(url):
        raise PydanticCustomError("endpoint_url", "{why}", {"why": why})
    return url


EventType = Annotated[str, AfterValidator(_known_type)]
Url = Annotated[str, Field(max_length=URL_LENGTH_MAX), AfterValidator(_callable_url)]


class EndpointIn(Input):
    """A receiver of events: https to the public internet; loopback (in http, too) and other networks inside only where
    the service is told so. No types: every type."""

    url: Url
    types: Annotated[list[EventType], Field(max_length=100, default_factory=list)]
    endpoint_id: Identifier | None = None


def routes(runtime: Runtime, secrets: Secrets | None, addresses: Addresses) -> APIRouter:
    """The routes of the notifications service; without ``secrets`` webhooks are off."""
    r = router()
    _endpoint_routes(r, runtime, secrets, addresses)
    _history_routes(r, runtime)
    return r


def _endpoint_routes(
    r: APIRouter, runtime: Runtime, secrets: Secrets | None, addresses: Addresses
) -> None:
    @r.post("/endpoints", status_code=201, tags=["webhooks"], responses=REGISTERED)
    async def register(body: EndpointIn, who: Ops, key: Key) -> Response:
        """Register a webhook endpoint; the answer holds the secret that its signatures are made
        with (Standard Webhooks). The same id and settings again change nothing, but that a disabled endpoint is
        called again."""
        if secrets is None:
            raise _webhooks_off()
        try:
            await addresses.check_host(host_of(body.url))
        except InsideError as inside:
            raise _leads_inside(inside) from inside
        command = RegisterEndpoint(
            endpoint_id=body.endpoint_id or new_id(),
            url=body.url,
            types=tuple(dict.fromkeys(body.types)),
        )

        def respond(_: Outcome) -> tuple[int, Any]:
            return 201, {
                "endpoint_id": command.endpoint_id,
                "url": command.url,
                "types": command.types,
            }

        reply = await decide(runtime.writer, command, who, key, respond)
        # The stored answer holds no secret: it is derived each time.
        shown = msgspec.json.decode(reply.content)
        shown["secret"] = secrets.of(shown["endpoint_id"])
        location = f"/endpoints/{shown['endpoint_id']}"
        return _response(reply, msgspec.json.encode(shown), {"Location": location})

    @r.get("/endpoints", tags=["webhooks"])
    async def endpoints(who: Ops) -> dict[str, Any]:
        """All webhook endpoints, without their secrets."""
        registry = await _registry(runtime)
        return {
            "items": [
                {
                    "endpoint_id": id,
                    "url": e.url,
                    "types": e.types,
                    "sequence": e.sequence,
                    "disabled": e.disabled or None,
                }
                for id, e in registry.endpoints.items()
            ]
        }

    @r.delete("/endpoints/{endpoint_id}", status_code=204, tags=["webhooks"])
    async def remove(endpoint_id: Identifier, who: Ops) -> Response:
        """Send nothing more to an endpoint, what is queued included."""
        if endpoint_id not in (await _registry(runtime)).endpoints:
            raise Problem(
                404,
                "endpoint-unknown",
                "No such endpoint",
                detail=f"No endpoint {endpoint_id} is registered. GET /endpoints lists them.",
            )
        command = RemoveEndpoint(endpoint_id=endpoint_id)
        await decide(runtime.writer, command, who, None, lambda _: (204, None))
        return Response(status_code=204)


def _history_routes(r: APIRouter, runtime: Runtime) -> None:
    @r.get("/orders/{order_id}/notifications", tags=["notifications"])
    async def notifications(order_id: Identifier, who: Reader) -> dict[str, Any]:
        """What the order's customer was sent, oldest first; empty for an order without e-mail."""
        items = await queries.notifications_of(runtime.store, runtime.table, order_id)
        return {"order_id": order_id, "items": items}

    @r.get("/webhooks", tags=["webhooks"])
    async def webhooks(
        who: Ops,
        endpoint: Annotated[Identifier | None, Query(description="Endpoint id")] = None,
        after: Annotated[Position, Query(description="Cursor of the last item seen")] = 0,
        limit: Limit = 50,
    ) -> Response:
        """Webhooks in order, with payload and outcome: what an integrator missed can be read again
        from any cursor."""
        items = await queries.webhooks_of(
            runtime.store, runtime.table, endpoint=endpoint, after=after, limit=limit
        )
        page = {"items": items, "after": items[-1]["cursor"] if items else after}
        return Response(queries.as_json(page), media_type="application/json")


async def _registry(runtime: Runtime) -> Registry:
    try:
        return await read_registry(runtime.writer)
    except (Unavailable, Overloaded) as error:
        raise Problem(
            503,
            "try-again",
            "The service cannot read now",
            detail="Its database does not answer. Try again in a moment.",
            retry_after_s=1,
        ) from error


def _leads_inside(inside: InsideError) -> Problem:
    return Problem(
        422,
        "validation-failed",
        "The request has invalid fields",
        detail="Give an address of the public internet. Receivers inside are allowed by their "
        "network in OMS_WEBHOOK_NETWORKS.",
        errors=[FieldError("/url", f"The address leads inside: {inside}", "endpoint_url")],
    )


def _webhooks_off() -> Problem:
    return Problem(
        409,
        "webhooks-off",
        "Webhooks are off",
        detail="This service has no key to sign with: set OMS_WEBHOOK_KEY and start it again.",
    )


def _response(reply: Reply, content: bytes, more: dict[str, str]) -> Response:
    headers = {name.decode(): value.decode() for name, value in reply.headers} | more
    return Response(content, reply.status, headers, media_type="application/json")
