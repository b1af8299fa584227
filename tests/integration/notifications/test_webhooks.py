"""Webhooks over real HTTP: signed, one id over all attempts, an end for whoever is gone."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from uuid import uuid4

import msgspec
import pytest
import structlog
from standardwebhooks import Webhook

from services.notifications.addresses import Addresses
from services.notifications.domain.endpoints import Endpoint
from services.notifications.domain.messages import (
    CallWebhook,
    RegisterEndpoint,
    RemoveEndpoint,
    WebhookAbandoned,
    WebhookAnswered,
)
from services.notifications.webhooks import FAILURES_MAX, Courier
from shared.events import encode
from shared.events import notifications as n
from shared.events.notifications import ENDPOINTS
from shared.events.order import OrderCompleted
from shared.ledger import effects as effects_module
from shared.ledger.effects import TryAgain
from tests.integration.notifications.conftest import LOOPBACK, SECRETS, Notifier, Receiver, until


async def completed(notifier: Notifier) -> tuple[OrderCompleted, str]:
    """An event that every endpoint hears of, and its id."""
    event = OrderCompleted(order_id=uuid4().hex)
    id = f"order-{event.order_id}/9"
    await notifier.hear(event, id)
    return event, id


async def register(notifier: Notifier, url: str) -> str:
    endpoint_id = uuid4().hex
    command = RegisterEndpoint(endpoint_id=endpoint_id, url=url, types=())
    await notifier.hear(command, endpoint_id)
    return endpoint_id


@pytest.fixture(autouse=True)
async def no_endpoint_is_left(notifier: Notifier) -> AsyncIterator[None]:
    yield
    mine = {e.endpoint_id for e in await notifier.log(ENDPOINTS) if isinstance(e, n.EndpointEvent)}
    for endpoint_id in mine:
        await notifier.hear(RemoveEndpoint(endpoint_id=endpoint_id), f"remove-{endpoint_id}")


async def queued(notifier: Notifier, endpoint_id: str) -> list[n.WebhookQueued]:
    log = await notifier.log(ENDPOINTS)
    return [e for e in log if isinstance(e, n.WebhookQueued) and e.endpoint_id == endpoint_id]


async def test_retried_with_one_id_signed_each_time_delivered_once(
    notifier: Notifier, receiver: Receiver
) -> None:
    receiver.answers = [503, 404, 302, 204]
    endpoint_id = await register(notifier, receiver.url)
    event, event_id = await completed(notifier)
    [webhook] = await queued(notifier, endpoint_id)
    stream = f"webhook-{webhook.webhook_id}"
    await until(lambda: notifier.has(stream, n.WebhookDelivered))
    assert len(receiver.got) == 4
    for headers, body in receiver.got:
        verified = Webhook(SECRETS.of(endpoint_id)).verify(body, headers)
        assert verified == json.loads(encode(event))
        assert headers["webhook-id"] == webhook.webhook_id
        assert headers["ce-id"] == event_id
        assert headers["ce-type"] == "oms.order.completed.v1"
        assert headers["oms-webhook-sequence"] == "1"
        assert headers["content-type"] == "application/json"
    [delivered] = await notifier.log(stream)
    assert delivered == n.WebhookDelivered(
        webhook_id=webhook.webhook_id, endpoint_id=endpoint_id, status=204
    )
    assert await notifier.owed() == []


async def test_gone_ends_the_endpoint(notifier: Notifier, receiver: Receiver) -> None:
    receiver.answers = [410]
    endpoint_id = await register(notifier, receiver.url)
    await completed(notifier)
    await until(lambda: notifier.has(ENDPOINTS, n.EndpointDisabled))
    await completed(notifier)
    assert len(await queued(notifier, endpoint_id)) == 1
    assert len(receiver.got) == 1


async def test_what_is_queued_for_a_removed_endpoint_is_dropped(
    notifier: Notifier, receiver: Receiver
) -> None:
    receiver.otherwise = 500
    endpoint_id = await register(notifier, receiver.url)
    await completed(notifier)
    await until(lambda: len(receiver.got) > 0)
    await notifier.hear(RemoveEndpoint(endpoint_id=endpoint_id), "remove")
    [webhook] = await queued(notifier, endpoint_id)
    await until(lambda: notifier.has(f"webhook-{webhook.webhook_id}", n.WebhookFailed))
    assert await notifier.owed() == []


async def test_when_attempts_run_out_it_is_parked_and_tells_no_address(
    notifier: Notifier, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects_module, "ATTEMPTS_MAX", 3)
    receiver.otherwise = 500
    endpoint_id = await register(notifier, receiver.url)
    with structlog.testing.capture_logs() as logs:
        await completed(notifier)

        async def parked() -> bool:
            return any(row["parked"] for row in await notifier.owed())

        await until(parked)
    assert len(receiver.got) == 3
    [row] = await notifier.owed()
    assert row["error"] == f"endpoint {endpoint_id} answered 500"
    assert logs
    told = repr(logs) + repr(row)
    assert "s3cr3t" not in told
    assert SECRETS.of(endpoint_id) not in told
    async with notifier.store.connection() as c:
        await c.execute("delete from effects")


# The courier by itself.


def call(endpoint_id: str = "e1", number: int = 1) -> CallWebhook:
    return CallWebhook(
        webhook_id=f"msg_{number}",
        endpoint_id=endpoint_id,
        sequence=number,
        event_id=f"order-1/{number}",
        event_type="oms.order.completed.v1",
        subject="order-1",
        payload=msgspec.Raw(b'{"order_id":"1"}'),
    )


@pytest.fixture
async def courier(receiver: Receiver) -> AsyncIterator[Courier]:
    """A courier that knows the endpoints e1 and e2 (working), off (disabled) and dead."""
    endpoints = {
        "e1": Endpoint(receiver.url, ()),
        "e2": Endpoint(receiver.url, ()),
        "off": Endpoint(receiver.url, (), disabled="410 Gone"),
        "dead": Endpoint("http://127.0.0.1:1/?token=s3cr3t", ()),
    }

    async def find(endpoint_id: str) -> Endpoint | None:
        return endpoints.get(endpoint_id)

    courier = Courier(find, SECRETS, addresses=LOOPBACK, timeout_s=0.3, rest_s=0.2)
    yield courier
    await courier.close()


async def test_final_answers(courier: Courier, receiver: Receiver) -> None:
    receiver.answers = [200, 299, 410]
    for status in (200, 299, 410):
        answer = await courier.perform(call(), "")
        assert answer == WebhookAnswered(webhook_id="msg_1", endpoint_id="e1", status=status)
    for endpoint_id, reason in (("off", "disabled"), ("unknown", "removed")):
        answer = await courier.perform(call(endpoint_id), "")
        assert isinstance(answer, WebhookAbandoned)
        assert answer.reason == reason


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 409, 429, 500, 503])
async def test_every_other_answer_is_tried_again(
    courier: Courier, receiver: Receiver, status: int
) -> None:
    receiver.otherwise = status
    receiver.headers = {"Location": "http://127.0.0.1:1/", "Retry-After": "1"}
    with pytest.raises(TryAgain, match=f"answered {status}"):
        await courier.perform(call(), "")
    assert len(receiver.got) == 1


async def test_no_answer_is_tried_again_and_names_no_address(
    courier: Courier, receiver: Receiver
) -> None:
    receiver.hangs = True
    for endpoint_id in ("e1", "dead"):
        with pytest.raises(TryAgain, match=f"endpoint {endpoint_id} did not answer") as caught:
            await courier.perform(call(endpoint_id), "")
        assert "s3cr3t" not in str(caught.value)


async def test_an_endpoint_that_keeps_failing_rests_and_others_go_on(
    courier: Courier, receiver: Receiver
) -> None:
    receiver.otherwise = 500
    for number in range(FAILURES_MAX):
        with pytest.raises(TryAgain, match="answered 500"):
            await courier.perform(call(number=number), "")
    with pytest.raises(TryAgain, match="rests"):
        await courier.perform(call(), "")
    assert len(receiver.got) == FAILURES_MAX
    receiver.otherwise = 200
    assert isinstance(await courier.perform(call("e2"), ""), WebhookAnswered)

    async def back() -> bool:
        try:
            await courier.perform(call(), "")
        except TryAgain:
            return False
        return True

    await until(back)


async def test_an_endpoint_that_hangs_does_not_hold_up_another(
    courier: Courier, receiver: Receiver
) -> None:
    receiver.hangs = True
    waiting = [asyncio.create_task(courier.perform(call(number=i), "")) for i in range(100)]
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert all(isinstance(o, TryAgain) for o in outcomes)
    assert len(receiver.got) <= 40  # the first lot hung, the rest failed at once


# Where a courier does not go.


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://127.1:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f.0.0.1:{port}/",
        "https://169.254.169.254/latest/meta-data/",
    ],
)
async def test_nothing_inside_is_called(receiver: Receiver, url: str) -> None:
    port = receiver.url.split(":")[2].split("/")[0]
    endpoint = Endpoint(url.format(port=port), ())

    async def find(_: str) -> Endpoint:
        return endpoint

    courier = Courier(find, SECRETS, addresses=Addresses(), timeout_s=2)
    try:
        with pytest.raises(TryAgain, match="not an address of the public internet"):
            await courier.perform(call(), "")
    finally:
        await courier.close()
    assert receiver.got == []


async def test_a_name_that_moves_inside_after_it_was_registered_is_not_called(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: outside when it is checked, inside when it is called."""
    port = int(receiver.url.split(":")[2].split("/")[0])
    answers = ["93.184.215.14", "127.0.0.1"]

    async def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        where = (answers.pop(0), port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", where)]

    addresses = Addresses()
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    await addresses.check_host("rebinding.example")

    async def find(_: str) -> Endpoint:
        return Endpoint(f"http://rebinding.example:{port}/", ())

    courier = Courier(find, SECRETS, addresses=addresses, timeout_s=2)
    try:
        with pytest.raises(TryAgain, match=r"endpoint e1: 127\.0\.0\.1 is not an address"):
            await courier.perform(call(), "")
    finally:
        await courier.close()
    assert (answers, receiver.got) == ([], [])
