"""The projector on real Postgres: exactly once, parked by key, equal after a rebuild."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from psycopg import sql

from ops.stack import Stack
from services.views import versions
from services.views.domain.document import Document
from services.views.handlers import TABLE
from services.views.projector import Projector
from services.views.reader import Filter, Reader
from services.views.store import ViewStore, ViewTransaction
from shared.events import encode
from shared.ledger.parking import redrive
from shared.ledger.postgres import PostgresStore
from shared.ledger.store import Fenced, Mark
from shared.ledger.work import Task, Unit
from shared.stream.port import Record
from tests.unit.views.journey import Journey, Topics, task
from tests.unit.views.site import database, project, shop, topics_of


@pytest.fixture
def dsn(stack: Stack) -> Iterator[str]:
    with database(stack) as dsn:
        yield dsn


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(dsn)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def views(store: PostgresStore) -> ViewStore:
    [version] = await versions.ensure(store)
    assert version.state == "live"
    return ViewStore(store, version.version)


async def contents(store: PostgresStore, version: int) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of a version, as it lies in its tables."""
    columns = {
        "orders": "*",
        "terms": "*",
        "availability": "*",
        "checkpoints": "*",
        "timeline": "*",
        "parked": 'topic, key, partition, "offset", sequence, headers, value, error',
    }
    out: dict[str, list[tuple[Any, ...]]] = {}
    async with store.connection() as c:
        for table, shown in columns.items():
            query = sql.SQL("select {} from {}").format(
                sql.SQL(shown),
                sql.Identifier(f"v{version}", table),
            )
            out[table] = sorted(await (await c.execute(query)).fetchall(), key=repr)
    return out


def mixed(topics: Topics, seed: int) -> list[Record]:
    """The records in one of the orders in which partitions may be read."""
    chance = random.Random(seed)
    left = {p: list(records) for p, records in topics.records.items()}
    out: list[Record] = []
    while left:
        partition = chance.choice(sorted(left))
        out.append(left[partition].pop(0))
        if not left[partition]:
            del left[partition]
    return out


def marks_of(tasks: list[Task]) -> dict[tuple[str, int], Mark]:
    return {t.partition: Mark(0, 0) for t in tasks if t.partition is not None}


async def test_a_batch_is_applied_and_its_marks_move_with_it(
    store: PostgresStore, views: ViewStore
) -> None:
    orders = shop()
    topics = topics_of(orders.values())
    await project(views, topics)
    reader = Reader(store)
    found = await reader.order(orders["split"].order_id)
    assert found is not None
    assert found.order.status == "confirmed"
    assert len(await reader.timeline(found.order_id)) == len(orders["split"].said)
    marks = await views.all_checkpoints()
    assert marks == {
        p: Mark(len(records), task(records[-1]).mark.sequence)  # type: ignore[union-attr]
        for p, records in topics.records.items()
    }


async def test_a_projector_that_was_overtaken_writes_nothing(
    store: PostgresStore, views: ViewStore
) -> None:
    topics = topics_of([Journey().whole()])
    tasks = [task(r) for r in topics]
    await views.checkpoints({t.partition for t in tasks if t.partition})
    await Projector(views).submit(Unit(tasks, marks_of(tasks)))
    before = await contents(store, views.version)
    with pytest.raises(Fenced, match="stored is"):
        await Projector(views).submit(Unit(tasks, marks_of(tasks)))
    assert await contents(store, views.version) == before


async def test_an_order_that_changed_meanwhile_is_read_again(
    store: PostgresStore, views: ViewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes hold partitions with events of one order: neither's work is lost."""
    journey = Journey().placed().reserved()
    topics = topics_of([journey])
    by_topic = {
        name: [task(r) for r in topics if r.topic == name]
        for name in ("oms.order.events", "oms.inventory.events")
    }
    for tasks in by_topic.values():
        await views.checkpoints({t.partition for t in tasks if t.partition})
    first, second = by_topic["oms.order.events"], by_topic["oms.inventory.events"]
    await Projector(views).submit(Unit(first[:1], marks_of(first[:1])))

    raced = False

    async def race() -> None:
        nonlocal raced
        raced = True
        await Projector(views).submit(Unit(second, marks_of(second)))

    read = ViewTransaction.read

    async def read_then_race(self: Any, want: Any) -> Any:
        found = await read(self, want)
        if not raced:
            await race()
        return found

    monkeypatch.setattr(ViewTransaction, "read", read_then_race)
    assert first[0].partition is not None
    assert first[0].mark is not None
    await Projector(views).submit(Unit(first[1:], {first[0].partition: first[0].mark}))
    assert raced
    document = await Reader(store).order(journey.order_id)
    assert document is not None
    assert document.version == 3
    assert document.stock.reservations[0].state == "held"


async def test_a_record_that_the_database_cannot_hold_is_parked_alone(
    store: PostgresStore, views: ViewStore
) -> None:
    bad, good = Journey("nul").whole(), Journey("good").whole()
    topics = topics_of([bad, good])
    poisoned = [
        r._replace(value=r.value.replace(b'"external_id":"nul"', b'"external_id":"n\\u0000l"'))
        for r in topics
    ]
    assert sum(b"\\u0000" in r.value for r in poisoned) == 2
    await project(views, poisoned, batch=1000)
    reader = Reader(store)
    assert [d.order_id for d in await reader.orders(Filter(), None, 10)] == [good.order_id]
    found = await reader.order(good.order_id)
    assert found is not None
    assert found.version == len(good.said)
    [parked] = await views.parked_summary(10)
    assert parked["key"] == bad.order_id
    assert parked["topic"] == "oms.order.events"
    assert parked["records"] == sum(1 for s in bad.said if s.event.service() == "order")


async def test_redrive_applies_what_was_parked_in_order_and_once(
    store: PostgresStore, views: ViewStore
) -> None:
    journey = Journey().whole()
    records = list(topics_of([journey]))
    tasks = [task(r) for r in records]
    placed = next(t for t in tasks if t.record and b"oms.order.placed" in t.record.value)
    placed.error = "UnknownType: not yet"
    await views.checkpoints({t.partition for t in tasks if t.partition})
    outcomes = await Projector(views).submit(Unit(tasks, marks_of(tasks)))
    parked = [o for o in outcomes if not isinstance(o, Exception) and o.parked]
    assert len(parked) == sum(1 for s in journey.said if s.event.service() == "order")
    reader = Reader(store)
    assert await reader.orders(Filter(), None, 10) == []

    key = journey.order_id.encode()
    done = await redrive(TABLE, views, Projector(views), "oms.order.events", key)
    assert done == {"applied": len(parked), "error": None}
    again = await redrive(TABLE, views, Projector(views), "oms.order.events", key)
    assert again == {"applied": 0, "error": None}
    document = await reader.order(journey.order_id)
    assert document is not None
    assert document.order.status == "completed"
    assert document.version == len(journey.said)

    # The same bytes as if nothing had happened.
    await versions.create(store, 2)
    other = ViewStore(store, 2)
    await project(other, records)
    first, second = await contents(store, 1), await contents(store, 2)
    assert first["orders"] == second["orders"]
    assert first["timeline"] == second["timeline"]


@pytest.mark.parametrize("seed", range(3))
async def test_a_rebuild_is_equal_byte_for_byte(
    store: PostgresStore, views: ViewStore, seed: int
) -> None:
    orders = [*shop().values(), *(Journey(f"x{k}").whole() for k in range(20))]
    topics = topics_of(orders)
    await project(views, mixed(topics, seed), batch=7)
    await versions.create(store, views.version + 1)
    rebuilt = ViewStore(store, views.version + 1)
    await project(rebuilt, topics, batch=1000)
    assert await contents(store, rebuilt.version) == await contents(store, views.version)


async def test_versions_are_built_one_at_a_time_and_switched(
    store: PostgresStore, views: ViewStore
) -> None:
    orders = shop()
    await project(views, topics_of(orders.values()))
    with pytest.raises(versions.CannotBuild, match="the next is 2"):
        await versions.create(store, 3)
    await versions.create(store, 2)
    with pytest.raises(versions.CannotBuild, match="version 2 is being built"):
        await versions.create(store, 3)
    assert [v.state for v in await versions.ensure(store)] == ["live", "building"]
    assert (await versions.current(store)).version == 1
    assert len(await Reader(store).orders(Filter(), None, 100)) == len(orders)
    await versions.promote(store, 2)
    assert (await versions.current(store)).version == 2
    assert [v.version for v in await versions.ensure(store)] == [2]
    await versions.create(store, 3)
    async with store.connection() as c:
        cursor = await c.execute("select nspname from pg_namespace where nspname ~ '^v[0-9]+$'")
        assert {r[0] for r in await cursor.fetchall()} == {"v2", "v3"}


async def test_search_finds_by_everything_and_pages_go_on(
    store: PostgresStore, views: ViewStore
) -> None:
    orders = shop()
    await project(views, topics_of(orders.values()))
    reader = Reader(store)

    async def numbers(which: Filter) -> set[str]:
        return {d.order.number for d in await reader.orders(which, None, 50)}

    everything = {j.number for j in orders.values()}
    assert await numbers(Filter()) == everything
    assert await numbers(Filter(text="1004")) == {"1004"}
    assert await numbers(Filter(text="lamp-3")) == {"1004"}
    assert await numbers(Filter(text="rm11001")) == {"1001"}
    assert await numbers(Filter(text="ADA@")) == everything
    assert await numbers(Filter(text="+44 (20) 7946-0018")) == everything
    assert await numbers(Filter(text=orders["held"].order_id)) == {"1007"}
    assert await numbers(Filter(text="%")) == set()
    assert await numbers(Filter(customer="ada@example.org")) == everything
    assert await numbers(Filter(customer="1004")) == set()
    assert await numbers(Filter(status=("cancelled",))) == {"1003"}
    assert await numbers(Filter(channel="shop")) == {"1004", "1007"}
    assert await reader.channels() == ["shop", "web"]


async def test_an_order_as_of_each_moment_is_the_fold_up_to_it(
    store: PostgresStore, views: ViewStore
) -> None:
    journey = Journey().whole()
    await project(views, topics_of([journey]))
    reader = Reader(store)
    now = await reader.order(journey.order_id)
    then = None
    for k, said in enumerate(journey.said, start=1):
        then = await reader.order_as_of(journey.order_id, said.at)
        assert isinstance(then, Document)
        assert then.version == k
    assert then == now
    assert await reader.order_as_of("nobody", journey.at) is None


async def test_stock_figures(store: PostgresStore, views: ViewStore) -> None:
    await project(views, topics_of(shop().values()))
    found = await Reader(store).availability(["LAMP-3", "BULB-9"], "", None, 10)
    assert [tuple(s) for s in found] == [
        ("BULB-9", "LON", 100, 0, 0),
        ("BULB-9", "YRK", 100, 0, 4),
        ("LAMP-3", "LON", 99, 0, 0),
        ("LAMP-3", "YRK", 100, 0, 0),
    ]
    after = await Reader(store).availability([], "LON", ("BULB-9", "LON"), 1)
    assert [(s.sku, s.location) for s in after] == [("CUP-07", "LON")]


def test_the_payload_is_kept_as_it_came() -> None:
    record = next(iter(topics_of([Journey().placed()])))
    parked = task(record).record
    assert parked is not None
    assert parked.value == record.value
    message = task(record).message
    assert message is not None
    assert encode(message) == record.value
