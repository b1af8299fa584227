"""What the API reads from the log: an order's messages, an endpoint's webhooks."""

from typing import Any

import msgspec

from shared.events import encode
from shared.events.envelope import rfc3339
from shared.events.notifications import (
    ENDPOINTS,
    NotificationFailed,
    NotificationRequested,
    NotificationSent,
    WebhookDelivered,
    WebhookFailed,
    WebhookQueued,
)
from shared.ledger.postgres import PostgresStore
from shared.ledger.table import Table

_QUEUED = """
select version, at, data from messages
where stream = %(stream)s and version > %(after)b and type = %(type)s
  and (%(endpoint)s::text is null or key = %(endpoint)s)
order by version limit %(limit)b"""

_ENDED = "select at, type, data from messages where stream = any(%(streams)b::text[])"


async def notifications_of(store: PostgresStore, table: Table, order_id: str) -> list[Any]:
    """What an order's customer was sent, oldest first: status is requested, sent or failed."""
    found: dict[str, dict[str, Any]] = {}
    for _, tag, at, _, data in await store.stream(f"correspondence-{order_id}"):
        event = table.codec.decode(tag, data)
        match event:
            case NotificationRequested():
                found[event.notification_id] = {
                    "notification_id": event.notification_id,
                    "template": event.template,
                    "cause_id": event.cause_id,
                    "status": "requested",
                    "requested_at": rfc3339(at),
                }
            case NotificationSent():
                found[event.notification_id] |= {
                    "status": "sent",
                    "message_id": event.message_id,
                    "ended_at": rfc3339(at),
                }
            case NotificationFailed():
                found[event.notification_id] |= {
                    "status": "failed",
                    "reason": event.reason,
                    "ended_at": rfc3339(at),
                }
            case _:  # the opening, which is nobody's business here
                continue
    return list(found.values())


async def webhooks_of(
    store: PostgresStore, table: Table, *, endpoint: str | None, after: int, limit: int
) -> list[Any]:
    """Webhooks in order, above a cursor, with what was sent and how it ended: status is queued,
    delivered or failed. Each item's ``cursor`` is what to go on after."""
    async with store.connection() as c:
        args = {"stream": ENDPOINTS, "type": WebhookQueued.tag(), "endpoint": endpoint}
        cursor = await c.cursor(binary=True).execute(
            _QUEUED, args | {"after": after, "limit": limit}
        )
        queued = await cursor.fetchall()
    decode = msgspec.json.Decoder(WebhookQueued).decode
    events = [(version, at, decode(data)) for version, at, data in queued]
    ended = await _ended(store, table, [event.webhook_id for _, _, event in events])
    return [
        {
            "cursor": version,
            "webhook_id": event.webhook_id,
            "endpoint_id": event.endpoint_id,
            "sequence": event.sequence,
            "event_id": event.event_id,
            "event_type": event.event_type,
            "queued_at": rfc3339(at),
            "status": "queued",
            **ended.get(event.webhook_id, {}),
            "payload": event.payload,
        }
        for version, at, event in events
    ]


async def _ended(store: PostgresStore, table: Table, ids: list[str]) -> dict[str, dict[str, Any]]:
    """How each of these webhooks ended; those that have not are left out."""
    if not ids:
        return {}
    async with store.connection() as c:
        cursor = await c.cursor(binary=True).execute(
            _ENDED, {"streams": [f"webhook-{i}" for i in ids]}
        )
        rows = await cursor.fetchall()
    found: dict[str, dict[str, Any]] = {}
    for at, tag, data in rows:
        event = table.codec.decode(tag, data)
        if isinstance(event, WebhookDelivered):
            found[event.webhook_id] = {"status": "delivered", "http_status": event.status}
        elif isinstance(event, WebhookFailed):
            found[event.webhook_id] = {"status": "failed", "reason": event.reason}
        else:
            continue
        found[event.webhook_id]["ended_at"] = rfc3339(at)
    return found


def as_json(value: Any) -> bytes:
    """JSON that embeds payloads as they are."""
    return encode(value)
