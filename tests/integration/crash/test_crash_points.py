"""Every labelled crash point, in every service, under load and on the real stack: all orders complete, and the books close.

Each service is killed (SIGKILL) once at each of its points, one after the other; the supervisor starts it again.
By default a service dies at two or three points; with ``OMS_CRASH_ALL=1`` at every one. ``OMS_CRASH_ORDERS`` sends more
orders than are needed to reach them.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from ops import stack as local_stack
from ops.reconcile import reconcile, sources_of
from ops.system import Layout, System, running
from services.fulfillment.handlers import table as fulfillment
from services.inventory.handlers import TABLE as INVENTORY
from services.order.domain.saga import Policy
from services.order.handlers import table as order_table
from shared.events import Address, Customer, OrderLine, StockLine
from shared.events.inventory import ReceiveStock, RegisterItem
from shared.events.order import PlaceOrder
from shared.ledger.crashpoints import (
    AFTER_COMMIT,
    AFTER_EFFECT,
    AFTER_PUBLISH,
    BEFORE_COMMIT,
    BEFORE_PUBLISH,
    BEFORE_TIMERS,
    LABELS,
)
from shared.ledger.postgres import PostgresStore
from shared.ledger.refold import Progress, refold
from shared.stream.kafka import KafkaProducer
from tests.ledgerkit import home, outgoing
from tests.portrange import free_base

ORDERS_MIN = int(os.environ.get("OMS_CRASH_ORDERS", "40"))
ORDERS_MAX = ORDERS_MIN + 1_000
WAVE = 5
SKUS = 7
NEVER = "NEVER"
ITEMS = "select count(*) from items"

EVERYWHERE = (BEFORE_COMMIT, AFTER_COMMIT, BEFORE_PUBLISH, AFTER_PUBLISH)
PLAN = {
    "order": (AFTER_COMMIT, AFTER_PUBLISH, AFTER_EFFECT, BEFORE_TIMERS),
    "inventory": (BEFORE_COMMIT, BEFORE_PUBLISH),
    "fulfillment": (AFTER_COMMIT, AFTER_PUBLISH),
}
if os.environ.get("OMS_CRASH_ALL"):
    PLAN = {**dict.fromkeys(PLAN, EVERYWHERE), "order": (*EVERYWHERE, AFTER_EFFECT, BEFORE_TIMERS)}
#: A deadline is met once; everything else often.
PASSES = dict.fromkeys(LABELS, 3) | {BEFORE_TIMERS: 1}


def crashes(marks: Path) -> dict[str, dict[str, str]]:
    """The environment in which each service dies at the third pass of each of its points."""
    extra: dict[str, dict[str, str]] = {}
    for service, labels in PLAN.items():
        (marks / service).mkdir(parents=True)
        extra[service] = {
            "OMS_CRASH_AT": ",".join(f"{label}:{PASSES[label]}" for label in labels),
            "OMS_CRASH_MARKS": str(marks / service),
        }
    extra["order"]["OMS_BACKORDERED_SECONDS"] = "2"
    extra["fulfillment"]["OMS_AUTOMATIC_LOCATIONS"] = '["*"]'
    return extra


def waiting() -> PlaceOrder:
    """An order that waits for stock which never comes, until its deadline."""
    never = msgspec.structs.replace(order(0).lines[0], sku=NEVER)
    return msgspec.structs.replace(order(0), external_id="waits", lines=(never,), backorder="wait")


def order(number: int) -> PlaceOrder:
    lines = tuple(
        OrderLine(
            line_id=str(n),
            sku=f"SKU{(number + n) % SKUS}",
            quantity=n,
            unit_price=500,
            total=500 * n,
        )
        for n in (1, 2)
    )
    return PlaceOrder(
        channel="web",
        external_id=f"{number}",
        currency="EUR",
        customer=Customer(customer_id=f"c{number}", email=f"c{number}@example.com"),
        ship_to=Address(name="A. Buyer", line1="Street 1", city="Town", country="DE"),
        lines=lines,
        payment_method="tok_ok",
    )


@asynccontextmanager
async def publisher(bootstrap: str) -> Any:
    producer = KafkaProducer(bootstrap)
    await producer.start()

    async def publish(messages: list[Any], prefix: str) -> None:
        for n, message in enumerate(messages):
            record = outgoing(message, f"{prefix}-{n}", source="/test")
            await producer.publish(home(message), [record])

    yield publish
    await producer.stop()


def count(system: System, service: str, sql: str) -> int:
    with psycopg.connect(system.dsns[service]) as c:
        row = c.execute(sql).fetchone()
    assert row is not None
    return int(row[0])


async def until(condition: Any, seconds: float, what: Any) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not await asyncio.to_thread(condition):
                await asyncio.sleep(0.2)
    except TimeoutError:
        pytest.fail(f"after {seconds} seconds: {what()}")


def missing(marks: Path) -> list[str]:
    """Points that were not reached yet."""
    return [
        f"{service}: {label}"
        for service, labels in PLAN.items()
        for label in labels
        if not (marks / service / label).exists()
    ]


def shown(system: System) -> dict[str, Any]:
    """Where everything stands, for a failure."""
    out: dict[str, Any] = {}
    for service, dsn in system.dsns.items():
        with psycopg.connect(dsn) as c:
            out[service] = {
                "types": c.execute("select type, count(*) from messages group by 1").fetchall(),
                "parked": c.execute("select topic, error from parked limit 5").fetchall(),
                "effects": c.execute("select id, parked, error from effects limit 5").fetchall(),
                "checkpoints": c.execute("select * from checkpoints").fetchall(),
            }
    return out


@pytest.mark.slow
async def test_every_order_completes_whatever_dies_where(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    layout = Layout(
        tmp_path / "data",
        port_base=free_base(),
        services=tuple(PLAN),
        mail=False,
        extra=crashes(marks),
    )
    deaths: list[str] = []
    async with (
        running(
            layout,
            ports=local_stack.Ports.free(),
            on_change=lambda change: deaths.append(f"{change.name} {change.state}"),
        ) as system,
        publisher(system.stack.kafka) as publish,
    ):
        stock = tuple(StockLine(sku=f"SKU{n}", location="A", quantity=100_000) for n in range(SKUS))
        known = RegisterItem(sku=NEVER, description="never in stock")
        await publish([ReceiveStock(movement_id="m-1", lines=stock), known], "stock")
        await until(lambda: count(system, "order", ITEMS) == SKUS + 1, 60, lambda: shown(system))
        await publish([waiting()], "waits")
        sent = 0
        while sent < ORDERS_MIN or (missing(marks) and sent < ORDERS_MAX):
            await publish([order(sent + n) for n in range(WAVE)], f"w{sent}")
            sent += WAVE
            await asyncio.sleep(0.5)
        assert missing(marks) == []

        rejected = "select count(*) from messages where type = 'oms.order.rejected.v1'"
        await until(lambda: count(system, "order", rejected) == 1, 60, lambda: shown(system))
        completed = "select count(*) from messages where type = 'oms.order.completed.v1'"
        await until(
            lambda: count(system, "order", completed) >= sent,
            90,
            lambda: (sent, shown(system)),
        )
        assert count(system, "order", completed) == sent
        for service in PLAN:
            assert count(system, service, "select count(*) from parked") == 0
            assert count(system, service, "select count(*) from effects") == 0
        async with sources_of(layout.data) as sources:
            report = await reconcile(sources, settle_seconds=20)
        assert report.violations == ()
        assert report.orders == sent + 1
        await refolded(system)
    assert sum("restarting" in death for death in deaths) >= sum(map(len, PLAN.values()))


async def refolded(system: System) -> None:
    """Every snapshot equals the fold of its events."""
    tables = {
        "order": order_table(Policy()),
        "inventory": INVENTORY,
        "fulfillment": fulfillment(),
    }
    for service, table in tables.items():
        store = PostgresStore(system.dsns[service])
        await store.open()
        progress = Progress()
        assert [d async for d in refold(table, store, progress=progress)] == []
        assert progress.events > 0
        await store.close()
