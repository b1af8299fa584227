"""Webhook endpoints: who gets which event, in which sequence, and when it stops."""

from __future__ import annotations

import json

import pytest

from services.notifications.domain.endpoints import ENDPOINTS_MAX, Registry
from services.notifications.domain.messages import (
    CallWebhook,
    ReadEndpoints,
    RegisterEndpoint,
    RemoveEndpoint,
    WebhookAbandoned,
    WebhookAnswered,
)
from services.notifications.domain.urls import objection
from services.notifications.handlers import WEBHOOK_TYPES, table
from shared.events import Effect, Event, encode
from shared.events import notifications as n
from shared.events import order as o
from shared.events.notifications import ENDPOINTS
from tests.spec import Scenario, given
from tests.unit.notifications.happenings import CONFIRMED, OPENED, ORDER, SHIPPED

TABLE = table()
URL = "https://example.com/hook"
ALL = n.EndpointRegistered(endpoint_id="e1", url=URL, types=())
SHIPMENTS = n.EndpointRegistered(endpoint_id="e2", url=URL, types=(o.OrderShipped.tag(),))
COMPLETED = o.OrderCompleted(order_id=ORDER)


def queued(scenario: Scenario) -> list[n.WebhookQueued]:
    return [i for i in scenario.items if isinstance(i, n.WebhookQueued)]


def calls(scenario: Scenario) -> list[CallWebhook]:
    requests = [i.request for i in scenario.items if isinstance(i, Effect)]
    return [r for r in requests if isinstance(r, CallWebhook)]


def register(id: str = "e1", url: str = URL, types: tuple[str, ...] = ()) -> RegisterEndpoint:
    return RegisterEndpoint(endpoint_id=id, url=url, types=types)


def test_registering_again_changes_nothing_and_differing_is_refused() -> None:
    scenario = given(TABLE).when(register()).then(ALL)
    scenario.when(register()).nothing()
    scenario.when(register(url="https://example.com/other")).rejected("endpoint-exists")


def test_there_is_a_limit() -> None:
    scenario = given(TABLE)
    for number in range(ENDPOINTS_MAX):
        scenario.when(register(f"e{number}"))
    scenario.when(register("one-too-many")).rejected("too-many-endpoints")
    scenario.when(RemoveEndpoint(endpoint_id="e5")).when(register("fits-now"))
    assert len(scenario.state(ENDPOINTS).endpoints) == ENDPOINTS_MAX


def test_without_endpoints_nothing_is_decided() -> None:
    given(TABLE).when(COMPLETED).nothing()
    given(TABLE, SHIPMENTS).when(COMPLETED).nothing()


def test_an_event_goes_to_each_that_wants_it_as_it_was_published() -> None:
    scenario = given(TABLE, ALL, SHIPMENTS).when(SHIPPED, id="order-0b6f/7")
    assert [q.endpoint_id for q in queued(scenario)] == ["e1", "e2"]
    for item, call in zip(queued(scenario), calls(scenario), strict=True):
        assert bytes(call.payload) == bytes(item.payload) == encode(SHIPPED)
        assert json.loads(bytes(call.payload))["tracking_number"] == "JD01"
        assert (call.event_id, call.event_type) == ("order-0b6f/7", "oms.order.shipped.v1")
        assert call.subject == "order-0b6f"
        assert call.webhook_id == item.webhook_id
    assert len({q.webhook_id for q in queued(scenario)}) == 2


def test_mail_and_webhook_come_of_one_event() -> None:
    scenario = given(TABLE, OPENED, ALL).when(CONFIRMED)
    kinds = [type(i).__name__ for i in scenario.items]
    assert kinds == ["NotificationRequested", "Effect", "WebhookQueued", "Effect"]


def test_every_endpoint_counts_its_own_webhooks() -> None:
    scenario = given(TABLE, ALL, SHIPMENTS)
    seen: dict[str, list[int]] = {"e1": [], "e2": []}
    for number, event in enumerate((COMPLETED, SHIPPED, COMPLETED, SHIPPED)):
        for item in queued(scenario.when(event, id=f"m-{number}")):
            seen[item.endpoint_id].append(item.sequence)
    assert seen == {"e1": [1, 2, 3, 4], "e2": [1, 2]}


def test_a_delivery_ends_once() -> None:
    answered = WebhookAnswered(webhook_id="msg_1", endpoint_id="e1", status=204)
    ids = {"webhook_id": "msg_1", "endpoint_id": "e1"}
    scenario = given(TABLE, ALL).when(answered).then(n.WebhookDelivered(**ids, status=204))
    scenario.when(answered).nothing()


def test_gone_disables_the_endpoint_and_nothing_follows() -> None:
    ids = {"webhook_id": "msg_1", "endpoint_id": "e1"}
    scenario = given(TABLE, ALL).when(WebhookAnswered(**ids, status=410))
    scenario.then(
        n.WebhookFailed(**ids, reason="the endpoint answered 410 Gone"),
        n.EndpointDisabled(endpoint_id="e1", reason="410 Gone"),
    )
    scenario.when(COMPLETED).nothing()
    second = WebhookAnswered(webhook_id="msg_2", endpoint_id="e1", status=410)
    scenario.when(second).then_events(
        n.WebhookFailed(
            webhook_id="msg_2", endpoint_id="e1", reason="the endpoint answered 410 Gone"
        )
    )


def test_registering_a_disabled_endpoint_again_enables_it_and_its_count_goes_on() -> None:
    scenario = given(TABLE, ALL).when(CONFIRMED)
    gone = WebhookAnswered(webhook_id=calls(scenario)[0].webhook_id, endpoint_id="e1", status=410)
    scenario.when(gone).when(COMPLETED).nothing()
    scenario.when(register(), id="again").then(ALL)
    scenario.when(register(), id="once more").nothing()
    scenario.when(COMPLETED, id="later")
    assert [x.sequence for x in queued(scenario)] == [2]


def test_a_removed_endpoint_gets_nothing_more() -> None:
    scenario = given(TABLE, ALL).when(RemoveEndpoint(endpoint_id="e1"), actor="ops:o")
    scenario.then(n.EndpointRemoved(endpoint_id="e1", actor="ops:o"))
    scenario.when(COMPLETED).nothing()
    scenario.when(RemoveEndpoint(endpoint_id="e1")).rejected("unknown-endpoint")
    left = WebhookAbandoned(webhook_id="msg_1", endpoint_id="e1", reason="removed")
    scenario.when(left).then(
        n.WebhookFailed(webhook_id="msg_1", endpoint_id="e1", reason="the endpoint was removed")
    )


def test_reading_decides_nothing() -> None:
    given(TABLE, ALL).when(ReadEndpoints()).nothing()


def test_refolding_the_log_calls_nobody_and_comes_to_the_same_state() -> None:
    live = given(TABLE).when(register()).when(register("e2", types=("oms.order.shipped.v1",)))
    for number, event in enumerate((COMPLETED, SHIPPED, SHIPPED)):
        live.when(event, id=f"m-{number}")
    replayed = given(TABLE, *live.log[ENDPOINTS])
    assert replayed.items == []
    assert TABLE.encode_state(replayed.state(ENDPOINTS)) == TABLE.encode_state(
        live.state(ENDPOINTS)
    )


def test_the_log_reads_back_as_it_was_written() -> None:
    scenario = given(TABLE, ALL).when(SHIPPED)
    for event in scenario.log[ENDPOINTS]:
        assert TABLE.codec.decode(event.tag(), encode(event)) == event


def test_what_is_published_holds_no_address_of_an_endpoint() -> None:
    published: list[type[Event]] = [n.EndpointDisabled, n.EndpointRemoved]
    private: list[type[Event]] = [
        n.EndpointRegistered,
        n.WebhookQueued,
        n.WebhookDelivered,
        n.WebhookFailed,
    ]
    assert all(t.route() == "oms.notifications.events" for t in published)
    assert all(t.route() is None for t in private)
    assert not {"url", "secret"} & {f for t in published for f in t.__struct_fields__}
    assert "secret" not in {f for t in private for f in t.__struct_fields__}
    assert all(t.route() for t in WEBHOOK_TYPES)


def test_the_registry_survives_its_snapshot() -> None:
    state: Registry = given(TABLE, ALL, SHIPMENTS).when(SHIPPED).state(ENDPOINTS)
    assert TABLE.decode_state(ENDPOINTS, TABLE.encode_state(state)) == state


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com:8443/hook?token=1",
        "http://127.0.0.1:8126/hooks",
        "http://[::1]:80/",
        "http://localhost:1/x",
    ],
)
def test_good_addresses(url: str) -> None:
    assert objection(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "/hook",
        "http://example.com/hook",
        "http://127.0.0.1.example.com/",
        "http://localhost.example.com/",
        "https://user:secret@example.com/",
        "https://user@example.com/",
        "https://@example.com/",
        "ftp://example.com/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https:///path",
        "https://exa mple.com/",
        "https://example.com/\r\nX: y",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/#part",
        "https://example.com:99999/",
        "https://example.com:0/",
        "https://[::1/",
        "https://exämple.com/",
        f"https://example.com/{'a' * 1000}",
    ],
)
def test_bad_addresses_are_refused(url: str) -> None:
    given(TABLE).when(register(url=url)).rejected("endpoint-url")
