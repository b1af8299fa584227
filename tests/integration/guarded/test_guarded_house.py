"""An order goes through where every connection is encrypted and every peer has to prove who it is; whoever does not is
refused; and no log tells a secret or a person's data, whatever goes wrong."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from secrets import token_urlsafe
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio
from psycopg.conninfo import make_conninfo

from ops.stack.ports import HOST
from shared.events.envelope import Envelope
from shared.events.order import PlaceOrder
from shared.stream.kafka import KafkaProducer
from shared.stream.login import Login
from shared.stream.port import BrokerLost, Outgoing
from tests.integration.guarded.house import SERVER, SERVICES, House, open_house
from tests.integration.guarded.neighbours import Neighbour, failing_hook, refusing_mail
from tests.integration.guardedkafka import PASSWORD
from tests.issuer import serving
from tests.ledgerkit import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        not SERVER, reason="no PostgreSQL with TLS here: install Debian's package postgresql"
    ),
]

SKU = "LAMP-3"
PERSON = {
    "name": "Canary Quillfeather",
    "email": "canary.quill@birds.example",
    "phone": "+44 7700 900123",
}
STREET = "7 Canaryfeather Mews"
#: What must be in no log: a person's data as it is written, and secrets that the test gives away.
PERSONAL = [*PERSON.values(), "Quillfeather", "canary.quill", "7700 900123", "Canaryfeather"]
WEBHOOK_KEY = "webhook-canary-" + "w" * 32
STRIPE_KEY = "sk_test_canary4242"
HOOK_TOKEN = "hook-canary-token"
WRONG_KEY = "oms_ops_wrong-canary-key"


class Guests:
    """The house, and who stands around it."""

    def __init__(self, house: House, mail: Neighbour, hook: Neighbour) -> None:
        self.house = house
        self.mail = mail
        self.hook = hook
        self.secrets: set[str] = set()

    def token(self, role: str, **claims: str) -> str:
        token = self.house.issuer.token(role, more=claims)
        self.secrets.add(token)
        return token

    def client(self, service: str, role: str, **claims: str) -> httpx.AsyncClient:
        return self.house.client(service, self.token(role, **claims))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guests(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guests]:
    data = tmp_path_factory.mktemp("guarded")
    with refusing_mail() as mail, failing_hook() as hook, serving() as issuer:
        extra = {
            "order": {"OMS_STRIPE_KEY": STRIPE_KEY},
            "notifications": {
                "OMS_SMTP_PORT": str(mail.port),
                "OMS_WEBHOOK_KEY": WEBHOOK_KEY,
                "OMS_WEBHOOK_NETWORKS": '["127.0.0.0/8"]',
            },
        }
        async with open_house(data, issuer, extra) as house:
            yield Guests(house, mail, hook)


def order(number: str, **more: Any) -> dict[str, Any]:
    return {
        "channel": "web",
        "external_id": number,
        "currency": "GBP",
        "lines": [{"line_id": "1", "sku": SKU, "quantity": 1, "unit_price": 4200}],
        "customer": {"customer_id": "c-1", **PERSON},
        "ship_to": {"name": PERSON["name"], "line1": STREET, "country": "GB"},
        "payment_method": "tok_ok",
    } | more


async def stocked(guests: Guests) -> None:
    async with guests.client("inventory", "warehouse") as inventory:
        line = {"sku": SKU, "location": "LON", "quantity": 100}
        answer = await inventory.post(
            "/receipts",
            json={"movement_id": "m1", "lines": [line]},
            headers={"idempotency-key": "m1"},
        )
        assert answer.status_code == 201, answer.text


async def placed(guests: Guests, number: str) -> str:
    """The id of an order that was placed; the SKU may take a moment to be known."""
    answer = httpx.Response(0)
    async with guests.client("order", "channel", channel="web") as orders:

        async def accepted() -> bool:
            nonlocal answer
            headers = {"idempotency-key": number}
            answer = await orders.post("/orders", json=order(number), headers=headers)
            return answer.status_code == 201

        await until(accepted, 30)
    return str(answer.json()["order_id"])


async def has_status(client: httpx.AsyncClient, order_id: str, status: str) -> bool:
    return bool((await client.get(f"/orders/{order_id}")).json().get("status") == status)


async def test_an_order_is_confirmed_over_encrypted_connections_alone(guests: Guests) -> None:
    await stocked(guests)
    order_id = await placed(guests, "T-1")
    async with guests.client("order", "channel", channel="web") as orders:
        await until(partial(has_status, orders, order_id, "confirmed"), 30)
    async with guests.client("views", "customer", customer_id="c-1") as views:

        async def shown() -> bool:
            return (await views.get(f"/orders/{order_id}")).status_code == 200

        await until(shown, 30)
    with psycopg.connect(guests.house.superuser, dbname="postgres") as connection:
        rows = connection.execute(
            """select datname, bool_and(ssl), min(version) from pg_stat_ssl join pg_stat_activity using (pid)
               where usename like 'oms_%' group by datname"""
        ).fetchall()
    assert {name for name, *_ in rows} == {f"oms_{name}" for name in SERVICES}
    assert {(ssl, version) for _, ssl, version in rows} == {(True, "TLSv1.3")}


async def test_the_database_is_closed_to_whoever_does_not_encrypt_or_trusts_another(
    guests: Guests,
) -> None:
    house = guests.house
    dsn = house.dsns["order"]
    stranger = str(house.stranger.ca)
    for changed, refusal in (
        ({"sslmode": "disable", "sslrootcert": None}, "no encryption"),
        ({"sslrootcert": stranger}, "certificate verify failed"),
        ({"host": "localhost"}, "does not match host name"),
        ({"password": "wrong"}, "password authentication failed"),
    ):
        with pytest.raises(psycopg.OperationalError, match=refusal):
            psycopg.connect(make_conninfo(dsn, **changed), connect_timeout=5)


async def test_the_broker_is_closed_to_whoever_does_not_encrypt_or_trusts_another(
    guests: Guests,
) -> None:
    house = guests.house
    for address, login in (
        (house.kafka.guarded, Login("order", PASSWORD)),
        (house.kafka.guarded, Login("order", PASSWORD, house.stranger.ca)),
        (house.kafka.guarded, Login("order", "wrong", house.authority.ca)),
        (house.kafka.guarded, Login("", "", house.authority.ca)),
        (
            house.kafka.guarded.replace(HOST, "localhost"),
            Login("order", PASSWORD, house.authority.ca),
        ),
    ):
        producer = KafkaProducer(address, login)
        with pytest.raises((BrokerLost, TimeoutError)):
            async with asyncio.timeout(8):
                await producer.start()
        await producer.stop()


async def test_a_kafka_password_is_replaced_and_no_order_is_lost(guests: Guests) -> None:
    house, new = guests.house, token_urlsafe(24)
    guests.secrets.add(new)
    await stocked(guests)
    taken: list[str] = []

    async def shop() -> None:
        while True:
            with suppress(httpx.TransportError):  # it restarts: the same order again
                taken.append(await placed(guests, f"K-{len(taken)}"))
            await asyncio.sleep(0.1)

    async def more() -> None:
        upto = len(taken) + 3
        await until(lambda: len(taken) >= upto, 30)

    async with guests.client("order", "channel", channel="web") as orders:
        shopping = asyncio.create_task(shop())
        try:
            await more()
            await asyncio.to_thread(house.kafka.change_password, "order", new)
            await more()
            house.restart("order", OMS_KAFKA_PASSWORD=new)
            await until(lambda: house.ready_again("order"), 30)
            assert await refused(house, Login("order", PASSWORD, house.authority.ca))
            await more()
        finally:
            shopping.cancel()
            await asyncio.wait((shopping,))
        assert shopping.cancelled(), shopping.exception()
        for order_id in taken:
            await until(partial(has_status, orders, order_id, "confirmed"), 30)


async def refused(house: House, login: Login) -> bool:
    """Whether the broker lets nobody in by that login."""
    producer = KafkaProducer(house.kafka.guarded, login)
    try:
        async with asyncio.timeout(8):
            await producer.start()
    except (BrokerLost, TimeoutError):
        return True
    finally:
        await producer.stop()
    return False


async def test_no_log_tells_a_secret_or_a_persons_data(guests: Guests) -> None:
    house = guests.house
    await stocked(guests)
    await register_hook(guests)
    order_id = await placed(guests, "C-1")
    await bad_input(guests, order_id)
    await poison(guests)
    await until(lambda: guests.mail.calls > 0 and guests.hook.calls > 1, 40)
    await until(partial(parked, guests, "order", "oms.order.commands"), 30)
    await until(partial(parked, guests, "order", "oms.channel.orders"), 30)
    await lock_out(guests, "order")
    secrets = guests.secrets | {WEBHOOK_KEY, STRIPE_KEY, HOOK_TOKEN, WRONG_KEY, PASSWORD}
    secrets |= {
        house.keys.payments,
        *(k for by in house.keys.by_service.values() for k in by.values()),
    }
    secrets |= {path.read_text() for path in house.layout.data.glob("secrets/*")}
    told = [
        f"{name}: {line[max(0, line.index(word) - 300) : line.index(word) + 100]}"
        for name, text in house.logs
        for word in (*PERSONAL, *secrets)
        for line in text.splitlines()
        if word in line
    ]
    assert told == []
    names = {name for name, _ in house.logs}
    assert names >= {
        *(f"{name}.log" for name in SERVICES),
        "payments.log",
        "kafka.log",
        "postgres.log",
    }
    said = "".join(text for _, text in house.logs)
    # What was to go wrong did, and was said.
    for event in ("parked", "effect", "http.request", "database_away"):
        assert event in said, event


async def register_hook(guests: Guests) -> None:
    async with guests.client("notifications", "ops") as notifications:
        url = f"http://{HOST}:{guests.hook.port}/hook?token={HOOK_TOKEN}"
        answer = await notifications.post(
            "/endpoints", json={"url": url}, headers={"idempotency-key": "h1"}
        )
        assert answer.status_code == 201, answer.text
        guests.secrets.add(answer.json()["secret"])


async def bad_input(guests: Guests, order_id: str) -> None:
    """Requests that fail with a person's data or a secret in every place that a request has."""
    house, email = guests.house, PERSON["email"]
    expired = house.issuer.token("ops", sub=email, exp=time.time() - 3600)
    guests.secrets |= {expired, expired.split(".")[2]}
    async with guests.client("order", "channel", channel="web", sub=email) as orders:
        wrong = order("C-2", customer={"email": f"{email} {STREET}"}, backorder=email)
        for body in (json.dumps(wrong), json.dumps(wrong)[:-9], json.dumps({email: STREET})):
            headers = {"idempotency-key": "bad", "content-type": "application/json"}
            answer = await orders.post("/orders", content=body, headers=headers)
            assert 400 <= answer.status_code < 500
        missing = order("C-3")
        missing["lines"][0]["sku"] = "canary.quill"
        await orders.post("/orders", json=missing, headers={"idempotency-key": "sku"})
        again = order("C-1", payment_method="pm_other", ship_to={"line1": STREET})
        await orders.post("/orders", json=again, headers={"idempotency-key": "other body"})
        await orders.get(f"/orders/{email}")
        await orders.get(f"/{email}/nowhere", params={"street": STREET})
    for credential in (WRONG_KEY, expired, f"{email}.b.c"):
        async with house.client("order", credential) as nobody:
            assert (await nobody.get(f"/orders/{order_id}")).status_code == 401
    async with guests.client("views", "agent") as views:
        await views.get("/orders", params={"q": email})
        await views.get(f"/customers/{email}/orders", params={"cursor": email})
        await views.post("/sign-in", data={"key": WRONG_KEY, "next": f"/?q={email}"})
    document = {"number": "C-9", "currency": "GBP", "lines": [], "customer": PERSON}
    async with guests.client("integrations", "ops") as integrations:
        await integrations.post("/shopify/webhooks", json=document)
        refused = {
            "source": "import.web",
            "channel": "web",
            "reference": "r1",
            "reason": "broken",
            "detail": "not usable",
            "payload": json.dumps(document),
        }
        answer = await integrations.post(
            "/refused", json=refused, headers={"idempotency-key": "r1"}
        )
        assert answer.status_code == 201, answer.text
        await integrations.post(f"/refused/{answer.json()['refusal_id']}/resubmit", json={})


async def poison(guests: Guests) -> None:
    """Records that nobody can use, full of what nobody may read in a log."""
    house, email = guests.house, PERSON["email"]
    producer = KafkaProducer(house.kafka.bootstrap)
    await producer.start()
    try:
        for n, (topic, type, body) in enumerate(
            (
                ("oms.order.commands", PlaceOrder.tag(), order("P-1", backorder=email)),
                ("oms.order.commands", email, order("P-2")),
                ("oms.channel.orders", PlaceOrder.tag(), order("P-3", backorder=email)),
                ("oms.channel.orders", PlaceOrder.tag(), [email, STREET]),
            )
        ):
            said = Envelope(id=f"poison-{n}", type=type, source="/elsewhere", subject=f"poison-{n}")
            record = Outgoing(f"poison-{n}".encode(), json.dumps(body).encode(), said.headers())
            await producer.publish((topic, 0), [record])
    finally:
        await producer.stop()


async def parked(guests: Guests, service: str, topic: str) -> bool:
    async with guests.client(service, "ops") as client:
        items = (await client.get("/parked")).json()["items"]
        return any(item["topic"] == topic for item in items)


async def lock_out(guests: Guests, service: str) -> None:
    """A service's password is changed under it, and its connections are cut."""
    user = f"oms_{service}"
    with psycopg.connect(guests.house.superuser, dbname="postgres", autocommit=True) as connection:
        connection.execute(f"alter role {user} password 'another'")
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [user]
        )

    def away() -> bool:
        logs = dict(guests.house.logs)
        return re.search("database_away", logs[f"{service}.log"]) is not None

    await until(away, 30)
