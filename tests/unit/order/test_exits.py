"""The other ends of an order: no stock, no money, cancelled, short, returned, stuck."""

from datetime import datetime, timedelta, timezone

from msgspec import json
from msgspec.structs import replace

from services.order.domain.messages import (
    CaptureAnswered,
    OrderDeadline,
    RefundPayment,
    VoidPayment,
)
from shared.events import CancelTimer, Charge, Effect, Money, Refused, StartTimer, StockLine, encode
from shared.events import fulfillment as f
from shared.events import inventory as i
from shared.events import order as o
from tests.spec import NOON, Scenario, given
from tests.unit.order import examples as x

CANCEL = o.CancelOrder(order_id=x.ID, reason="changed my mind", actor="agent:1")
STREAM = f"order-{x.ID}"


def release(reason, lines=(x.TEA, x.CUP), location="", release_id=""):
    return i.ReleaseReservation(
        reservation_id=x.RESERVATION,
        order_id=x.ID,
        lines=lines,
        reason=reason,
        location=location,
        release_id=release_id,
    )


VOID = Effect(
    id=f"{x.PAYMENT}:void",
    subject=STREAM,
    request=VoidPayment(order_id=x.ID, payment_id=x.PAYMENT, provider_ref="auth-1"),
)
NO_TIMER = CancelTimer(subject=STREAM, name="deadline")
NO_CANCELLING_TIMER = CancelTimer(subject=STREAM, name="cancelling")


def test_without_stock_the_order_is_rejected():
    x.after(x.PLACE).when(x.REJECTED).then(
        o.ReservationReturned(order_id=x.ID, reservation_id=x.RESERVATION),
        o.OrderRejected(order_id=x.ID, reason="out_of_stock", detail="3 x TEA"),
        NO_TIMER,
    )


def test_an_order_that_nothing_pays_is_rejected_and_may_come_again():
    why = f"payment_method: names what pays {x.TOTAL} minor units; only an order of 0 needs none"
    unpaid = replace(x.PLACE, payment_method="")
    scenario = given(x.TABLE).when(unpaid)
    scenario.then_includes(o.OrderRejected(order_id=x.ID, reason="invalid", detail=why))
    scenario.when(x.PLACE)
    assert isinstance(scenario.items[0], o.OrderPlaced)


def test_the_business_time_is_kept_in_utc():
    at = datetime(2024, 2, 29, 23, 30, tzinfo=timezone(timedelta(hours=-12)))
    [placed, *_] = given(x.TABLE).when(replace(x.PLACE, placed_at=at)).items
    assert json.decode(encode(placed))["placed_at"] == "2024-03-01T11:30:00Z"


def test_an_order_of_nothing_needs_no_payment():
    free = replace(x.PLACE, payment_method="", charges=(Charge(kind="discount", amount=1499),))
    scenario = given(x.TABLE).when(free)
    assert isinstance(scenario.items[0], o.OrderPlaced)


def test_a_declined_payment_rejects_the_order_and_gives_the_stock_back():
    scenario = x.after(x.PLACE, x.RESERVED).when(x.DECLINED)
    scenario.then(
        o.PaymentDeclined(order_id=x.ID, payment_id=x.PAYMENT, code="insufficient_funds"),
        o.OrderRejected(order_id=x.ID, reason="payment_declined", detail="insufficient_funds"),
        NO_TIMER,
        release("order rejected: payment_declined"),
    )
    scenario.when(x.RELEASED).then(
        o.ReservationReturned(order_id=x.ID, reservation_id=x.RESERVATION)
    )


def test_a_backorder_waits_is_filled_and_goes_on():
    place = replace(x.PLACE, backorder="wait")
    scenario = given(x.TABLE).when(place).when(x.BACKORDERED)
    scenario.then_events(o.OrderBackordered(order_id=x.ID, reservation_id=x.RESERVATION))
    scenario.when(x.RESERVED)
    assert isinstance(scenario.items[0], o.OrderReserved)


def test_a_backorder_that_is_never_filled_ends():
    place = replace(x.PLACE, backorder="wait")
    late = OrderDeadline(order_id=x.ID, step="backordered")
    scenario = given(x.TABLE).when(place).when(x.BACKORDERED).when(late)
    assert isinstance(scenario.items[0], o.OrderRejected)
    scenario.then_includes(release("order rejected: out_of_stock"))


def test_a_late_timer_does_nothing():
    x.after(*x.CONFIRMED).when(OrderDeadline(order_id=x.ID, step="placed")).nothing()


def test_a_stuck_order_is_held_for_a_person():
    scenario = x.after(*x.CONFIRMED).when(OrderDeadline(order_id=x.ID, step="confirmed"))
    hold = o.HoldPlaced(
        order_id=x.ID,
        hold_id=f"{x.ID}.h1",
        kind="fulfillment",
        reason="still confirmed after its deadline",
    )
    scenario.then(hold)
    scenario.when(o.ReleaseHold(order_id=x.ID, hold_id="other")).rejected("hold_unknown")
    go_on = o.ReleaseHold(order_id=x.ID, hold_id=hold.hold_id, actor="agent:1", note="called them")
    scenario.when(go_on).then_events(
        o.HoldReleased(order_id=x.ID, hold_id=hold.hold_id, actor="agent:1", note="called them")
    )


def test_a_reservation_that_expired_is_asked_for_again_and_then_given_up():
    scenario = x.after(x.PLACE, x.RESERVED).when(x.EXPIRED)
    second = f"{x.ID}.2"
    scenario.then(
        o.ReservationLost(order_id=x.ID, reservation_id=x.RESERVATION, reason="expired"),
        i.ReserveStock(
            reservation_id=second,
            order_id=x.ID,
            lines=(x.TEA, x.CUP),
            backorder="refuse",
            hold_seconds=900,
        ),
    )
    for n in (2, 3):
        scenario.when(replace(x.RESERVED, reservation_id=f"{x.ID}.{n}"))
        assert isinstance(scenario.items[0], o.OrderReserved)
        scenario.when(replace(x.EXPIRED, reservation_id=f"{x.ID}.{n}"))
    assert [type(e) for e in scenario.items[:2]] == [o.ReservationReturned, o.OrderRejected]
    scenario.when(x.AUTHORISED).then_includes(VOID)


def test_the_second_reservation_asks_for_no_second_payment():
    scenario = x.after(x.PLACE, x.RESERVED, x.EXPIRED)
    scenario.when(replace(x.RESERVED, reservation_id=f"{x.ID}.2"))
    effects = [e.id for e in scenario.items if isinstance(e, Effect)]
    assert effects == [f"{x.PAYMENT}:authorise"], "the same idempotency key: one authorisation"


def test_cancelling_before_stock_is_granted():
    scenario = x.after(x.PLACE).when(CANCEL)
    scenario.then_includes(release("order cancelled: changed my mind"))
    scenario.when(x.RESERVED).nothing()
    scenario.when(x.RELEASED).then(
        o.ReservationReturned(order_id=x.ID, reservation_id=x.RESERVATION),
        o.OrderCancelled(order_id=x.ID, reason="changed my mind"),
        NO_TIMER,
        NO_CANCELLING_TIMER,
    )


def test_cancelling_while_payment_is_under_way_waits_for_its_answer():
    scenario = x.after(x.PLACE, x.RESERVED).when(CANCEL).when(x.RELEASED)
    scenario.then_events(o.ReservationReturned(order_id=x.ID, reservation_id=x.RESERVATION))
    scenario.when(x.AUTHORISED).then_includes(VOID)
    scenario.when(x.VOIDED).then(
        o.PaymentVoided(order_id=x.ID, payment_id=x.PAYMENT),
        o.OrderCancelled(order_id=x.ID, reason="changed my mind"),
        NO_TIMER,
        NO_CANCELLING_TIMER,
    )


def test_a_void_that_was_refused_is_asked_for_again_by_a_person():
    scenario = x.after(x.PLACE, x.RESERVED, x.AUTHORISED).when(CANCEL).when(x.RELEASED)
    scenario.when(replace(x.VOIDED, refused="unknown_reference"))
    (hold,) = scenario.items
    scenario.when(o.ReleaseHold(order_id=x.ID, hold_id=hold.hold_id))
    scenario.then_includes(VOID)
    scenario.when(x.VOIDED).then_includes(o.OrderCancelled(order_id=x.ID, reason="changed my mind"))


def test_cancelling_a_confirmed_order_stops_warehouses_first():
    scenario = x.after(*x.CONFIRMED).when(CANCEL)
    stops = [m for m in scenario.items if isinstance(m, f.CancelFulfillment)]
    assert [m.fulfillment_id for m in stops] == [x.LON, x.MAN]
    assert not any(isinstance(m, i.ReleaseReservation | Effect) for m in scenario.items)
    scenario.when(x.stopped(x.LON)).then(o.FulfillmentStopped(order_id=x.ID, fulfillment_id=x.LON))
    scenario.when(x.stopped(x.MAN)).then(
        o.FulfillmentStopped(order_id=x.ID, fulfillment_id=x.MAN),
        release("order cancelled: changed my mind"),
        VOID,
    )
    scenario.when(x.VOIDED).when(x.RELEASED)
    assert o.OrderCancelled(order_id=x.ID, reason="changed my mind") in scenario.items


def test_a_package_that_is_packed_while_cancelling_is_not_charged():
    scenario = x.after(*x.CONFIRMED).when(CANCEL).when(x.TEA_PACKAGE)
    scenario.nothing()


def test_a_warehouse_that_cannot_stop_lets_the_order_go_on():
    refusal = f.FulfillmentCancellationRefused(order_id=x.ID, fulfillment_id=x.LON, reason="gone")
    scenario = x.after(*x.CONFIRMED).when(CANCEL).when(refusal)
    scenario.then_events(o.CancellationRefused(order_id=x.ID, reason="gone", actor="warehouse"))


def test_too_late_to_cancel_once_a_package_is_being_charged():
    scenario = x.after(*x.CONFIRMED, x.TEA_PACKAGE).when(CANCEL)
    assert [type(m) for m in scenario.items] == [o.CancellationRefused, CancelTimer, Refused]
    assert "a return is the way back" in scenario.items[0].reason


def test_cancelling_twice_changes_nothing():
    x.after(x.PLACE).when(CANCEL).when(CANCEL).nothing()


def test_an_unknown_order_cannot_be_cancelled():
    given(x.TABLE).when(CANCEL).rejected("order_unknown")


def test_a_refused_capture_holds_the_package_until_a_person_retries():
    scenario = x.after(*x.CONFIRMED, x.TEA_PACKAGE)
    scenario.when(x.captured(x.TEA_PACKAGE, 1199, refused="capture_refused"))
    assert [type(m) for m in scenario.items] == [o.CaptureRefused, o.HoldPlaced]
    hold_id = scenario.items[1].hold_id
    scenario.when(o.ReleaseHold(order_id=x.ID, hold_id=hold_id))
    (retry,) = (m for m in scenario.items if isinstance(m, Effect))
    assert retry.id == f"{x.TEA_PACKAGE.package_id}.c2:capture", "a refusal is final for its key"
    scenario.when(x.captured(x.TEA_PACKAGE, 1199, n=2))
    assert isinstance(scenario.items[0], o.PaymentCaptured)


def test_a_late_answer_to_an_earlier_capture_says_nothing_about_the_next():
    refused = x.captured(x.TEA_PACKAGE, 1199, refused="capture_refused")
    release = o.ReleaseHold(order_id=x.ID, hold_id=f"{x.ID}.h1")
    scenario = x.after(*x.CONFIRMED, x.TEA_PACKAGE, refused, release)
    scenario.when(refused).nothing()
    scenario.when(x.captured(x.TEA_PACKAGE, 1199, n=2))
    assert isinstance(scenario.items[0], o.PaymentCaptured)


def test_a_hold_that_is_released_while_the_order_is_cancelled_charges_nothing():
    refused = x.captured(x.TEA_PACKAGE, 1199, refused="capture_refused")
    scenario = x.after(*x.CONFIRMED, x.TEA_PACKAGE, refused).when(CANCEL)
    scenario.when(o.ReleaseHold(order_id=x.ID, hold_id=f"{x.ID}.h1"))
    assert [type(m) for m in scenario.items] == [o.HoldReleased, StartTimer, StartTimer]
    for answer in (x.stopped(x.LON), x.stopped(x.MAN), x.RELEASED, x.VOIDED):
        scenario.when(answer)
    assert scenario.state(STREAM).status == "cancelled"


def test_a_hold_that_is_released_after_the_order_was_cancelled_charges_nothing():
    refused = x.captured(x.TEA_PACKAGE, 1199, refused="capture_refused")
    scenario = x.after(*x.CONFIRMED, x.TEA_PACKAGE, refused).when(CANCEL)
    for answer in (x.stopped(x.LON), x.stopped(x.MAN), x.RELEASED, x.VOIDED):
        scenario.when(answer)
    scenario.when(o.ReleaseHold(order_id=x.ID, hold_id=f"{x.ID}.h1"))
    assert [type(m) for m in scenario.items] == [o.HoldReleased]


FEES = replace(x.PLACE, lines=(), charges=(Charge(kind="fee", amount=700),))


def fees_captured(refused: str = "", n: int = 1) -> CaptureAnswered:
    return CaptureAnswered(
        order_id=x.ID,
        payment_id=x.PAYMENT,
        capture_id=f"{x.ID}.fees.c{n}",
        package_id="",
        amount=Money(700, "GBP"),
        refused=refused,
    )


def test_fees_whose_capture_was_refused_are_tried_again_by_a_person():
    authorised = replace(x.AUTHORISED, amount=Money(700, "GBP"))
    scenario = x.after(FEES).when(authorised)
    assert [m.id for m in scenario.items if isinstance(m, Effect)] == [f"{x.ID}.fees.c1:capture"]
    scenario.when(fees_captured("capture_refused"))
    assert [type(m) for m in scenario.items] == [o.CaptureRefused, o.HoldPlaced]
    scenario.when(o.ReleaseHold(order_id=x.ID, hold_id=f"{x.ID}.h1"))
    assert [m.id for m in scenario.items if isinstance(m, Effect)] == [f"{x.ID}.fees.c2:capture"]
    scenario.when(CANCEL)
    assert "being charged" in scenario.items[0].reason
    scenario.when(fees_captured(n=2))
    assert [type(m) for m in scenario.items[:2]] == [o.PaymentCaptured, o.OrderCompleted]
    scenario.when(fees_captured(n=2)).nothing()


def test_fees_whose_capture_was_refused_can_be_cancelled():
    authorised = replace(x.AUTHORISED, amount=Money(700, "GBP"))
    scenario = x.after(FEES, authorised, fees_captured("capture_refused")).when(CANCEL)
    scenario.then_includes(VOID)
    scenario.when(x.VOIDED).then_includes(o.OrderCancelled(order_id=x.ID, reason="changed my mind"))


def test_an_order_held_for_payment_can_still_be_cancelled():
    refused = x.captured(x.TEA_PACKAGE, 1199, refused="capture_refused")
    scenario = x.after(*x.CONFIRMED, x.TEA_PACKAGE, refused).when(CANCEL)
    assert isinstance(scenario.items[0], o.CancellationRequested)


def short(fulfillment_id, line, picked, missing):
    def units(n):
        return (replace(line, quantity=n),) if n else ()

    return f.ItemsPicked(
        order_id=x.ID, fulfillment_id=fulfillment_id, lines=units(picked), short=units(missing)
    )


def test_a_short_pick_is_neither_sent_nor_charged_nor_kept_in_reserve():
    scenario = x.after(*x.CONFIRMED).when(short(x.LON, x.TEA, 2, 1))
    missing = (replace(x.TEA, quantity=1),)
    scenario.then(
        o.LinesCancelled(order_id=x.ID, fulfillment_id=x.LON, lines=missing, reason="short_pick"),
        release("short_pick", missing, "LON", f"{x.LON}.short"),
    )
    two = x.packed(x.LON, replace(x.TEA, quantity=2))
    charged = 0
    for package, place in ((two, "LON"), (x.CUP_PACKAGE, "MAN")):
        scenario.when(package)
        amount = scenario.items[0].capture.amount
        charged += amount
        scenario.when(x.captured(package, amount)).when(x.shipped(package, place))
        scenario.when(x.delivered(package))
    assert scenario.state(STREAM).status == "completed"
    assert charged < x.TOTAL
    scenario.then_includes(VOID)


def test_an_order_of_which_nothing_is_there_is_cancelled():
    scenario = x.after(*x.CONFIRMED).when(short(x.LON, x.TEA, 0, 3)).when(short(x.MAN, x.CUP, 0, 1))
    assert any(isinstance(m, o.CancellationRequested) for m in scenario.items)


def test_a_return_refunds_what_the_units_cost_and_restocks_the_good_ones():
    scenario = x.after(*x.COMPLETED)
    scenario.when(x.inspected(x.back(x.TEA, 1), x.back(x.CUP, 1, "scrap")))
    accepted, effect, restock = scenario.items
    assert accepted.refund == Money(310 + 467, "GBP"), "goods less their share of the discount"
    assert restock == i.RestockItems(
        movement_id=f"{x.ID}.r1.restock",
        return_id=f"{x.ID}.r1",
        order_id=x.ID,
        lines=(StockLine(sku="TEA", location="LON", quantity=1),),
    )
    assert effect == Effect(
        id=f"{x.ID}.r1.refund:refund",
        subject=STREAM,
        request=RefundPayment(
            order_id=x.ID,
            payment_id=x.PAYMENT,
            provider_ref="auth-1",
            refund_id=f"{x.ID}.r1.refund",
            return_id=f"{x.ID}.r1",
            amount=Money(777, "GBP"),
        ),
    )
    scenario.when(x.refunded(1, 777)).then_events(
        o.RefundIssued(
            order_id=x.ID,
            refund_id=f"{x.ID}.r1.refund",
            payment_id=x.PAYMENT,
            return_id=f"{x.ID}.r1",
            amount=Money(777, "GBP"),
        )
    )


def test_refunds_of_single_units_add_up_to_all_goods():
    scenario = x.after(*x.COMPLETED)
    paid_back = 0
    for n in (1, 2, 3):
        scenario.when(x.inspected(x.back(x.TEA, 1), n=n))
        paid_back += scenario.items[0].refund.amount
    scenario.when(x.inspected(x.back(x.CUP, 1), n=4))
    paid_back += scenario.items[0].refund.amount
    assert paid_back == 999 + 500 - 100, "all goods less the discount; shipping is kept"


def test_a_refund_that_is_told_twice_counts_once_while_another_is_open():
    scenario = x.after(*x.COMPLETED)
    for n in (1, 2):
        scenario.when(x.inspected(x.back(x.TEA, 1), n=n))
    scenario.when(x.refunded(1, 310))
    scenario.when(x.refunded(1, 310)).then_events()
    scenario.when(x.refunded(2, 310))
    told = [e.refund_id for e in scenario.log[STREAM] if isinstance(e, o.RefundIssued)]
    assert told == [f"{x.ID}.r{n}.refund" for n in (1, 2)]


def test_missing_units_are_not_refunded():
    scenario = x.after(*x.COMPLETED).when(x.inspected(x.back(x.TEA, 3, "missing")))
    (accepted,) = scenario.items
    assert accepted.refund == Money(0, "GBP")


def test_a_refund_that_fails_is_for_a_person():
    scenario = x.after(*x.COMPLETED).when(x.inspected(x.back(x.TEA, 1)))
    scenario.when(x.refunded(1, 310, refused="refund_refused"))
    assert [type(m) for m in scenario.items] == [o.RefundFailed, o.HoldPlaced]


def due(scenario: Scenario) -> dict[str, datetime]:
    """When each timer that was just started is due."""
    return {t.name: t.due_at for t in scenario.items if isinstance(t, StartTimer)}


def test_timers_follow_the_step():
    hour = timedelta(hours=1)
    assert due(given(x.TABLE).when(x.PLACE)) == {"deadline": NOON + hour}
    assert due(x.after(*x.CONFIRMED[:-1]).when(x.CONFIRMED[-1])) == {
        "deadline": NOON + timedelta(days=14)
    }
    assert due(x.after(*x.CONFIRMED).when(CANCEL)) == {"cancelling": NOON + hour}
    waits = x.after(replace(x.PLACE, backorder="wait")).when(x.BACKORDERED)
    assert due(waits) == {"deadline": NOON + timedelta(days=30)}
    assert due(waits.when(x.RESERVED)) == {"deadline": NOON + hour}, "it waits for money now"


def test_attempts_to_cancel_do_not_move_the_deadline_of_an_order():
    scenario = x.after(*x.CONFIRMED, x.TEA_PACKAGE)
    for _ in range(3):
        assert not due(scenario.when(CANCEL))
        assert NO_TIMER not in scenario.items
    refusal = f.FulfillmentCancellationRefused(order_id=x.ID, fulfillment_id=x.LON, reason="gone")
    scenario = x.after(*x.CONFIRMED)
    for _ in range(3):
        assert "deadline" not in due(scenario.when(CANCEL))
        assert NO_TIMER not in scenario.items
        scenario.when(refusal).then(
            o.CancellationRefused(order_id=x.ID, reason="gone", actor="warehouse"),
            NO_CANCELLING_TIMER,
        )
    scenario.when(OrderDeadline(order_id=x.ID, step="confirmed"))
    assert [type(m) for m in scenario.items] == [o.HoldPlaced]


def test_releasing_a_hold_captures_nothing_for_a_free_package_that_waits():
    free = replace(
        x.PLACE, lines=tuple(replace(line, unit_price=0, total=0) for line in x.LINES), charges=()
    )
    late = OrderDeadline(order_id=x.ID, step="confirmed")
    scenario = x.after(free, x.RESERVED, x.COMMITTED, x.TEA_PACKAGE, late)
    scenario.when(o.ReleaseHold(order_id=x.ID, hold_id=f"{x.ID}.h1"))
    assert [type(item) for item in scenario.items] == [o.HoldReleased, StartTimer]


def test_the_deadline_of_a_confirmed_order_holds_it_also_while_it_is_being_cancelled():
    scenario = x.after(*x.CONFIRMED).when(CANCEL)
    scenario.when(OrderDeadline(order_id=x.ID, step="confirmed"))
    assert [type(m) for m in scenario.items] == [o.HoldPlaced]


def test_a_cancellation_that_does_not_end_is_held_and_watched_again_when_released():
    late = OrderDeadline(order_id=x.ID, step="cancelling")
    scenario = x.after(*x.CONFIRMED).when(CANCEL).when(late)
    (hold,) = scenario.items
    assert hold.reason == "still cancelling after its deadline"
    scenario.when(o.ReleaseHold(order_id=x.ID, hold_id=hold.hold_id))
    assert due(scenario) == {
        "deadline": NOON + timedelta(days=14),
        "cancelling": NOON + timedelta(hours=1),
    }
    x.after(*x.CONFIRMED).when(late).nothing()


def test_deadlines_before_confirmation_do_not_cut_a_cancellation_short():
    place = replace(x.PLACE, backorder="wait")
    scenario = given(x.TABLE).when(place).when(x.BACKORDERED).when(CANCEL)
    scenario.when(OrderDeadline(order_id=x.ID, step="backordered")).nothing()
    scenario.when(OrderDeadline(order_id=x.ID, step="placed")).nothing()


def test_a_hold_of_an_order_that_has_ended_starts_no_deadline():
    scenario = x.after(*x.COMPLETED).when(x.inspected(x.back(x.TEA, 1)))
    scenario.when(x.refunded(1, 310, refused="refund_refused"))
    hold = scenario.items[1]
    scenario.when(o.ReleaseHold(order_id=x.ID, hold_id=hold.hold_id))
    assert [type(m) for m in scenario.items] == [o.HoldReleased]
