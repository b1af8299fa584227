"""Logs that nobody tampered with are clean: at the end, and at every step on the way there."""

from __future__ import annotations

from io import StringIO
from typing import Any

import msgspec
import pytest
from rich.console import Console

from ops.reconcile import wms
from ops.reconcile.log import Cut
from ops.reconcile.run import fits, quiet
from shared.events import SERVICES
from shared.events import order as o
from tests.evidence import Evidence, gather
from tests.unit.reconcile.stories import play
from tests.unit.reconcile.world import START, Shop, line, running, units


def test_every_story_ends_clean_and_every_check_saw_something(evidence: Evidence) -> None:
    report = evidence.judge()
    assert report.violations == ()
    assert report.complete, (report.in_flight, report.not_checked)
    external = {check.says for check in wms.CHECKS}  # in test_wms.py
    assert {c.check for c in report.counts if not c.checked} == external
    assert report.orders == 12
    assert report.messages == sum(len(log.messages) for log in evidence.logs.values())


async def test_the_logs_are_clean_at_every_step() -> None:
    """Whatever is under way is said to be in flight: it is never taken for a fault, nor for being done."""
    steps = in_flight = 0
    async with running() as world:

        async def judged() -> None:
            nonlocal steps, in_flight
            steps += 1
            if steps % 3 == 0:
                world.read_views()
            report = (await gather(world)).judge()
            assert report.violations == (), f"step {steps}: {report.violations}"
            in_flight += bool(report.in_flight)

        world.watch = judged
        shop = Shop(world)
        await shop.stock("POT", "EAST", 3)
        await shop.stock("POT", "WEST", 3)
        sent = await shop.place("1", line("1", "POT", 5))
        await shop.ship(sent, 1)
        await shop.ship(sent, 2, short=1)
        await shop.send_back(sent, units("1", "POT", 2))
        stopped = await shop.place("2", line("1", "POT", 2))
        await world.tell("order", o.CancelOrder(order_id=stopped, reason="no"))
        await shop.place("3", line("1", "POT", 2), payment_method="tok_declined")
        await shop.place("4", line("1", "POT", 99), backorder="wait")
        world.watch = None
        await world.settle()
        report = (await gather(world)).judge()
    assert report.clean
    assert report.complete
    assert steps > 50
    assert in_flight > 40


async def test_a_parked_key_is_a_state_and_no_violation(evidence: Evidence, ids: Any) -> None:
    log = evidence["inventory"]
    log.delete(log.find("oms.inventory.reservation_consumed.v1", order_id=ids["plain"]))
    parked = frozenset({("oms.order.requests", ids["plain"])})
    log.cut = log.cut._replace(parked=parked)
    report = evidence.judge()
    assert not [v for v in report.violations if v.invariant == 9]
    assert report.in_flight["PARKED keys of inventory: `oms parked list`"] == 1


def test_what_a_person_gave_up_is_a_note(evidence: Evidence, ids: Any) -> None:
    log = evidence["inventory"]
    log.delete(log.find("oms.inventory.reservation_consumed.v1", order_id=ids["plain"]))
    asked = evidence["order"].find("oms.inventory.consume.v1", order_id=ids["plain"])
    place = (str(asked.topic), int(asked.partition or 0), asked.position)
    assert [v for v in evidence.judge().violations if v.invariant == 9]
    log.cut = log.cut._replace(given_up=frozenset({place}))
    report = evidence.judge()
    assert not [v for v in report.violations if v.invariant == 9]
    assert any(note.startswith("inventory was made to give up") for note in report.notes)


def test_what_is_absent_is_named(evidence: Evidence) -> None:
    evidence.ledger = evidence.mails = evidence.views = None
    del evidence.logs["returns"]
    report = evidence.judge()
    assert report.violations == ()
    assert not report.complete
    text = "\n".join(report.not_checked)
    for part in ("returns", "provider's ledger", "mail sink", "views"):
        assert part in text


@pytest.mark.parametrize("absent", SERVICES)
def test_any_service_may_be_absent(evidence: Evidence, absent: str) -> None:
    evidence.views = None
    del evidence.logs[absent]
    if absent == "order":
        evidence.ledger = None
    if absent == "notifications":
        evidence.mails = None
    report = evidence.judge()
    assert report.violations == ()
    assert any(what.startswith(absent) for what in report.not_checked)


def test_mail_that_came_again_is_a_note(evidence: Evidence) -> None:
    assert evidence.mails is not None
    evidence.mails[0] = evidence.mails[0]._replace(received=3)
    report = evidence.judge()
    assert report.clean
    assert any("2 e-mails came to the sink again" in note for note in report.notes)


def test_the_report_as_json_and_for_people(evidence: Evidence) -> None:
    evidence["order"].messages.pop()
    report = evidence.judge()
    told = msgspec.json.decode(msgspec.json.encode(report.as_json()))
    assert told["clean"] is False
    assert told["violations"][0]["invariant"] == 8
    out = StringIO()
    Console(file=out, width=200).print(report)
    assert f"{report.violations_total:,} violations" in out.getvalue()
    assert "invariant 8 order" in out.getvalue()


def _cut(marks: dict[Any, int], heads: dict[Any, int], **more: Any) -> Cut:
    return Cut(START, marks, heads, 0, 0, **more)


def test_a_cut_fits_when_nobody_is_ahead_of_a_producer() -> None:
    partition = ("oms.inventory.events", 0)
    order = _cut({partition: 5}, {})
    assert not fits({"order": order, "inventory": _cut({}, {partition: 4})})
    assert fits({"order": order, "inventory": _cut({}, {partition: 5})})
    assert fits({"order": order})


def test_quiet_means_that_all_is_handled_and_no_call_is_owed() -> None:
    partition = ("oms.inventory.events", 0)
    inventory = _cut({}, {partition: 5})
    assert quiet({"order": _cut({partition: 5}, {}), "inventory": inventory})
    assert not quiet({"order": _cut({partition: 4}, {}), "inventory": inventory})
    assert not quiet(
        {"order": _cut({partition: 5}, {}, effects={"a": "s"}), "inventory": inventory}
    )
    owed = _cut({partition: 5}, {}, effects={"a": "s"}, effects_parked=1)
    assert quiet({"order": owed, "inventory": inventory})


async def test_the_stories_are_the_same_each_time(evidence: Evidence) -> None:
    async with running() as world:
        await play(world)
        again = await gather(world)
    assert again["order"].messages == evidence["order"].messages
