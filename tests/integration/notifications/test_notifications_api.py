"""The service over HTTP: endpoints come and go, histories are read back, secrets stay secret."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import uuid4

import httpx
import msgspec
import pytest
from standardwebhooks import Webhook

from services.notifications.api import routes
from shared.events import encode
from shared.events import notifications as n
from shared.events.notifications import ENDPOINTS
from shared.events.order import OrderCompleted
from shared.service import Keyring, Role, create_app
from shared.service.runtime import Runtime
from shared.service.security import KeyEntry, generate_key, hash_key
from tests.integration.notifications.conftest import (
    LOOPBACK,
    SECRETS,
    Notifier,
    Receiver,
    Sink,
    until,
)
from tests.unit.notifications.happenings import CONFIRMED, SHIPPED, placed

KEYS = {role: generate_key(role) for role in (Role.OPS, Role.AGENT, Role.AUDITOR, Role.WAREHOUSE)}


def keyring() -> Keyring:
    return Keyring([KeyEntry(role.value, hash_key(key), role) for role, key in KEYS.items()])


def client_of(notifier: Notifier, *, webhooks: bool = True) -> httpx.AsyncClient:
    runtime = cast(Any, Runtime)(notifier.table, notifier.store, notifier.writer, None, None)
    app = create_app("notifications", keyring=keyring())
    app.include_router(routes(runtime, SECRETS if webhooks else None, LOOPBACK))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://n")


@pytest.fixture
async def http(notifier: Notifier) -> AsyncIterator[httpx.AsyncClient]:
    """The service's API; afterwards no endpoint is left."""
    async with client_of(notifier) as client:
        yield client
        for item in (await client.get("/endpoints", headers=as_(Role.OPS))).json()["items"]:
            await client.delete(f"/endpoints/{item['endpoint_id']}", headers=as_(Role.OPS))


def as_(role: Role, key: str | None = None) -> dict[str, str]:
    return {"X-API-Key": KEYS[role], "Idempotency-Key": key or uuid4().hex}


@pytest.fixture
def order() -> str:
    """An order's id."""
    return uuid4().hex


async def test_an_endpoint_from_cradle_to_grave(
    http: httpx.AsyncClient, notifier: Notifier, receiver: Receiver, order: str
) -> None:
    body = {"url": receiver.url, "types": ["oms.order.shipped.v1", "oms.order.completed.v1"]}
    answer = await http.post("/endpoints", json=body, headers=as_(Role.OPS, "key-1"))
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/endpoints/{made['endpoint_id']}"
    again = await http.post("/endpoints", json=body, headers=as_(Role.OPS, "key-1"))
    assert (again.status_code, again.json()) == (201, made)
    assert again.headers["idempotent-replayed"] == "true"

    listed = (await http.get("/endpoints", headers=as_(Role.OPS))).json()["items"]
    assert [e["endpoint_id"] for e in listed] == [made["endpoint_id"]]
    assert made["secret"] not in repr(listed)

    shipped = msgspec.structs.replace(SHIPPED, order_id=order)
    await notifier.hear(shipped, f"order-{order}/7")
    await notifier.hear(OrderCompleted(order_id=order), f"order-{order}/9")
    await until(lambda: len(receiver.got) == 2)
    for headers, payload in receiver.got:
        Webhook(made["secret"]).verify(payload, headers)

    async def all_delivered() -> bool:
        page = await http.get("/webhooks", headers=as_(Role.OPS))
        return all(i["status"] == "delivered" for i in page.json()["items"])

    await until(all_delivered)
    params = {"endpoint": made["endpoint_id"], "limit": 1}
    page = (await http.get("/webhooks", params=params, headers=as_(Role.OPS))).json()
    [first] = page["items"]
    assert first["payload"] == msgspec.json.decode(encode(shipped))
    assert (first["sequence"], first["http_status"]) == (1, 200)
    rest = await http.get(
        "/webhooks", params=params | {"after": page["after"]}, headers=as_(Role.OPS)
    )
    assert [i["sequence"] for i in rest.json()["items"]] == [2]

    path = f"/endpoints/{made['endpoint_id']}"
    assert (await http.delete(path, headers=as_(Role.OPS))).status_code == 204
    gone = await http.delete(path, headers=as_(Role.OPS))
    assert (gone.status_code, gone.json()["type"]) == (404, "urn:oms:problem:endpoint-unknown")
    await notifier.hear(OrderCompleted(order_id=order), f"order-{order}/10")
    assert len(receiver.got) == 2


async def test_the_secret_is_nowhere_in_the_database(
    http: httpx.AsyncClient, notifier: Notifier
) -> None:
    body = {"url": "https://example.com/", "endpoint_id": uuid4().hex}
    made = (await http.post("/endpoints", json=body, headers=as_(Role.OPS))).json()
    assert made["secret"] == SECRETS.of(body["endpoint_id"])
    async with notifier.store.connection() as c:
        tables = ["messages", "streams", "idempotency", "effects"]
        found = [await (await c.execute(f"select * from {t}")).fetchall() for t in tables]
    assert made["secret"].removeprefix("whsec_") not in repr(found)
    assert body["endpoint_id"] in repr(found)


async def test_histories_of_mails(
    http: httpx.AsyncClient, notifier: Notifier, sink: Sink, order: str
) -> None:
    await sink.start()
    path = f"/orders/{order}/notifications"
    empty = await http.get(path, headers=as_(Role.AGENT))
    assert empty.json() == {"order_id": order, "items": []}
    for number, event in enumerate((placed(), CONFIRMED)):
        mine = msgspec.structs.replace(event, order_id=order)
        await notifier.hear(mine, f"order-{order}/{number}")
    await until(lambda: notifier.has(f"correspondence-{order}", n.NotificationSent))
    [item] = (await http.get(path, headers=as_(Role.AUDITOR))).json()["items"]
    assert (item["template"], item["status"]) == ("order_confirmed", "sent")
    assert item["message_id"] == f"<{item['notification_id']}@oms.local>"
    assert item["cause_id"] == f"order-{order}/1"
    assert "ada@example.com" not in repr(item)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "/url"),
        ({"url": "http://example.com/"}, "/url"),
        ({"url": "https://u:p@example.com/"}, "/url"),
        ({"url": "https://example.com/", "types": ["oms.order.exploded.v1"]}, "/types/0"),
        ({"url": "https://example.com/", "types": "all"}, "/types"),
        ({"url": "https://example.com/", "endpoint_id": "../x"}, "/endpoint_id"),
        ({"url": "https://example.com/", "secret": "mine"}, "/secret"),
        ({"url": 7}, "/url"),
    ],
)
async def test_bad_requests_name_the_field(
    http: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    answer = await http.post("/endpoints", json=body, headers=as_(Role.OPS))
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == [field]
    assert "u:p" not in answer.text


async def test_another_endpoint_under_a_known_id_is_refused(http: httpx.AsyncClient) -> None:
    body = {"url": "https://example.com/", "endpoint_id": uuid4().hex}
    assert (await http.post("/endpoints", json=body, headers=as_(Role.OPS))).status_code == 201
    assert (await http.post("/endpoints", json=body, headers=as_(Role.OPS))).status_code == 201
    other = body | {"url": "https://example.com/other"}
    answer = await http.post("/endpoints", json=other, headers=as_(Role.OPS))
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:oms:problem:endpoint-exists")


async def test_only_operations_may_touch_endpoints(
    http: httpx.AsyncClient, notifier: Notifier
) -> None:
    body = {"url": "https://example.com/"}
    for role in (Role.AGENT, Role.AUDITOR, Role.WAREHOUSE):
        assert (await http.post("/endpoints", json=body, headers=as_(role))).status_code == 403
        assert (await http.get("/endpoints", headers=as_(role))).status_code == 403
        assert (await http.get("/webhooks", headers=as_(role))).status_code == 403
        assert (await http.delete("/endpoints/e1", headers=as_(role))).status_code == 403
    assert (
        await http.get("/orders/1/notifications", headers=as_(Role.WAREHOUSE))
    ).status_code == 403
    assert (await http.get("/endpoints")).status_code == 401
    before = len(await notifier.log(ENDPOINTS))
    assert (await http.post("/endpoints", json=body)).status_code == 401
    assert len(await notifier.log(ENDPOINTS)) == before


async def test_without_a_key_to_sign_with_webhooks_are_off(notifier: Notifier) -> None:
    async with client_of(notifier, webhooks=False) as client:
        answer = await client.post(
            "/endpoints", json={"url": "https://example.com/"}, headers=as_(Role.OPS)
        )
    assert answer.status_code == 409
    assert "OMS_WEBHOOK_KEY" in answer.json()["detail"]


async def test_cursors_that_are_none_are_refused(http: httpx.AsyncClient) -> None:
    for params in ({"after": "-1"}, {"after": str(2**63)}, {"after": "x"}, {"limit": "0"}):
        answer = await http.get("/webhooks", params=params, headers=as_(Role.OPS))
        assert answer.status_code == 422


@pytest.mark.parametrize(
    "url", ["https://10.1.2.3/hooks", "https://[fd00:ec2::254]/", "https://169.254.169.254/"]
)
async def test_an_endpoint_inside_is_refused_by_field(http: httpx.AsyncClient, url: str) -> None:
    answer = await http.post("/endpoints", json={"url": url}, headers=as_(Role.OPS))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "/url"
    assert "OMS_WEBHOOK_NETWORKS" in answer.json()["detail"]
