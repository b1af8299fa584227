"""An order from placing to completion, step by step: exactly these events, commands, effects and timers."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from services.order.domain.messages import AuthorisePayment, CapturePayment, OrderDeadline
from services.order.domain.shipping import ShippedUnpaid
from shared.events import CancelTimer, Charge, Effect, Money, OrderLine, StartTimer
from shared.events import fulfillment as f
from shared.events import inventory as i
from shared.events import order as o
from tests.spec import NOON, given
from tests.unit.order import examples as x

PLACED = o.OrderPlaced(
    order_id=x.ID,
    channel="web",
    external_id="1001",
    currency="GBP",
    lines=x.LINES,
    charges=x.CHARGES,
    total=x.TOTAL,
    customer=x.PLACE.customer,
    ship_to=x.PLACE.ship_to,
    payment_method="tok_ok",
    backorder="refuse",
    placed_at=NOON,
)
RESERVE = i.ReserveStock(
    reservation_id=x.RESERVATION,
    order_id=x.ID,
    lines=(x.TEA, x.CUP),
    backorder="refuse",
    hold_seconds=900,
)


def deadline(step, seconds):
    return StartTimer(
        name="deadline",
        due_at=NOON + timedelta(seconds=seconds),
        message=OrderDeadline(order_id=x.ID, step=step),
    )


def test_a_placed_order_asks_for_stock():
    given(x.TABLE).when(x.PLACE).then(PLACED, RESERVE, deadline("placed", 3600))


def test_the_same_order_again_changes_nothing():
    x.after(x.PLACE).when(x.PLACE).nothing()


def test_another_order_under_a_number_that_is_taken_is_refused():
    x.after(x.PLACE).when(replace(x.PLACE, currency="EUR")).rejected("order_exists")


def test_reserved_stock_leads_to_payment():
    request = AuthorisePayment(
        order_id=x.ID, payment_id=x.PAYMENT, method="tok_ok", amount=Money(x.TOTAL, "GBP")
    )
    x.after(x.PLACE).when(x.RESERVED).then(
        o.OrderReserved(
            order_id=x.ID,
            reservation_id=x.RESERVATION,
            allocations=x.ALLOCATIONS,
            expires_at=x.RESERVED.expires_at,
        ),
        Effect(id=f"{x.PAYMENT}:authorise", subject=f"order-{x.ID}", request=request),
    )


def test_guaranteed_money_makes_the_stock_firm():
    x.after(x.PLACE, x.RESERVED).when(x.AUTHORISED).then(
        o.PaymentAuthorised(
            order_id=x.ID, payment_id=x.PAYMENT, provider_ref="auth-1", amount=Money(x.TOTAL, "GBP")
        ),
        i.CommitReservation(reservation_id=x.RESERVATION, order_id=x.ID, lines=(x.TEA, x.CUP)),
    )


def test_firm_stock_confirms_the_order_and_sends_it_to_each_warehouse():
    def create(id, location, line):
        return f.CreateFulfillment(
            fulfillment_id=id,
            order_id=x.ID,
            location=location,
            lines=(line,),
            ship_to=x.PLACE.ship_to,
        )

    x.after(x.PLACE, x.RESERVED, x.AUTHORISED).when(x.COMMITTED).then(
        o.OrderConfirmed(
            order_id=x.ID, channel="web", external_id="1001", total=Money(x.TOTAL, "GBP")
        ),
        create(x.LON, "LON", x.TEA),
        create(x.MAN, "MAN", x.CUP),
        deadline("confirmed", 14 * 86_400),
    )


def test_a_packed_package_is_charged_its_units_share_and_only_then_released():
    capture_id = f"{x.TEA_PACKAGE.package_id}.c1"
    request = CapturePayment(
        order_id=x.ID,
        payment_id=x.PAYMENT,
        provider_ref="auth-1",
        capture_id=capture_id,
        package_id=x.TEA_PACKAGE.package_id,
        amount=Money(1199, "GBP"),
    )
    scenario = x.after(*x.CONFIRMED).when(x.TEA_PACKAGE)
    scenario.then(
        o.OrderPacked(
            order_id=x.ID,
            fulfillment_id=x.LON,
            package_id=x.TEA_PACKAGE.package_id,
            lines=(x.TEA,),
            capture=Money(1199, "GBP"),
        ),
        Effect(id=f"{capture_id}:capture", subject=f"order-{x.ID}", request=request),
    )
    scenario.when(x.captured(x.TEA_PACKAGE, 1199)).then(
        o.PaymentCaptured(
            order_id=x.ID,
            payment_id=x.PAYMENT,
            capture_id=capture_id,
            package_id=x.TEA_PACKAGE.package_id,
            amount=Money(1199, "GBP"),
        ),
        f.ReleasePackage(fulfillment_id=x.LON, order_id=x.ID, package_id=x.TEA_PACKAGE.package_id),
    )


def test_captures_of_all_packages_add_up_to_the_total():
    one, two = (replace(x.TEA, quantity=n) for n in (1, 2))
    scenario = x.after(*x.CONFIRMED)
    amounts = []
    for package in (x.packed(x.LON, one, n=1), x.packed(x.LON, two, n=2), x.CUP_PACKAGE):
        scenario.when(package)
        amounts.append(scenario.items[0].capture.amount)
    assert sum(amounts) == x.TOTAL
    assert all(amounts)


def test_shipping_consumes_the_reservation():
    scenario = x.after(*x.SENT[:6])
    scenario.when(x.shipped(x.TEA_PACKAGE)).then_includes(
        i.ConsumeReservation(
            reservation_id=x.RESERVATION,
            order_id=x.ID,
            lines=(x.TEA,),
            package_id=x.TEA_PACKAGE.package_id,
            location="LON",
        )
    )
    scenario.when(x.shipped(x.TEA_PACKAGE)).nothing()


def test_the_last_delivery_completes_the_order():
    x.after(*x.SENT, x.delivered(x.TEA_PACKAGE)).when(x.delivered(x.CUP_PACKAGE)).then(
        o.OrderDelivered(
            order_id=x.ID,
            fulfillment_id=x.MAN,
            package_id=x.CUP_PACKAGE.package_id,
            lines=(x.CUP,),
        ),
        o.OrderCompleted(order_id=x.ID),
        CancelTimer(subject=f"order-{x.ID}", name="deadline"),
    )


def test_a_package_that_left_unpaid_stops_everything():
    with pytest.raises(ShippedUnpaid, match="is packed"):
        x.after(*x.CONFIRMED, x.TEA_PACKAGE).when(x.shipped(x.TEA_PACKAGE))
    with pytest.raises(ShippedUnpaid, match="unknown"):
        x.after(*x.CONFIRMED).when(x.shipped(x.TEA_PACKAGE))


def test_every_answer_given_twice_changes_nothing():
    scenario = given(x.TABLE)
    for message in x.COMPLETED:
        scenario.when(message)
        assert scenario.items
        scenario.when(message).nothing()


def test_an_order_without_goods_is_paid_and_complete():
    place = replace(x.PLACE, lines=(), charges=(Charge(kind="fee", amount=1500),))
    answer = replace(x.AUTHORISED, amount=Money(1500, "GBP"))
    scenario = given(x.TABLE).when(place).when(answer)
    assert [type(e) for e in scenario.items[:2]] == [o.PaymentAuthorised, o.OrderConfirmed]
    (effect,) = (e for e in scenario.items if isinstance(e, Effect))
    capture = effect.request
    assert capture.amount == Money(1500, "GBP")
    assert capture.package_id == ""
    scenario.when(
        replace(x.captured(x.TEA_PACKAGE, 1500), capture_id=capture.capture_id, package_id="")
    )
    assert [type(e) for e in scenario.items[:2]] == [o.PaymentCaptured, o.OrderCompleted]


def test_an_order_that_costs_nothing_needs_no_payment():
    free = tuple(replace(line, unit_price=0, total=0) for line in x.LINES)
    place = replace(x.PLACE, lines=free, charges=())
    scenario = given(x.TABLE).when(place).when(x.RESERVED)
    scenario.then_includes(
        i.CommitReservation(reservation_id=x.RESERVATION, order_id=x.ID, lines=(x.TEA, x.CUP))
    )
    scenario.when(x.COMMITTED).when(x.TEA_PACKAGE).then_includes(
        f.ReleasePackage(fulfillment_id=x.LON, order_id=x.ID, package_id=x.TEA_PACKAGE.package_id)
    )
    scenario.when(x.shipped(x.TEA_PACKAGE)).then_includes(scenario.log[f"order-{x.ID}"][-1])


def test_an_unusable_order_names_every_problem_and_may_come_again():
    bad = replace(
        x.PLACE,
        currency="gbp",
        lines=(
            OrderLine(line_id="1", sku="", quantity=0, unit_price=1, total=0),
            OrderLine(line_id="1", sku="CUP", quantity=2, unit_price=2, total=5),
        ),
    )
    scenario = given(x.TABLE).when(bad)
    (rejected,) = (e for e in scenario.items if isinstance(e, o.OrderRejected))
    assert rejected.reason == "invalid"
    for part in (
        "currency",
        "'1' stands twice",
        "lines/0/sku",
        "lines/0/quantity",
        "2 x 2 is not 5",
    ):
        assert part in rejected.detail
    scenario.when(x.PLACE).then(PLACED, RESERVE, deadline("placed", 3600))
