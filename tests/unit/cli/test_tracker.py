"""What the demo counts is folded from events, and money and latencies come out of it exactly."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ops.demo import stories
from ops.demo.plan import Plan, make_plan
from ops.demo.stories import End
from ops.demo.tracker import Tracker, latencies_ms, percentile
from shared.events import Event, Money
from shared.events import order as o
from shared.events import returns as r

T0 = datetime(2030, 1, 1, tzinfo=UTC)


def plan() -> Plan:
    return make_plan(30, 1, "R")


def order_of(story: stories.Story, p: Plan) -> str:
    return next(x.order_id for x in p.orders if x.story is story)


def placed(p: Plan, order_id: str) -> o.OrderPlaced:
    c = next(x.command for x in p.orders if x.order_id == order_id)
    return o.OrderPlaced(
        order_id=order_id,
        channel=c.channel,
        external_id=c.external_id,
        currency=c.currency,
        lines=c.lines,
        charges=c.charges,
        total=sum(x.total for x in c.lines),
        customer=c.customer,
        ship_to=c.ship_to,
        payment_method=c.payment_method,
        backorder=c.backorder,
        placed_at=T0,
    )


def told(tracker: Tracker, *events: Event) -> None:
    for n, event in enumerate(events):
        tracker.apply(event, T0 + timedelta(milliseconds=40 * n))


def confirmed(order_id: str) -> o.OrderConfirmed:
    return o.OrderConfirmed(
        order_id=order_id, channel="web", external_id="1", total=Money(1, "GBP")
    )


def test_an_order_that_is_completed_has_ended_where_it_should() -> None:
    p = plan()
    id = order_of(stories.STRAIGHT, p)
    tracker = Tracker(p)
    told(tracker, placed(p, id), confirmed(id), o.OrderCompleted(order_id=id))
    assert tracker.orders[id].end is End.COMPLETED
    assert tracker.orders[id].right
    assert tracker.outcomes() == {End.COMPLETED: 1}
    assert len(tracker.unfinished) == 29
    assert not tracker.finished
    assert latencies_ms(tracker.orders) == [40.0]


def test_an_order_with_another_end_than_decided_is_unfinished() -> None:
    p = plan()
    id = order_of(stories.DECLINED, p)
    tracker = Tracker(p)
    told(tracker, placed(p, id), o.OrderCompleted(order_id=id))
    assert not tracker.orders[id].right
    assert tracker.orders[id] in tracker.unfinished
    assert tracker.outcomes() == {}


def test_an_order_that_comes_back_ends_with_its_settlement() -> None:
    p = plan()
    id = order_of(stories.RETURN, p)
    tracker = Tracker(p)
    told(tracker, placed(p, id), confirmed(id), o.OrderCompleted(order_id=id))
    assert tracker.orders[id].end is None
    settled = r.ReturnSettled(
        return_id=f"{id}.r1", order_id=id, refund_id="x", amount=Money(5, "GBP")
    )
    told(tracker, settled)
    assert tracker.orders[id].end is End.RETURNED


def test_orders_of_others_count_for_nothing() -> None:
    tracker = Tracker(plan())
    assert tracker.apply(o.OrderCompleted(order_id="a visitor's"), T0) is None
    assert tracker.counts.ended == 0
    assert tracker.version == 0


def test_money_is_what_was_authorised_taken_given_up_and_given_back() -> None:
    p = plan()
    id = order_of(stories.SHORT, p)
    currency = next(x.command.currency for x in p.orders if x.order_id == id)
    tracker = Tracker(p)
    told(
        tracker,
        o.PaymentAuthorised(
            order_id=id, payment_id="p", provider_ref="a", amount=Money(1000, currency)
        ),
        o.PaymentCaptured(
            order_id=id, payment_id="p", capture_id="c", package_id="x", amount=Money(700, currency)
        ),
        o.PaymentVoided(order_id=id, payment_id="p"),
        o.RefundIssued(
            order_id=id, refund_id="f", payment_id="p", return_id="", amount=Money(50, currency)
        ),
    )
    money = tracker.money[currency]
    assert (money.authorised, money.captured, money.voided, money.refunded) == (1000, 700, 300, 50)


def test_an_order_that_waited_for_stock_says_nothing_about_speed() -> None:
    p = plan()
    id = order_of(stories.BACKORDER, p)
    tracker = Tracker(p)
    waits = o.OrderBackordered(order_id=id, reservation_id="x")
    told(tracker, placed(p, id), waits, confirmed(id))
    assert latencies_ms(tracker.orders) == []


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_are_values_that_occurred(values: list[float]) -> None:
    values.sort()
    assert percentile(values, 50) in values
    assert percentile(values, 99) in values
    assert percentile(values, 100) == values[-1]
    assert percentile(values, 0) == values[0]
    assert percentile([], 50) == 0.0
