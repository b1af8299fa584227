"""The whole system as its own processes: reconciled while orders flow, when all has arrived, and after it was stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from ops.reconcile import Report, reconcile, sources_of, wms
from ops.stack import Ports
from ops.system import Layout, System, running
from shared.events import Command, Customer, Envelope, OrderLine, StockLine, encode
from shared.events.inventory import ReceiveStock
from shared.events.order import PlaceOrder
from shared.ledger.batch import partition_of
from shared.stream.kafka import KafkaProducer
from shared.stream.port import Outgoing
from tests.portrange import free_base

ORDERS = 60


def order(n: int) -> PlaceOrder:
    """Every kind: most are shipped, some are declined, some find no stock."""
    lines = [OrderLine(line_id="1", sku=f"SKU{n % 3}", quantity=2, unit_price=1_999, total=3_998)]
    if n % 10 == 0:
        lines.append(OrderLine(line_id="2", sku="RARE", quantity=2, unit_price=100, total=200))
    return PlaceOrder(
        channel="web",
        external_id=f"{n}",
        currency="GBP",
        lines=tuple(lines),
        customer=Customer(name="Ada", email=f"ada{n}@example.com"),
        payment_method="tok_declined" if n % 7 == 0 else "tok_ok",
    )


async def publish(producer: KafkaProducer, commands: list[Any], partitions: int) -> None:
    """Send as outsiders do: without a place in any feed."""
    for m in commands:
        message: Command = m
        topic = message.route()
        assert topic is not None
        head = Envelope(id=str(uuid4()), type=message.tag(), source="/shop")
        record = Outgoing(message.key.encode(), encode(message), head.headers())
        await producer.publish((topic, partition_of(message.key, partitions)), [record])


async def known(system: System, sku: str) -> None:
    """Wait until the order service knows a SKU: it refuses orders for others at its door."""
    url = f"{system.layout.url('order')}/orders"
    body = {
        "channel": "web",
        "external_id": "probe",
        "currency": "GBP",
        "lines": [{"line_id": "1", "sku": sku, "quantity": 1, "unit_price": 1}],
        "payment_method": "tok_ok",
    }
    async with httpx.AsyncClient(trust_env=False) as http:
        async with asyncio.timeout(60):
            while True:
                headers = system.keys.bearer("order", "channel:web") | {
                    "Idempotency-Key": str(uuid4())
                }
                answer = await http.post(url, json=body, headers=headers)
                if answer.status_code == 201:
                    return
                assert answer.status_code == 422, answer.text
                await asyncio.sleep(0.2)


async def reconciled(data: Path, settle_seconds: float = 0.0) -> Report:
    async with sources_of(data) as sources:
        return await reconcile(sources, settle_seconds=settle_seconds)


@pytest.mark.slow
async def test_a_real_system_is_clean_whenever_one_looks(tmp_path: Path) -> None:
    extra = {"fulfillment": {"OMS_AUTOMATIC_LOCATIONS": '["*"]'}}
    layout = Layout(tmp_path, port_base=free_base(), extra=extra)
    async with running(layout, ports=Ports.free()) as system:
        producer = KafkaProducer(system.stack.kafka)
        await producer.start()
        try:
            stock = [
                ReceiveStock(
                    movement_id=f"in-{sku}",
                    lines=(StockLine(sku=sku, location="EAST", quantity=n),),
                )
                for sku, n in (("SKU0", 500), ("SKU1", 500), ("SKU2", 500), ("RARE", 4))
            ]
            await publish(producer, stock, layout.partitions)
            await known(system, "RARE")
            flowing = asyncio.create_task(
                publish(producer, [order(n) for n in range(1, ORDERS)], layout.partitions)
            )
            while not flowing.done():
                report = await reconciled(layout.data)
                assert report.violations == ()
            await flowing
        finally:
            await producer.stop()
        report = await reconciled(layout.data, settle_seconds=60)
        assert report.violations == ()
        assert report.complete, (report.in_flight, report.not_checked)
        assert report.orders == ORDERS
        external = {
            check.says for check in wms.CHECKS
        }  # nor is any location an external warehouse's
        unseen = {c.check for c in report.counts if not c.checked} - external
        assert not {c for c in unseen if "return" not in c and "refund" not in c}, unseen
    stopped = await reconciled(layout.data)
    assert stopped.violations == ()
    assert stopped.orders == ORDERS
    assert not stopped.not_checked
