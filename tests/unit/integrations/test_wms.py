"""The handshake with an external warehouse: each answer once, and none that contradicts what was agreed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from services.integrations.domain.wms import Cancellation, Handshake
from services.integrations.domain.wms_answers import Contradiction
from services.integrations.handlers import table
from shared.events import Address, LineQuantity
from shared.events import fulfillment as f
from shared.events import wms as w
from tests.spec import NOON, Scenario, given

TABLE = table(wms_locations=frozenset(("DHL",)))
IDS = {"fulfillment_id": "o1.f1", "order_id": "o1"}
TWO = (LineQuantity(line_id="1", sku="TEA", quantity=2),)
ONE = (LineQuantity(line_id="1", sku="TEA", quantity=1),)
OPENED = f.FulfillmentOpened(**IDS, location="DHL", lines=TWO, ship_to=Address(country="GB"))
SUBMITTED = w.FulfillmentSubmitted(**IDS, location="DHL", lines=TWO, ship_to=OPENED.ship_to)
START = f.StartPicking(**IDS, picker="wms")
PICKED = w.ReportPicked(**IDS, pick_id="9", lines=TWO)
PACKED = w.ReportPacked(**IDS, package="SSCC1", lines=TWO)
RELEASED = f.PackageReleased(**IDS, package_id="o1.f1.SSCC1")
SHIPPED = w.ReportShipped(**IDS, package="SSCC1", carrier="DHL", tracking_number="T", lines=TWO)
CANCELLED = f.FulfillmentCancelled(**IDS, reason="customer")


def submitted() -> Scenario:
    return given(TABLE).when(OPENED)


def ready() -> Scenario:
    """Picked, packed and cleared."""
    return submitted().when(PICKED).when(PACKED).when(RELEASED)


def test_what_leaves_from_its_location_is_submitted_once() -> None:
    submitted().then(SUBMITTED).when(OPENED, id="again").nothing()
    elsewhere = f.FulfillmentOpened(**IDS, location="LON", lines=TWO, ship_to=Address())
    given(TABLE).when(elsewhere).nothing()
    assert SUBMITTED.route() == "oms.wms.requests"
    assert PICKED.route() == "oms.wms.answers"


def test_the_way_of_a_package() -> None:
    scenario = submitted()
    accepted = w.ReportAccepted(**IDS, reference="W77")
    scenario.when(accepted).then(w.FulfillmentAccepted(**IDS, reference="W77"))
    scenario.when(PICKED).then(
        w.PickTaken(**IDS, pick_id="9", lines=TWO, final=True, short_reason=""),
        START,
        f.RecordPick(**IDS, lines=TWO, pick_id="wms.9"),
    )
    scenario.when(PACKED).then(
        w.PackageTaken(**IDS, package="SSCC1", lines=TWO),
        f.PackItems(**IDS, package_id="o1.f1.SSCC1", lines=TWO),
    )
    scenario.when(RELEASED).then(w.PackageCleared(**IDS, location="DHL", package="SSCC1"))
    scenario.when(SHIPPED).then(
        w.PackageLeft(**IDS, package="SSCC1", carrier="DHL", tracking_number="T"),
        f.ShipPackage(**IDS, package_id="o1.f1.SSCC1", carrier="DHL", tracking_number="T"),
    )
    arrived = w.ReportDelivered(**IDS, package="SSCC1")
    scenario.when(arrived).then(
        w.PackageArrived(**IDS, package="SSCC1", delivered_at=None),
        f.ConfirmDelivery(**IDS, package_id="o1.f1.SSCC1"),
    )
    for again in (accepted, PICKED, PACKED, RELEASED, SHIPPED, arrived):
        scenario.when(again, id="again").nothing()


def test_picks_in_parts_start_picking_once() -> None:
    first = w.ReportPicked(**IDS, pick_id="1", lines=ONE, final=False)
    second = w.ReportPicked(**IDS, pick_id="2", lines=ONE, final=False)
    scenario = submitted().when(first).when(second)
    scenario.then(
        w.PickTaken(**IDS, pick_id="2", lines=ONE, final=True, short_reason=""),
        f.RecordPick(**IDS, lines=ONE, final=False, pick_id="wms.2"),
    )
    assert scenario.state("wmsorder-o1.f1").handshake is Handshake.ACCEPTED


def test_a_pick_is_the_same_in_any_order_of_its_lines() -> None:
    lines = (*ONE, LineQuantity(line_id="2", sku="CUP", quantity=1))
    opened = f.FulfillmentOpened(**IDS, location="DHL", lines=lines, ship_to=Address())
    scenario = given(TABLE).when(opened).when(w.ReportPicked(**IDS, pick_id="9", lines=lines))
    scenario.when(w.ReportPicked(**IDS, pick_id="9", lines=lines[::-1]), id="again").nothing()


def test_a_rejection_is_a_pick_that_found_nothing() -> None:
    rejected = w.ReportRejected(**IDS, reason="no space")
    scenario = submitted().when(rejected)
    why = "rejected by the warehouse: no space"
    scenario.then(
        w.FulfillmentRejected(**IDS, reason="no space"),
        START,
        f.RecordPick(**IDS, lines=(), short_reason=why, pick_id="wms.rejected"),
    )
    scenario.when(rejected, id="again").nothing()
    with pytest.raises(Contradiction, match="rejected before"):
        scenario.when(w.ReportAccepted(**IDS))


def test_a_cancellation_is_asked_for_and_answered() -> None:
    asked = w.WmsCancellationRequested(**IDS, location="DHL", reason="customer")
    scenario = submitted().when(CANCELLED).then(asked)
    scenario.when(CANCELLED, id="again").nothing()
    yes = w.ReportCancellationAccepted(**IDS)
    scenario.when(yes).then(w.CancellationSettled(**IDS)).when(yes, id="again").nothing()
    assert scenario.state("wmsorder-o1.f1").cancellation is Cancellation.ACCEPTED

    no = w.ReportCancellationRejected(**IDS, reason="on the truck")
    scenario = submitted().when(CANCELLED).when(no)
    scenario.then(w.CancellationSettled(**IDS, reason="on the truck"))
    assert scenario.state("wmsorder-o1.f1").cancellation is Cancellation.REJECTED
    with pytest.raises(Contradiction, match="its cancellation is REJECTED"):
        scenario.when(yes)


def test_what_crosses_a_cancellation_is_kept_and_goes_no_further() -> None:
    scenario = submitted().when(CANCELLED)
    assert [type(i) for i in scenario.when(PICKED).items] == [w.PickTaken]
    assert [type(i) for i in scenario.when(PACKED).items] == [w.PackageTaken]


@pytest.mark.parametrize(
    ("before", "answer", "why"),
    [
        (given(TABLE), PICKED, "never submitted"),
        (submitted(), w.ReportAccepted(fulfillment_id="o1.f1", order_id="o2"), "order o1"),
        (submitted(), PACKED, "2 of 1/TEA, 0 picked"),
        (submitted(), SHIPPED, "no package SSCC1"),
        (submitted().when(PICKED), w.ReportPicked(**IDS, pick_id="9", lines=ONE), "other units"),
        (submitted().when(PICKED), w.ReportPicked(**IDS, pick_id="8", lines=ONE), "left to pick"),
        (submitted().when(PICKED), w.ReportRejected(**IDS, reason="x"), "picked before"),
        (submitted().when(PICKED).when(PACKED), SHIPPED, "not cleared"),
        (ready(), w.ReportPacked(**IDS, package="SSCC1", lines=ONE), "other units"),
        (
            ready(),
            w.ReportShipped(**IDS, package="SSCC1", carrier="D", tracking_number="", lines=ONE),
            "other units left",
        ),
        (
            ready().when(SHIPPED),
            w.ReportShipped(**IDS, package="SSCC1", carrier="UPS", tracking_number="U", lines=TWO),
            "left with DHL T",
        ),
        (ready(), w.ReportDelivered(**IDS, package="SSCC1"), "has not left"),
        (submitted(), w.ReportCancellationAccepted(**IDS), "cancellation is NONE"),
        (
            submitted(),
            w.ReportPicked(
                **IDS, pick_id="1", lines=(LineQuantity(line_id="1", sku="TEA", quantity=-1),)
            ),
            "below 1",
        ),
        # The fulfillment service would refuse these where nobody hears it, and the truth would come too late.
        (
            ready(),
            replace(SHIPPED, shipped_at=NOON + timedelta(hours=2)),
            "no time that has passed",
        ),
        (
            ready(),
            replace(SHIPPED, shipped_at=NOON.replace(tzinfo=None)),
            "no time that has passed",
        ),
        (
            ready().when(SHIPPED),
            w.ReportDelivered(**IDS, package="SSCC1", delivered_at=NOON.replace(year=1969)),
            "no time that has passed",
        ),
        (submitted().when(PICKED), w.ReportPacked(**IDS, package="", lines=ONE), "is no package"),
        (
            submitted().when(PICKED),
            w.ReportPacked(**IDS, package="a b", lines=ONE),
            "is no package",
        ),
        (submitted().when(PICKED), w.ReportPacked(**IDS, package="E", lines=()), "E is empty"),
    ],
)
def test_what_cannot_be_is_kept_for_a_person(before: Scenario, answer: Any, why: str) -> None:
    with pytest.raises(Contradiction, match=why):
        before.when(answer)
