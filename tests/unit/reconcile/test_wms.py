"""Handshakes with external warehouses, as they are and tampered with."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from ops.reconcile.log import Cut, Cuts, Dossier, Entry, Row
from ops.reconcile.report import Report, Tally
from ops.reconcile.wms import CHECKS, check_external
from shared.events import Address, Event, LineQuantity, encode
from shared.events import fulfillment as f
from shared.events import wms as w
from shared.ledger.store import Meta

AT = datetime(2026, 1, 5, tzinfo=UTC)
IDS = {"fulfillment_id": "o1.f1", "order_id": "o1"}
LINES = (LineQuantity(line_id="1", sku="TEA", quantity=2),)
OPENED = f.FulfillmentOpened(**IDS, location="DHL", lines=LINES, ship_to=Address())
SUBMITTED = w.FulfillmentSubmitted(**IDS, location="DHL", lines=LINES, ship_to=Address())
ACCEPTED = w.FulfillmentAccepted(**IDS, reference="W77")
REJECTED = w.FulfillmentRejected(**IDS, reason="no space")
PICKED = w.PickTaken(**IDS, pick_id="9", lines=LINES, final=True, short_reason="")
TAKEN = w.PackageTaken(**IDS, package="S1", lines=LINES)
RELEASED = f.PackageReleased(**IDS, package_id="o1.f1.S1")
CLEARED = w.PackageCleared(**IDS, location="DHL", package="S1")
LEFT = w.PackageLeft(**IDS, package="S1", carrier="DHL", tracking_number="T1")
SHIPPED = f.Shipped(
    **IDS, location="DHL", package_id="o1.f1.S1", lines=LINES, carrier="DHL", tracking_number="T1"
)
ARRIVED = w.PackageArrived(**IDS, package="S1", delivered_at=None)
STOP = w.WmsCancellationRequested(**IDS, location="DHL", reason="customer")
STOPPED = w.CancellationSettled(**IDS)
ASKED = [SUBMITTED, ACCEPTED, PICKED, TAKEN, CLEARED, LEFT]
TOLD = [OPENED, RELEASED, SHIPPED]
TOPIC = ("oms.fulfillment.events", 0)


def judged(asked: list[Event], told: list[Event], handled: int = 99) -> Report:
    """What is found in these streams, the integrations having ``handled`` fulfillment's feed so far."""
    dossier, tally = Dossier("o1"), Tally(CHECKS)
    for service, events in (("integrations", asked), ("fulfillment", told)):
        for n, event in enumerate(events, 1):
            public = service == "fulfillment"
            row = Row(
                stream=event.subject,
                version=n,
                position=n,
                topic=TOPIC[0] if public else None,
                partition=0 if public else None,
                key="o1",
                type=event.tag(),
                data=encode(event),
                meta=b"{}",
                at=AT,
                group="o1",
            )
            dossier.add(Entry(service, row, f"{event.subject}/{n}", Meta(), event))
    cuts = Cuts(
        {"integrations": Cut(AT, {TOPIC: handled}, {}, 0, 0), "fulfillment": Cut(AT, {}, {}, 0, 0)}
    )
    check_external(dossier, cuts, tally)
    return tally.report(0.0)


def test_a_handshake_that_was_kept_is_clean() -> None:
    report = judged(ASKED, TOLD)
    assert report.violations == ()
    assert [c.checked for c in report.counts] == [2, 4, 3]
    assert report.in_flight == {}


def test_it_may_be_rejected_after_it_was_accepted() -> None:
    assert judged([SUBMITTED, ACCEPTED, REJECTED], TOLD[:1]).violations == ()


def test_what_is_under_way_is_no_fault() -> None:
    assert judged(ASKED[:4], TOLD[:2], handled=1).violations == ()
    report = judged(ASKED, TOLD[:2])
    assert report.violations == ()
    assert sum(report.in_flight.values()) == 1


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ([SUBMITTED], "fulfillments that an external warehouse has not answered"),
        ([SUBMITTED, ACCEPTED, STOP], "cancellations that an external warehouse has not answered"),
    ],
)
def test_a_request_without_an_answer_is_under_way(asked: list[Event], what: str) -> None:
    report = judged(asked, TOLD[:1])
    assert report.violations == ()
    assert report.in_flight == {what: 1}
    assert not report.complete


def test_a_request_that_was_answered_is_not_waited_for() -> None:
    for answers in ([ACCEPTED], [REJECTED], [PICKED], [STOP, STOPPED]):
        assert judged([SUBMITTED, *answers], TOLD[:1]).in_flight == {}


@pytest.mark.parametrize(
    ("asked", "told", "why"),
    [
        ([SUBMITTED, SUBMITTED], TOLD[:1], "was submitted or answered before"),
        ([SUBMITTED], [], "was never opened"),
        ([replace(SUBMITTED, lines=(replace(LINES[0], quantity=3),))], TOLD[:1], "other units"),
        ([replace(SUBMITTED, location="UPS")], TOLD[:1], "elsewhere"),
        ([SUBMITTED, REJECTED, ACCEPTED], TOLD[:1], "was submitted or answered before"),
        ([*ASKED[:4], LEFT], [OPENED, SHIPPED], "was not cleared"),
        ([*ASKED[:2], CLEARED], TOLD[:2], "never packed"),
        ([*ASKED, LEFT], TOLD, "left before"),
        (ASKED[:4], TOLD[:2], "its warehouse was not told"),
        (ASKED[:5], TOLD, "its warehouse does not say so"),
        ([*ASKED[:5], replace(LEFT, tracking_number="T2")], TOLD, "its warehouse does not say so"),
        ([ACCEPTED], TOLD[:1], "answers what was never asked"),
        ([PICKED, SUBMITTED], TOLD[:1], "answers what was never asked"),
        ([*ASKED[:2], STOPPED], TOLD[:1], "answers what was never asked"),
        ([*ASKED[:3], PICKED], TOLD[:1], "about 9 was counted before"),
        ([*ASKED[:4], TAKEN], TOLD[:1], "about S1 was counted before"),
        ([*ASKED, ARRIVED, ARRIVED], TOLD, "about S1 was counted before"),
        ([SUBMITTED, STOP, STOPPED, STOPPED], TOLD[:1], "about o1.f1 was counted before"),
        ([*ASKED[:3], replace(PICKED, pick_id="10")], TOLD[:1], "more was picked"),
        ([*ASKED[:2], TAKEN], TOLD[:1], "more was packed"),
    ],
)
def test_a_handshake_that_was_broken_is_named(
    asked: list[Event], told: list[Event], why: str
) -> None:
    violations = judged(asked, told).violations
    assert any(why in v.message for v in violations), violations
    assert {v.invariant for v in violations} == {6}
