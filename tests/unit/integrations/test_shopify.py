"""Shopify's payloads as inputs of ours: exact ids, exact money, every rule with its reason."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as fuzzed
from hypothesis import settings
from hypothesis import strategies as st

from services.integrations.channels.shopify.signature import sign, signed_by
from services.integrations.channels.shopify.values import Unusable, exact_id, minor_units
from services.integrations.channels.shopify.webhooks import READERS, Noted
from services.integrations.domain.messages import (
    Inbound,
    RefuseInput,
    TakeCancellation,
    TakeDelivery,
    TakeOrder,
    TakeReturn,
)
from services.integrations.handlers import table
from services.order.domain.placing import problems
from shared.events import Charge, LineQuantity, Refused
from shared.events.fulfillment import ConfirmDelivery
from shared.events.integrations import OrderForwarded
from shared.events.order import OrderShipped, order_id_for
from shared.events.returns import RequestReturn
from shared.events.shares import order_total
from tests.spec import Scenario, given
from tests.unit.integrations.shop import AT, LATER, fulfillment, heard, line, order, refund

TABLE = table()
ORDER_ID = order_id_for("tea", "1001")
SHIPPED = OrderShipped(
    order_id=ORDER_ID,
    fulfillment_id="f1",
    package_id="f1.p1",
    location="leeds",
    lines=(LineQuantity(line_id="11", sku="TEA-1", quantity=2),),
    carrier="dpd",
    tracking_number="T1",
)


def taken(topic: str, payload: Any) -> Inbound:
    found = heard(topic, payload)
    assert isinstance(found, Inbound), found
    assert not isinstance(found, RefuseInput), found.detail
    return found


def refused(topic: str, payload: Any) -> str:
    found = heard(topic, payload)
    assert isinstance(found, RefuseInput), found
    return found.reason


def test_an_order_is_placed_with_its_money_to_the_cent() -> None:
    found = taken("orders/create", order())
    assert isinstance(found, TakeOrder)
    command = found.order
    assert (command.channel, command.external_id, command.currency) == ("tea", "1001", "EUR")
    assert [(x.line_id, x.sku, x.quantity, x.unit_price) for x in command.lines] == [
        ("11", "TEA-1", 2, 900)
    ]
    assert command.charges == (
        Charge(kind="fee", amount=300, description="Gift wrap"),
        Charge(kind="shipping", amount=650, description="Parcel"),
        Charge(kind="discount", amount=250),
    )
    assert order_total(command.lines, command.charges) == 2500
    assert command.customer.name == "Ada Teadrinker"
    assert (command.ship_to.postal_code, command.ship_to.country) == ("28195", "DE")
    assert found.said_at == datetime(2026, 3, 1, 9, tzinfo=UTC)
    assert problems(command) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"test": True}, "test_order"),
        ({"total_price": "25.01"}, "total_differs"),
        ({"total_discounts": "99.00", "total_price": "-71.50"}, "total_differs"),
        ({"currency": "XXX"}, "currency"),
        ({"currency": "euro"}, "currency"),
        ({"total_price": "25.001"}, "amount"),
        ({"total_price": "1e2"}, "amount"),
        ({"total_price": []}, "amount"),
        ({"line_items": []}, "lines"),
        ({"line_items": [line(11, "", 1, "25.00")]}, "no_sku"),
        ({"line_items": [line(11, "A", 1.5, "25.00")]}, "quantity"),
        ({"line_items": [line(11, "A", 2, "9.00", current_quantity=1)]}, "edited"),
        ({"line_items": [line(11, "A", 1, "9.00"), line(11, "B", 1, "9.00")]}, "lines"),
        ({"line_items": "none"}, "malformed"),
        ({"id": 2**53 + 2, "admin_graphql_api_id": None}, "inexact_id"),
        ({"id": True, "admin_graphql_api_id": None}, "id"),
        ({"admin_graphql_api_id": "gid://elsewhere/Order/1"}, "id"),
        ({"updated_at": "yesterday"}, "time"),
        ({"updated_at": "2026-03-01T10:00:00"}, "time"),
    ],
)
def test_an_order_that_no_rule_takes_is_refused_with_a_reason(
    changes: dict[str, Any], code: str
) -> None:
    assert refused("orders/create", order(**changes)) == code


@pytest.mark.parametrize("status", ["voided", "refunded", "partially_refunded", None])
def test_an_order_without_its_money_is_refused_unless_it_went_on_before(status: Any) -> None:
    unpaid = taken("orders/updated", order(financial_status=status, updated_at=LATER))
    told = given(TABLE).when(unpaid)
    assert [x.code for x in told.items if isinstance(x, Refused)] == ["not_payable"]
    story(("orders/create", order())).when(unpaid).nothing()


def test_an_order_that_waits_for_its_money_comes_again() -> None:
    for changes in ({"financial_status": "pending"}, {"confirmed": False}):
        assert isinstance(heard("orders/create", order(**changes)), Noted)
    assert isinstance(taken("orders/paid", order()), TakeOrder)


def test_numbers_where_text_is_expected_are_as_exact() -> None:
    payload = order(total_price=25.0, line_items=[line(11, "A", 1, 20.99), line(12, "B", 1, 0.01)])
    found = taken("orders/create", payload)
    assert isinstance(found, TakeOrder)
    assert [x.unit_price for x in found.order.lines] == [2099, 1]


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("10", "EUR", 1000),
        ("10.00", "JPY", 10),
        ("1000", "JPY", 1000),
        ("1.234", "KWD", 1234),
        ("-0.05", "EUR", -5),
        (Decimal("0.07"), "EUR", 7),
        (None, "EUR", 0),
    ],
)
def test_money_goes_by_its_currencys_exponent(text: Any, currency: str, minor: int) -> None:
    assert minor_units({"x": text}, "x", currency) == minor


@pytest.mark.parametrize("text", ["", "1,00", "NaN", "1e5", "٣", "0.5", True, {}, "9" * 20])
def test_what_is_no_whole_amount_is_refused(text: Any) -> None:
    with pytest.raises(Unusable, match="x"):
        minor_units({"x": text}, "x", "JPY")


def test_the_gid_is_believed_before_the_number() -> None:
    rounded = {
        "id": 820982911946154500,
        "admin_graphql_api_id": "gid://shopify/Order/820982911946154508",
    }
    assert exact_id(rounded) == "820982911946154508"
    assert exact_id({"id": 2**53}) == str(2**53)
    assert exact_id({"id": "820982911946154508"}) == "820982911946154508"


def story(*topics: tuple[str, Any]) -> Scenario:
    """Webhooks in the order in which they arrive."""
    told = given(TABLE)
    for topic, payload in topics:
        told.when(taken(topic, payload))
    return told


def test_webhooks_of_one_order_place_it_once_in_any_order() -> None:
    told = story(
        ("orders/updated", order(updated_at=LATER, note="new")), ("orders/create", order())
    )
    assert told.items == []
    assert told.state(f"channelorder-{ORDER_ID}").said_at == datetime(2026, 3, 1, 10, tzinfo=UTC)


def test_older_words_never_overrule_newer_ones() -> None:
    other = order(email="old@example.com")
    told = story(("orders/updated", order(updated_at=LATER)), ("orders/create", other))
    told.nothing()
    newer = order(email="new@example.com", updated_at=LATER)
    told = story(("orders/create", order()), ("orders/updated", newer))
    [_, answer] = told.items
    assert isinstance(answer, Refused)
    assert answer.code == "order_changed"
    told.when(taken("orders/updated", newer | {"updated_at": "2026-03-02T10:00:00Z", "note": "x"}))
    told.then(answer)


def test_a_cancellation_goes_on_and_a_late_create_does_not_revive_the_order() -> None:
    gone = order(cancelled_at=LATER, updated_at=LATER, cancel_reason="customer")
    found = taken("orders/cancelled", gone)
    assert isinstance(found, TakeCancellation)
    assert found.request.reason == "customer"
    told = story(("orders/cancelled", gone), ("orders/create", order()))
    assert [x.code for x in told.items if isinstance(x, Refused)] == ["order_cancelled"]


def test_goods_that_come_back_are_a_return_once_they_have_left() -> None:
    back = taken("refunds/create", refund())
    assert isinstance(back, TakeReturn)
    told = story(("orders/create", order())).when(back)
    assert [x.code for x in told.items if isinstance(x, Refused)] == ["not_shipped"]
    told.when(SHIPPED).when(back)
    [_, asked] = told.items
    assert isinstance(asked, RequestReturn)
    assert (asked.return_id, asked.order_id) == ("tea.refund.501", ORDER_ID)
    assert [(x.line_id, x.sku, x.quantity, x.reason) for x in asked.lines] == [
        ("11", "TEA-1", 1, "too strong")
    ]
    told.when(back).nothing()
    twice = refund(id=502)
    twice["refund_line_items"][0]["quantity"] = 2
    told.when(taken("refunds/create", twice))
    assert [x.code for x in told.items if isinstance(x, Refused)] == ["not_shipped"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"refund_line_items": []}, "money_alone"),
        ({"refund_line_items": [{"restock_type": "no_restock"}]}, "not_a_return"),
        ({"refund_line_items": [{"restock_type": "cancel"}]}, "not_a_return"),
        ({"order_id": 820982911946154500}, "inexact_id"),
        ({"order_id": None}, "id"),
    ],
)
def test_refunds_that_are_no_return_are_for_a_person(changes: dict[str, Any], code: str) -> None:
    assert refused("refunds/create", refund(**changes)) == code


def test_an_arrival_is_told_once_for_the_parcel_that_is_meant() -> None:
    told = story(("orders/create", order())).when(SHIPPED)
    under_way = taken("fulfillments/create", fulfillment(shipment_status="in_transit"))
    told.when(under_way).nothing()
    arrived = taken("fulfillments/update", fulfillment())
    assert isinstance(arrived, TakeDelivery)
    told.when(arrived)  # two months before: its clock is wrong
    assert [x.code for x in told.items if isinstance(x, Refused)] == ["delivered_at"]
    later = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    told.when(arrived, at=later)
    [_, confirm] = told.items
    assert confirm == ConfirmDelivery(
        fulfillment_id="f1",
        order_id=ORDER_ID,
        package_id="f1.p1",
        delivered_at=datetime(2026, 3, 1, 10, tzinfo=UTC),
    )
    told.when(arrived, at=later).nothing()
    told.when(taken("fulfillments/update", fulfillment(tracking_number="T2")))
    assert [x.code for x in told.items if isinstance(x, Refused)] == ["tracking_unknown"]


def test_parcels_of_orders_from_elsewhere_are_not_our_business() -> None:
    given(TABLE).when(SHIPPED).nothing()
    told = given(TABLE).when(taken("fulfillments/update", fulfillment()))
    assert [x.code for x in told.items if isinstance(x, Refused)] == ["order_unknown"]


@pytest.mark.parametrize(
    ("topic", "payload", "code"),
    [
        ("products/update", {}, "topic_not_taken"),
        ("customers/redact", {}, "topic_not_taken"),
        ("orders/create", b"\xff", "not_json"),
        ("orders/create", b'{"id": 1', "not_json"),
        ("orders/create", b"[" * 3_000, "not_json"),
        ("orders/create", b"[]", "not_an_object"),
        ("orders/create", {"id": 1}, "not_an_order"),
        ("fulfillments/update", fulfillment(status="cancelled"), "fulfillment_failed"),
        ("fulfillments/update", fulfillment(tracking_number=None), "no_tracking"),
    ],
)
def test_other_webhooks_are_refused_with_a_reason(topic: str, payload: Any, code: str) -> None:
    assert refused(topic, payload) == code


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@fuzzed(
    topic=st.sampled_from(sorted(READERS)),
    field=st.sampled_from(sorted({*order(), *refund(), *fulfillment()})),
    value=JSON,
)
@settings(max_examples=200, deadline=None)
def test_no_value_of_a_field_breaks_the_reading(topic: str, field: str, value: Any) -> None:
    kind = topic.partition("/")[0]
    payload = {"orders": order, "refunds": refund, "fulfillments": fulfillment}[kind]()
    found = heard(topic, payload | {field: value})
    if isinstance(found, TakeOrder):
        assert problems(found.order) == []


def test_a_signature_is_of_the_raw_body_under_either_secret() -> None:
    body = b'{"id": 1}'
    for secret in ("new", "old"):
        assert signed_by(body, sign(body, secret).encode(), ("new", "old"))
    assert not signed_by(body + b" ", sign(body, "new").encode(), ("new", "old"))
    assert not signed_by(body, sign(body, "new").encode(), ())
    assert not signed_by(body, b"", ("new",))
    assert not signed_by(body, b"\xff\x00", ("new",))
    # The example that anyone can repeat: printf '{}' | openssl dgst -sha256 -hmac secret -binary | base64
    assert sign(b"{}", "secret") == "dzJZAsrKgS3CWXM6rNBGtzgXNyx3e42VtAJkdHRRbhM="


def test_the_order_that_went_on_says_where_it_came_from() -> None:
    told = story(("orders/create", order()))
    [forwarded, _] = told.items
    assert isinstance(forwarded, OrderForwarded)
    assert (forwarded.source, forwarded.reference) == ("shopify.orders/create", "w1")
    assert forwarded.said_at == datetime.fromisoformat(AT)
