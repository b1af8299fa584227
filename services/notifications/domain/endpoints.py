"""Webhook endpoints: who wants which events, and how each delivery ended.

All endpoints share one stream, because an event's decider must know them all before it looks.
"""

from typing import assert_never
from uuid import UUID, uuid5

import msgspec

from services.notifications.domain.messages import (
    CallWebhook,
    ReadEndpoints,
    RegisterEndpoint,
    RemoveEndpoint,
    WebhookAbandoned,
    WebhookAnswered,
)
from services.notifications.domain.urls import objection
from shared.events import Context, Effect, Event, Items, Refused, States, encode
from shared.events.notifications import (
    ENDPOINTS,
    EndpointDisabled,
    EndpointRegistered,
    EndpointRemoved,
    WebhookDelivered,
    WebhookFailed,
    WebhookQueued,
)

#: Endpoints at once, disabled ones included. Every event is compared with each of them.
ENDPOINTS_MAX = 100
GONE = 410

_WEBHOOKS = UUID("7c0a7b0e-5d53-5b0c-8c43-0f5a2d6a9e11")

EndpointLog = EndpointRegistered | EndpointDisabled | EndpointRemoved | WebhookQueued


class Endpoint(msgspec.Struct, frozen=True):
    """One receiver. ``types`` empty: everything. ``sequence`` is that of its latest webhook."""

    url: str
    types: tuple[str, ...]
    sequence: int = 0
    disabled: str = ""


class Registry(msgspec.Struct, frozen=True):
    """All endpoints by id."""

    endpoints: dict[str, Endpoint] = {}


class Delivery(msgspec.Struct, frozen=True):
    """One webhook's end."""

    settled: bool = False


def evolve(state: Registry, event: EndpointLog) -> Registry:
    """Fold what happened to the endpoints."""
    endpoints = dict(state.endpoints)
    match event:
        case EndpointRegistered():
            known = endpoints.get(event.endpoint_id)
            sequence = known.sequence if known else 0
            endpoints[event.endpoint_id] = Endpoint(event.url, event.types, sequence)
        case EndpointDisabled():
            endpoint = endpoints[event.endpoint_id]
            endpoints[event.endpoint_id] = msgspec.structs.replace(endpoint, disabled=event.reason)
        case EndpointRemoved():
            del endpoints[event.endpoint_id]
        case WebhookQueued():
            old = endpoints[event.endpoint_id]
            endpoints[event.endpoint_id] = Endpoint(
                old.url, old.types, event.sequence, old.disabled
            )
        case _:
            assert_never(event)
    return Registry(endpoints)


def evolve_delivery(_: Delivery, event: WebhookDelivered | WebhookFailed) -> Delivery:
    """A delivery ends once."""
    match event:
        case WebhookDelivered() | WebhookFailed():
            return Delivery(settled=True)
        case _:
            assert_never(event)


def dispatch(state: Registry, event: Event, context: Context) -> Items:
    """A webhook for every endpoint that wants this event; nothing, cheaply, when none does."""
    if not state.endpoints:
        return []
    tag = event.tag()
    items: Items = []
    payload: msgspec.Raw | None = None
    for endpoint_id, endpoint in state.endpoints.items():
        if endpoint.disabled or (endpoint.types and tag not in endpoint.types):
            continue
        if payload is None:
            payload = msgspec.Raw(encode(event))
        items += _deliver(endpoint_id, endpoint, event, payload, context)
    return items


def _deliver(
    endpoint_id: str, endpoint: Endpoint, event: Event, payload: msgspec.Raw, context: Context
) -> Items:
    webhook_id = f"msg_{uuid5(_WEBHOOKS, f'{endpoint_id} {context.message_id}').hex}"
    sequence = endpoint.sequence + 1
    queued = WebhookQueued(
        endpoint_id=endpoint_id,
        webhook_id=webhook_id,
        sequence=sequence,
        event_id=context.message_id,
        event_type=event.tag(),
        payload=payload,
    )
    call = CallWebhook(
        webhook_id=webhook_id,
        endpoint_id=endpoint_id,
        sequence=sequence,
        event_id=context.message_id,
        event_type=event.tag(),
        subject=event.subject,
        payload=payload,
    )
    effect = Effect(id=f"webhook:{webhook_id}", subject=f"webhook-{webhook_id}", request=call)
    return [queued, effect]


def register(state: Registry, command: RegisterEndpoint, _: Context) -> Items:
    """A new endpoint; the same one again changes nothing, but that it is called again if it was disabled."""
    known = state.endpoints.get(command.endpoint_id)
    registered = EndpointRegistered(
        endpoint_id=command.endpoint_id, url=command.url, types=command.types
    )
    if known is not None:
        if (known.url, known.types) == (command.url, command.types):
            return [registered] if known.disabled else []
        detail = f"Endpoint {command.endpoint_id} exists with other settings: use another id."
        return [Refused(code="endpoint-exists", detail=detail)]
    if why := objection(command.url):
        return [Refused(code="endpoint-url", detail=why)]
    if len(state.endpoints) >= ENDPOINTS_MAX:
        detail = f"{ENDPOINTS_MAX} endpoints are registered: remove one first."
        return [Refused(code="too-many-endpoints", detail=detail)]
    return [registered]


def remove(state: Registry, command: RemoveEndpoint, context: Context) -> Items:
    """Nothing more goes to the endpoint; what is queued for it is dropped at its next attempt."""
    if command.endpoint_id not in state.endpoints:
        detail = f"There is no endpoint {command.endpoint_id}."
        return [Refused(code="unknown-endpoint", detail=detail)]
    return [EndpointRemoved(endpoint_id=command.endpoint_id, actor=context.actor)]


def read(_: Registry, __: ReadEndpoints, ___: Context) -> Items:
    """Nothing to decide."""
    return []


def settle(states: States, answer: WebhookAnswered | WebhookAbandoned, _: Context) -> Items:
    """The end of a delivery; 410 also ends the endpoint (Standard Webhooks, "gone")."""
    delivery: Delivery = states[answer.subject]
    if delivery.settled:
        return []
    ids = {"webhook_id": answer.webhook_id, "endpoint_id": answer.endpoint_id}
    if isinstance(answer, WebhookAbandoned):
        return [WebhookFailed(**ids, reason=f"the endpoint was {answer.reason}")]
    if answer.status != GONE:
        return [WebhookDelivered(**ids, status=answer.status)]
    items: Items = [WebhookFailed(**ids, reason="the endpoint answered 410 Gone")]
    registry: Registry = states[ENDPOINTS]
    endpoint = registry.endpoints.get(answer.endpoint_id)
    if endpoint is not None and not endpoint.disabled:
        items.append(EndpointDisabled(endpoint_id=answer.endpoint_id, reason="410 Gone"))
    return items
