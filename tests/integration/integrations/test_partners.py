"""Partners on real Kafka: one that is away misses nothing and delays nobody; a warehouse that answers by topic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from psycopg.conninfo import make_conninfo

from ops import stack as local_stack
from ops.reconcile import Report, Sources, reconcile
from ops.reconcile.wms import CHECKS
from shared.events import Envelope, Message, StockLine, encode
from shared.events import wms as w
from shared.events.catalogue import FORWARDED
from shared.events.codec import codec
from shared.events.inventory import ReceiveStock
from shared.events.order import order_id_for
from shared.stream.port import Outgoing
from tests.integration.order.world import TOPICS, World, header, holds, order, world_of

SERVICES = ("order", "inventory", "fulfillment", "integrations")
EXTRA = {
    "order": {"OMS_PAYMENTS": "inprocess"},
    "fulfillment": {"OMS_AUTOMATIC_LOCATIONS": '["A"]'},
    "integrations": {"OMS_WMS_LOCATIONS": '["DHL"]'},
}
ORDERS = 40


@pytest.fixture(scope="module")
def own_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_of(tmp_path_factory.mktemp("partners"), SERVICES, EXTRA) as world:
        yield world


@pytest.fixture
async def world(own_world: World) -> World:
    """Orders can be placed, of A from an automatic location and of D from the external warehouse."""
    if not own_world.has_topics:
        await local_stack.create_topics(own_world.stack.kafka, TOPICS)
        own_world.has_topics = True
        for name in ("order", "inventory", "fulfillment"):
            await own_world.ready(name)
        lines = tuple(
            StockLine(sku=sku, location=at, quantity=1000) for sku, at in (("A", "A"), ("D", "DHL"))
        )
        await say(own_world, ReceiveStock(movement_id="m1", lines=lines))
        await holds(lambda: own_world.count("select count(*) from items") == 2)
    return own_world


@pytest.fixture
async def erp(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """An accounting system, with a key of its own."""
    headers = world.keys.bearer("integrations", "auditor")
    async with httpx.AsyncClient(
        base_url=world.url("integrations"), headers=headers, trust_env=False
    ) as client:
        yield client


async def say(world: World, *messages: Message) -> None:
    """Publish messages as an outsider does."""
    for message in messages:
        headers = Envelope(id=str(uuid4()), type=message.tag(), source="/wms").headers()
        outgoing = Outgoing(message.key.encode(), encode(message), headers)
        topic = message.route()
        assert topic is not None
        await world.publish(topic, outgoing)


async def wiped(world: World, topic: str) -> None:
    """Delete a topic with all that is on it, and make it anew."""
    client = AIOKafkaAdminClient(bootstrap_servers=world.stack.kafka)
    await client.start()
    await client.delete_topics([topic])
    while topic in await client.list_topics():
        await asyncio.sleep(0.05)
    await client.close()
    await local_stack.create_topics(world.stack.kafka, {topic: TOPICS[topic]})


async def told(world: World, topic: str, of: str) -> list[Any]:
    """What a topic tells of an order."""
    records = [r for some in (await world.read(topic)).values() for r in some]
    return [
        codec.decode(header(r, "ce_type").decode(), r.value)
        for r in records
        if r.key == of.encode()
    ]


def completed(world: World, ids: list[str]) -> bool:
    sql = "select count(distinct stream) from messages where type = 'oms.order.completed.v1' and key = any(%s)"
    return world.count(sql, ids) == len(ids)


@pytest.mark.slow
async def test_a_partner_that_was_away_gets_everything_once_in_order(
    world: World, erp: httpx.AsyncClient
) -> None:
    """Even the service that feeds partners is down while orders are placed, shipped and completed."""
    assert not world.running("integrations")
    async with world.client() as client:
        ids = [(await client.place(order(f"p-{n}"))).json()["order_id"] for n in range(ORDERS)]
    await holds(lambda: completed(world, ids), 60)

    await world.ready("integrations")
    documents = "select count(*) from erp_documents"
    await holds(lambda: world.count(documents, service="integrations") == 2 * ORDERS, 60)

    found: list[Any] = []
    while True:
        page = (await erp.get("/erp/cursors/sap/documents", params={"limit": 7})).json()["items"]
        if not page:
            break
        found += page
        moved = await erp.post(
            "/erp/cursors/sap/acknowledge",
            json={"position": page[-1]["position"]},
            headers={"idempotency-key": str(uuid4())},
        )
        assert moved.status_code == 200, moved.text
    assert [d["position"] for d in found] == list(range(1, 2 * ORDERS + 1))
    for kind, prefix in (("sales_order", "SO"), ("invoice", "INV")):
        some = [d for d in found if d["type"] == f"oms.erp.{kind}.v1"]
        year = some[0]["number"].split("-")[1]
        assert [d["number"] for d in some] == [
            f"{prefix}-{year}-{n:06d}" for n in range(1, ORDERS + 1)
        ]
        assert {d["order_id"] for d in some} == set(ids)

    topic = [r for some in (await world.read("oms.erp.documents")).values() for r in some]
    assert sorted(codec.decode(header(r, "ce_type").decode(), r.value).position for r in topic) == [  # type: ignore[attr-defined]
        d["position"] for d in found
    ]


@pytest.mark.slow
async def test_what_the_gateway_took_outlives_the_broker(world: World) -> None:
    """Nobody has read the orders yet when the broker loses their topic: they are fetched from the gateway's feed."""
    await world.ready("integrations")
    await world.stop("order")
    numbers = [f"g-{n}" for n in range(10)]
    headers = world.keys.bearer("integrations", "channel:web")
    line = {"sku": "A", "quantity": 1, "unit_price": 500}
    async with httpx.AsyncClient(
        base_url=world.url("integrations"), headers=headers, trust_env=False
    ) as gateway:
        for number in numbers:
            body = {"number": number, "currency": "GBP", "lines": [line], "payment": "tok_ok"}
            answer = await gateway.post(
                "/channels/web/orders", json=body, headers={"idempotency-key": number}
            )
            assert answer.status_code == 202, answer.text
    ids = [order_id_for("web", number) for number in numbers]
    await holds(lambda: world.all_published("integrations"))
    await wiped(world, FORWARDED)
    assert not any((await world.read(FORWARDED)).values())

    await world.ready("order")
    await holds(lambda: completed(world, ids), 60)
    assert [world.types(id).count("placed") for id in ids] == [1] * len(ids)


async def ask_warehouse(world: World, number: str) -> w.FulfillmentSubmitted:
    """Place an order of D, and return what its warehouse is asked for."""
    line = {"line_id": "1", "sku": "D", "quantity": 2, "unit_price": 500}
    async with world.client() as client:
        id = (await client.place(order(number, lines=[line]))).json()["order_id"]
    await asked(world, id, 1)
    await holds(lambda: "confirmed" in world.types(id))
    [submitted] = await told(world, "oms.wms.requests", id)
    assert isinstance(submitted, w.FulfillmentSubmitted)
    return submitted


async def asked(world: World, id: str, times: int) -> None:
    """Wait until so many requests about an order went to its warehouse."""
    requests = "select count(*) from messages where topic = 'oms.wms.requests' and key = %s"
    await holds(lambda: world.count(requests, id, service="integrations") == times, 60)


async def send_from_warehouse(world: World, submitted: w.FulfillmentSubmitted) -> None:
    """Pick, pack, ship and deliver, saying most of it twice."""
    id, lines = submitted.order_id, submitted.lines
    ids = {"fulfillment_id": submitted.fulfillment_id, "order_id": id}
    picked = w.ReportPicked(**ids, pick_id="77", lines=lines)
    packed = w.ReportPacked(**ids, package="SSCC1", lines=lines)
    await say(world, w.ReportAccepted(**ids, reference="W1"), picked, picked, packed, packed)
    await asked(world, id, 2)
    shipped = w.ReportShipped(
        **ids, package="SSCC1", carrier="DHL", tracking_number="T1", lines=lines
    )
    await say(world, shipped, shipped, w.ReportDelivered(**ids, package="SSCC1"))
    await holds(lambda: completed(world, [id]), 60)


async def cancel_at_warehouse(world: World, submitted: w.FulfillmentSubmitted) -> None:
    """Cancel the order, and let the warehouse stop it."""
    id = submitted.order_id
    async with world.client() as client:
        body = {"reason": "changed my mind"}
        answer = await client.http.post(
            f"/orders/{id}/cancel", json=body, headers=client.headers("agent")
        )
        assert answer.status_code == 202, answer.text
    await holds(lambda: "cancelled" in world.types(id), 60)
    await asked(world, id, 2)
    [_, request] = await told(world, "oms.wms.requests", id)
    assert isinstance(request, w.WmsCancellationRequested)
    stopped = {"fulfillment_id": request.fulfillment_id, "order_id": id}
    await say(world, w.ReportCancellationAccepted(**stopped))
    settled = (
        "select count(*) from wms_orders where cancellation = 'ACCEPTED' and fulfillment_id = %s"
    )
    await holds(
        lambda: world.count(settled, request.fulfillment_id, service="integrations") == 1, 60
    )


@pytest.mark.slow
async def test_a_warehouse_picks_packs_and_ships_by_topic(world: World) -> None:
    await world.ready("integrations")
    submitted = await ask_warehouse(world, "w-1")
    id = submitted.order_id
    poison = Outgoing(
        b"poison",
        b"\xff not json",
        Envelope(id="x", type="oms.wms.picked.v1", source="/wms").headers(),
    )
    await world.publish("oms.wms.answers", poison)
    unknown = w.ReportPacked(
        fulfillment_id="nobody.f1", order_id="nobody", package="1", lines=submitted.lines
    )
    await say(world, unknown)
    await send_from_warehouse(world, submitted)

    steps = [
        t for t in world.types(id) if t in ("packed", "payment_captured", "shipped", "delivered")
    ]
    assert steps == ["packed", "payment_captured", "shipped", "delivered"]
    [_, cleared] = await told(world, "oms.wms.requests", id)
    assert (type(cleared), cleared.package) == (w.PackageCleared, "SSCC1")
    headers = world.keys.bearer("integrations", "ops")
    async with httpx.AsyncClient(
        base_url=world.url("integrations"), headers=headers, trust_env=False
    ) as http:
        shown = (await http.get(f"/wms/fulfillments/{submitted.fulfillment_id}")).json()
        assert (shown["handshake"], shown["reference"]) == ("ACCEPTED", "W1")
        assert shown["packages"]["SSCC1"]["arrived"]
        [listed] = (await http.get("/wms/fulfillments", params={"handshake": "ACCEPTED"})).json()[
            "items"
        ]
        assert listed["fulfillment_id"] == submitted.fulfillment_id
        parked = (await http.get("/parked")).json()["items"]
    assert {p["key"]: p["topic"] for p in parked} == {
        "poison": "oms.wms.answers",
        "nobody": "oms.wms.answers",
    }


@pytest.mark.slow
async def test_a_rejection_and_a_cancellation_go_through_the_order(world: World) -> None:
    await world.ready("integrations")
    refused = await ask_warehouse(world, "w-2")
    rejected = {"fulfillment_id": refused.fulfillment_id, "order_id": refused.order_id}
    await say(world, w.ReportRejected(**rejected, reason="no space"))
    await holds(lambda: "cancelled" in world.types(refused.order_id), 60)
    await cancel_at_warehouse(world, await ask_warehouse(world, "w-3"))


#: What is done to the integrations' log, and what reconciliation must say of it.
PLANTED = {
    "an answer that was never asked for": (
        """insert into messages
           select position + 100000, replace(stream, '.f1', '.f9'), 1, type, topic, partition, previous, key, at, meta,
                  convert_to(replace(convert_from(data, 'UTF8'), '.f1', '.f9'), 'UTF8')
           from messages where type = 'oms.wms.fulfillment_accepted.v1'""",
        "oms.wms.fulfillment_accepted.v1 answers what was never asked",
    ),
    "an answer counted twice": (
        """insert into messages
           select m.position + 200000, m.stream, (select max(version) + 1 from messages where stream = m.stream),
                  m.type, m.topic, m.partition, m.previous, m.key, m.at, m.meta, m.data
           from messages m where m.type = 'oms.wms.pick_taken.v1'""",
        "oms.wms.pick_taken.v1 about 77 was counted before",
    ),
}


async def reconciled(world: World, seconds: float = 0.0) -> Report:
    """Reconciliation of the logs; the provider's ledger is in the order service's memory, and there is no mail."""
    return await reconcile(Sources(world.dsns, None, None), settle_seconds=seconds)


@pytest.mark.slow
async def test_the_handshakes_reconcile_and_what_is_planted_in_them_is_named(world: World) -> None:
    """Last in this module: it spoils the logs."""
    await world.ready("integrations")
    await send_from_warehouse(world, await ask_warehouse(world, "w-4"))
    await cancel_at_warehouse(world, await ask_warehouse(world, "w-5"))
    report = await reconciled(world, 20)
    assert report.violations == ()
    checked = {c.check: c.checked for c in report.counts}
    assert all(checked[check.says] for check in CHECKS), checked
    unanswered = "cancellations that an external warehouse has not answered"
    assert unanswered not in report.in_flight

    for service in SERVICES:
        if world.running(service):
            await world.stop(service)
    superuser = make_conninfo(world.stack.postgres, dbname="oms_integrations")
    with psycopg.connect(superuser, autocommit=True) as c:
        for sql, _ in PLANTED.values():
            assert c.execute(sql).rowcount > 0
        gone = "delete from messages where type = 'oms.wms.cancellation_settled.v1'"
        cancellations = c.execute(gone).rowcount
        assert cancellations > 0
    report = await reconciled(world)
    said = [v.message for v in report.violations if v.invariant == 6]
    for name, (_, why) in PLANTED.items():
        assert any(why in message for message in said), (name, report.violations)
    assert report.in_flight[unanswered] == cancellations
