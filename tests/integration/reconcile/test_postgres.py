"""Reconciliation of real databases, and corruptions planted there by a superuser."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from ops.reconcile import CannotRead, PaymentsSource, Report, SinkSource, Sources, reconcile, wms
from ops.stack import Stack
from tests.evidence import gather
from tests.integration.reconcile.loading import Loaded
from tests.unit.reconcile.stories import play
from tests.unit.reconcile.world import running


class Story(NamedTuple):
    loaded: Loaded
    ids: dict[str, str]


@pytest.fixture(scope="module")
def story(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Story:
    async def tell() -> Story:
        async with running() as world:
            ids = await play(world)
            loaded = Loaded(stack, tmp_path_factory.mktemp("story"))
            await loaded.load(world, await gather(world))
            return Story(loaded, ids)

    return asyncio.run(tell())


async def test_a_clean_system_is_clean_and_wholly_checked(story: Story) -> None:
    told: list[int] = []
    report = await reconcile(story.loaded.sources, progress=told.append)
    assert report.violations == ()
    assert report.complete, (report.in_flight, report.not_checked)
    external = {
        check.says for check in wms.CHECKS
    }  # no location of this story is an external warehouse's
    assert {c.check for c in report.counts if not c.checked} == external
    assert report.orders == 12
    assert told[-1] == report.messages


class Planted(NamedTuple):
    service: str
    sql: str
    invariant: int
    where: str
    why: str


PLANTED = {
    "event deleted": Planted(
        "order",
        "delete from messages where stream = 'order-{plain}' and version = 3",
        8,
        "order-{plain}",
        "is missing",
    ),
    "event edited": Planted(
        "order",
        """update messages set data = convert_to(replace(convert_from(data, 'UTF8'), '"total":2333', '"total":2233'),
           'UTF8') where stream = 'order-{plain}' and version = 1""",
        5,
        "order-{plain}",
        "add up to",
    ),
    "events swapped": Planted(
        "order",
        """alter table messages drop constraint messages_version_check; drop index messages_stream;
           update messages set version = 13 - version where stream = 'order-{plain}' and version in (6, 7)""",
        6,
        "order-{plain}",
        "owed for it",
    ),
    "event appended by hand": Planted(
        "order",
        """insert into messages
           select position + 100000, stream, 10, type, topic, partition, previous, key, at, meta, data from messages
           where stream = 'order-{plain}' and version = 7""",
        6,
        "order-{plain}",
        "left before",
    ),
    "nobody told": Planted(
        "order",
        """update messages set topic = null, partition = null, previous = null
           where stream = 'order-{plain}' and version = 9""",
        8,
        "order-{plain}",
        "topic is None",
    ),
    "chain cut": Planted(
        "order",
        "update messages set previous = 0 where stream = 'order-{plain}' and version = 9",
        8,
        "order-{plain}",
        "it says that position 0 is before it",
    ),
    "log hole": Planted("order", "delete from messages where position = 5", 8, "", "1 are missing"),
    "log cut off": Planted(
        "order",
        "delete from messages where position = (select max(position) from messages)",
        8,
        "head",
        "the log ends at",
    ),
    "snapshot edited": Planted(
        "inventory",
        "update streams set state = state || '\\x00' where id = 'stock-MUG'",
        8,
        "stock-MUG",
        "the snapshot is not the fold",
    ),
    "snapshot of nothing": Planted(
        "inventory",
        "insert into streams values ('stock-GHOST', 3, 1, '\\x90', 0)",
        8,
        "stock-GHOST",
        "there is no such event",
    ),
    "oversold": Planted(
        "inventory",
        """update messages set data = convert_to(replace(convert_from(data, 'UTF8'), '"quantity":50', '"quantity":1'),
           'UTF8') where stream = 'stock-TEA' and type = 'oms.inventory.received.v1'""",
        1,
        "stock-TEA",
        "oversold",
    ),
    "reservation reopened": Planted(
        "inventory",
        """delete from messages where stream = 'reservation-{cancelled}.1'
           and type = 'oms.inventory.reservation_released.v1'""",
        3,
        "order-{cancelled}",
        "still holds",
    ),
    "cause removed": Planted(
        "fulfillment",
        """update messages set meta = convert_to(
               regexp_replace(convert_from(meta, 'UTF8'), '"causation":"[^"]*"', '"causation":"order-none/1"'), 'UTF8')
           where stream = 'fulfillment-{plain}.f1' and version = 1""",
        8,
        "fulfillment-{plain}.f1",
        "is in no log",
    ),
    "checkpoint moved on": Planted(
        "returns",
        "update checkpoints set sequence = sequence + 100",
        9,
        "checkpoint oms.order.events",
        "ends at",
    ),
    "warehouse sent another parcel": Planted(
        "fulfillment",
        """update messages set data = convert_to(replace(convert_from(data, 'UTF8'), 'T1', 'T9'), 'UTF8')
           where stream = 'fulfillment-{plain}.f1' and type = 'oms.fulfillment.shipped.v1'""",
        6,
        "order-{plain}",
        "not the same at the warehouse",
    ),
    "return inflated": Planted(
        "returns",
        """update messages set data = convert_to(
               regexp_replace(convert_from(data, 'UTF8'), '"quantity":[0-9]+', '"quantity":40'), 'UTF8')
           where key = '{charged}' and type = 'oms.returns.received.v1'""",
        7,
        "return-",
        "units received of this return",
    ),
    "mail forged": Planted(
        "notifications",
        """update messages set data = convert_to(
               regexp_replace(convert_from(data, 'UTF8'), '"message_id":"<[^@]*', '"message_id":"<x'), 'UTF8')
           where stream = 'correspondence-{plain}' and type = 'oms.notifications.sent.v1'""",
        9,
        "correspondence-{plain}",
        "the sink never got it",
    ),
    "view edited": Planted(
        "views",
        "update v1.orders set document = set_byte(document, length(document) - 1, 1) where id = '{plain}'",
        12,
        "order {plain}",
        "not the fold",
    ),
    "view row lost": Planted(
        "views", "delete from v1.orders where id = '{free}'", 12, "order {free}", "no document"
    ),
    "timeline edited": Planted(
        "views",
        """update v1.timeline set data = convert_to(replace(convert_from(data, 'UTF8'), 'GBP', 'EUR'), 'UTF8')
           where order_id = '{plain}' and type = 'oms.order.packed.v1'""",
        12,
        "order-{plain}",
        "other bytes",
    ),
    "availability edited": Planted(
        "views",
        "update v1.availability set on_hand = on_hand + 1 where sku = 'TEA'",
        12,
        "availability TEA",
        "add up to",
    ),
}


def _named(report: Report, planted: Planted, ids: dict[str, str]) -> bool:
    where = planted.where.format(**ids)
    return any(
        v.invariant == planted.invariant
        and where in f"{v.stream} {v.event_id}"
        and planted.why in v.message
        for v in report.violations
    )


@pytest.mark.parametrize("name", PLANTED)
async def test_a_planted_corruption_is_found_and_named(
    story: Story, name: str, tmp_path: Path
) -> None:
    planted = PLANTED[name]
    loaded = story.loaded.copy(planted.service, tmp_path)
    with loaded.superuser(planted.service) as c:
        done = c.execute(planted.sql.format(**story.ids))
        while done.nextset():
            pass
        assert done.rowcount > 0
    report = await reconcile(loaded.sources)
    assert _named(report, planted, story.ids), "\n".join(map(str, report.violations))


async def test_a_movement_more_in_the_providers_ledger_is_found(
    story: Story, tmp_path: Path
) -> None:
    loaded = story.loaded.copy("order", tmp_path)
    with closing(sqlite3.connect(loaded.ledger, isolation_level=None)) as db:
        db.execute(
            """insert into entries select (select max(id) + 1 from entries), kind, operation, 'again:capture',
               payment_id, provider_ref, amount, currency, method, code, at_us from entries
               where kind = 'captured' limit 1"""
        )
    report = await reconcile(loaded.sources)
    assert any("no event of ours says so" in v.message for v in report.violations)


async def test_what_is_under_way_is_waited_for_and_then_said(story: Story, tmp_path: Path) -> None:
    loaded = story.loaded.copy("returns", tmp_path)
    with loaded.superuser("returns") as c:
        c.execute("update checkpoints set sequence = 0")
    loop = asyncio.get_running_loop()
    started = loop.time()
    report = await reconcile(loaded.sources, settle_seconds=0.6)
    assert loop.time() - started >= 0.6
    assert report.in_flight["partitions that returns has not read to the end"] > 0
    assert report.clean, report.violations


async def test_the_wait_ends_when_all_has_arrived(story: Story, tmp_path: Path) -> None:
    """A consumer that catches up meanwhile: nothing is in flight in what is judged."""
    loaded = story.loaded.copy("returns", tmp_path)
    with loaded.superuser("returns") as c:
        marks = c.execute("select topic, partition, sequence from checkpoints").fetchall()
        c.execute("update checkpoints set sequence = 0")
        working = asyncio.create_task(reconcile(loaded.sources, settle_seconds=60))
        await asyncio.sleep(0.3)
        assert not working.done()
        for topic, partition, n in marks:
            sql = "update checkpoints set sequence = %s where (topic, partition) = (%s, %s)"
            c.execute(sql, [n, topic, partition])
    report = await working
    assert report.clean
    assert report.complete


async def test_a_source_that_does_not_answer_is_an_error_and_no_clean_report(story: Story) -> None:
    sources = story.loaded.sources
    broken = Sources({**sources.databases, "order": "host=127.0.0.1 port=1 dbname=x user=x"})
    with pytest.raises(CannotRead, match="order does not answer"):
        await reconcile(broken)
    nowhere = "http://127.0.0.1:1"
    payments = PaymentsSource(url=nowhere, key="k")
    with pytest.raises(CannotRead, match="ledger cannot be read"):
        await reconcile(Sources(sources.databases, payments=payments))
    with pytest.raises(CannotRead, match="sink at"):
        await reconcile(Sources(sources.databases, sink=SinkSource(url=nowhere)))


async def test_a_database_without_our_tables_is_an_error(story: Story, stack: Stack) -> None:
    databases = {"order": f"{stack.postgres}/postgres"}
    with pytest.raises(CannotRead, match="Were its migrations run"):
        await reconcile(Sources(databases))
