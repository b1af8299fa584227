"""The order document: pure folds from lists of events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.views.domain import axes
from services.views.domain import document as documents
from services.views.domain.document import FOLDS, Document
from services.views.domain.shown import OrderView
from services.views.domain.view import outside, view
from services.views.handlers import PROJECTED, TABLE
from shared.events import EVENTS, LineQuantity
from shared.events import fulfillment as f
from shared.events import order as o
from shared.events.message import Money
from tests.unit.views.journey import Journey, Said


def fold(said: Iterable[Said], document: Document | None = None) -> Document:
    document = document or Document(order_id="?")
    for one in said:
        if type(one.event) in FOLDS:
            document = documents.apply(document, one.event, one.at)
    return document


def seen(journey: Journey) -> OrderView:
    return view(fold(journey.said, Document(order_id=journey.order_id)))


def placed_in(shown: OrderView, line: int = 0) -> dict[str, int]:
    """The quantities of a line that are not nought."""
    q = shown.lines[line].quantities
    return {name: n for name in q.__struct_fields__ if (n := getattr(q, name))}


def test_a_whole_journey_ends_delivered_and_paid() -> None:
    shown = seen(Journey().whole())
    status = shown.status
    assert (status.order, status.payment, status.fulfillment, status.returns) == (
        "completed",
        "captured",
        "delivered",
        "none",
    )
    assert placed_in(shown) == {"delivered": 2}
    assert (shown.lines[0].quantity.total, shown.lines[0].quantity.fulfilled) == (2, 2)
    assert shown.money.captured == shown.money.total == 1390
    assert sum(line.paid for line in shown.lines) == shown.money.captured
    [shipment] = shown.shipments
    assert (shipment.state, shipment.carrier, shipment.location) == (
        "delivered",
        "Royal Mail",
        "LON",
    )
    assert [n.state for n in shown.notices] == ["sent", "sent"]
    assert [r.state for r in shown.reservations] == ["consumed"]
    assert shown.oddities == ()


def test_a_customer_sees_the_outside_of_an_order() -> None:
    journey = Journey().whole().held()
    whole = seen(journey.returned([journey.line(0, 1)]))
    assert all((whole.holds, whole.fulfillments, whole.reservations, whole.returns))
    shown = outside(whole)
    assert (shown.holds, shown.fulfillments, shown.reservations, shown.oddities) == ((), (), (), ())
    assert {p.provider_ref for p in shown.payments} == {""}
    assert {x.location for x in (*shown.shipments, *shown.returns)} == {""}
    assert (shown.lines, shown.money, shown.status) == (whole.lines, whole.money, whole.status)
    assert [x.tracking_number for x in shown.shipments] == [
        x.tracking_number for x in whole.shipments
    ]


@pytest.mark.parametrize(
    ("steps", "payment", "fulfillment", "where"),
    [
        (("placed",), "pending", "open", {"open": 2}),
        (("placed", "reserved"), "pending", "reserved", {"reserved": 2}),
        (("placed", "backordered"), "pending", "backordered", {"backordered": 2}),
        (("placed", "backordered", "reserved"), "pending", "reserved", {"reserved": 2}),
        (("placed", "reserved", "confirmed"), "authorised", "reserved", {"reserved": 2}),
        (("placed", "reserved", "confirmed", "fulfilment"), "captured", "packed", {"packed": 2}),
        (
            ("placed", "reserved", "confirmed", "fulfilment", "shipped"),
            "captured",
            "shipped",
            {"shipped": 2},
        ),
        (("placed", "rejected"), "none", "cancelled", {"cancelled": 2}),
    ],
)
def test_each_step_moves_the_axes_and_the_units(
    steps: tuple[str, ...], payment: str, fulfillment: str, where: dict[str, int]
) -> None:
    journey = Journey()
    for step in steps:
        getattr(journey, step)()
    shown = seen(journey)
    assert (shown.status.payment, shown.status.fulfillment) == (payment, fulfillment)
    assert placed_in(shown) == where


def test_a_split_shipment_is_partly_delivered_and_partly_paid() -> None:
    j = Journey(quantities=(1, 4)).placed().reserved(("LON", "YRK")).confirmed()
    j.fulfilment(1, [j.line(0, 1)]).shipped(1, [j.line(0, 1)], last=False)
    j.delivered(1, [j.line(0, 1)])
    j.opened_second([j.line(1, 4)], "YRK")
    shown = seen(j)
    assert shown.status.payment == "partially_captured"
    assert shown.status.fulfillment == "partially_delivered"
    assert placed_in(shown, 0) == {"delivered": 1}
    assert placed_in(shown, 1) == {"picked": 4}
    assert [f.location for f in shown.fulfillments] == ["LON", "YRK"]
    assert shown.money.to_capture == shown.money.authorised - shown.money.captured > 0
    [reservation] = shown.reservations
    assert [(p.sku, p.location) for p in reservation.promised] == [("CUP-07", "YRK")]


def test_a_cancelled_order_keeps_neither_goods_nor_money() -> None:
    shown = seen(Journey().placed().reserved().confirmed().opened().cancelled())
    assert shown.status.order == "cancelled"
    assert shown.status.payment == "voided"
    assert shown.status.fulfillment == "cancelled"
    assert not shown.status.cancelling
    assert placed_in(shown) == {"cancelled": 2}
    assert shown.lines[0].quantity.total == 0
    assert (shown.money.voided, shown.money.to_capture) == (1390, 0)
    assert [r.state for r in shown.reservations] == ["released"]
    assert [f.state for f in shown.fulfillments] == ["cancelled"]


def test_stopping_a_packed_fulfillment_unpacks_it() -> None:
    j = Journey().placed().reserved().confirmed().fulfilment()
    fulfillment_id = f"{j.order_id}.f1"
    j.say(o.FulfillmentStopped(order_id=j.order_id, fulfillment_id=fulfillment_id))
    shown = seen(j)
    assert placed_in(shown) == {"reserved": 2}
    assert [s.state for s in shown.shipments] == ["stopped"]


def test_a_return_is_refunded() -> None:
    j = Journey().whole()
    shown = seen(j.returned([j.line(0, 1)]))
    assert shown.status.returns == "partially_returned"
    assert shown.status.payment == "partially_refunded"
    assert placed_in(shown) == {"delivered": 1, "returned": 1}
    assert shown.money.refunded == 250
    [back] = shown.returns
    assert back.state == "settled"
    assert back.refund is not None
    assert (back.refund.state, back.refund.amount) == ("paid", 250)
    assert [d.note for d in back.dispositions] == ["restock"]


def test_missing_units_do_not_count_as_returned() -> None:
    j = Journey().whole()
    shown = seen(j.returned([j.line(0, 1)], "missing"))
    assert shown.status.returns == "none"
    assert placed_in(shown) == {"delivered": 2}


def test_short_picked_units_are_cancelled_and_not_wanted() -> None:
    j = Journey().placed().reserved().confirmed()
    j.say(
        o.LinesCancelled(
            order_id=j.order_id,
            fulfillment_id=f"{j.order_id}.f1",
            lines=(j.line(0, 1),),
            reason="short_pick",
        )
    )
    shown = seen(j)
    assert placed_in(shown) == {"reserved": 1, "cancelled": 1}
    assert shown.lines[0].quantity.total == 1


def test_a_refused_capture_shows_on_its_package_and_a_hold_on_the_order() -> None:
    j = Journey().placed().reserved().confirmed().opened()
    package = f"{j.order_id}.f1.p1"
    what = {"order_id": j.order_id, "package_id": package}
    j.say(
        o.OrderPacked(
            **what,
            fulfillment_id=f"{j.order_id}.f1",
            lines=j.all_lines(),
            capture=Money(1390, "GBP"),
        )
    )
    j.say(o.CaptureRefused(**what, payment_id="p", capture_id="c", reason="card_expired"))
    held = {"order_id": j.order_id, "hold_id": "h"}
    j.say(o.HoldPlaced(**held, kind="payment", reason="card_expired"))
    shown = seen(j)
    assert [s.state for s in shown.shipments] == ["payment_refused"]
    assert shown.status.on_hold
    j.say(o.HoldReleased(**held, actor="kim", note="called"))
    assert not seen(j).status.on_hold
    assert seen(j).holds[0].released_by == "kim"


def test_a_parcel_left_when_its_carrier_says_so() -> None:
    j = Journey().whole()
    [told] = [x for x in j.said if isinstance(x.event, f.Shipped)]
    earlier = told.at - timedelta(hours=6)
    told.event = replace(told.event, shipped_at=earlier)
    assert [x.shipped_at for x in seen(j).shipments] == [earlier]


def test_what_does_not_add_up_is_shown_and_not_hidden() -> None:
    j = Journey().placed()
    j.say(
        o.OrderShipped(
            order_id=j.order_id,
            fulfillment_id="f",
            package_id="p",
            location="LON",
            lines=(j.line(0, 3), LineQuantity(line_id="9", sku="X", quantity=1)),
            carrier="",
            tracking_number="",
        )
    )
    shown = seen(j)
    assert placed_in(shown) == {"shipped": 2}
    assert len(shown.oddities) == 2
    assert "1 more of TEA-01" in shown.oddities[0]


def journeys() -> list[Journey]:
    whole = Journey().whole()
    whole.returned([whole.line(0, 1)])
    split = Journey(quantities=(1, 4)).placed().reserved(("LON", "YRK")).confirmed()
    split.fulfilment(1, [split.line(0, 1)]).shipped(1, [split.line(0, 1)], last=False)
    split.opened_second([split.line(1, 4)], "YRK")
    cancelled = Journey().placed("wait").backordered().reserved(attempt=2).confirmed()
    return [whole, split, cancelled.opened().cancelled(), Journey().placed().rejected()]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_interleaving_of_topics_does_not_matter(data: st.DataObject) -> None:
    """Each topic keeps its order, and nothing else is known about when a record comes: the bytes are
    the same. This is what makes a rebuild equal to what was built live."""
    journey = data.draw(st.sampled_from(journeys()))
    document = Document(order_id=journey.order_id)
    by_topic: dict[str | None, list[Said]] = {}
    for one in journey.said:
        by_topic.setdefault(one.event.route(), []).append(one)
    mixed: list[Said] = []
    while by_topic:
        topic = data.draw(st.sampled_from(sorted(by_topic, key=str)))
        mixed.append(by_topic[topic].pop(0))
        if not by_topic[topic]:
            del by_topic[topic]
    assert documents.encode(fold(mixed, document)) == documents.encode(fold(journey.said, document))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_units_are_conserved_at_every_event(data: st.DataObject) -> None:
    """Whatever was read of each topic so far, the quantities of a line add up to what was ordered."""
    journey = data.draw(st.sampled_from(journeys()))
    by_topic: dict[str | None, list[Said]] = {}
    for one in journey.said:
        by_topic.setdefault(one.event.route(), []).append(one)
    document = Document(order_id=journey.order_id)
    for topic in sorted(by_topic, key=str):
        read = data.draw(st.integers(0, len(by_topic[topic])))
        document = fold(by_topic[topic][:read], document)
    for line in view(document).lines:
        q = line.quantities
        amounts = [getattr(q, name) for name in q.__struct_fields__]
        assert min(amounts) >= 0
        assert sum(amounts) == line.ordered


def test_a_document_survives_storing() -> None:
    document = fold(Journey().whole().said)
    assert documents.decode(documents.encode(document)) == document


def test_an_order_known_only_from_elsewhere_is_not_listed_yet() -> None:
    j = Journey().placed().reserved()
    document = fold(s for s in j.said if s.event.service() == "inventory")
    assert document.version == 1
    assert document.order.status == ""
    assert axes.all_of(document)["order"] == "unknown"


def test_every_published_event_of_an_order_is_projected_and_nothing_private() -> None:
    of_orders = {
        t
        for t in EVENTS.values()
        if (t.route() or "").endswith(".events") and "order_id" in t.__struct_fields__
    }
    assert of_orders <= PROJECTED.keys()
    assert not any(t.private for t in PROJECTED)
    assert {t for t in of_orders if t.service() == "order"} <= FOLDS.keys()
    assert set(TABLE.topics) == {
        f"oms.{s}.events" for s in ("order", "inventory", "fulfillment", "returns", "notifications")
    }
