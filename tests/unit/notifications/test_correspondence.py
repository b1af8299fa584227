"""One e-mail per template and cause, for whoever left an address."""

from __future__ import annotations

import pytest

from services.notifications.domain.correspondence import REQUESTED_MAX
from services.notifications.domain.messages import MailRefused, MailTaken, SendEmail
from services.notifications.handlers import table
from shared.events import Effect, Event, LineQuantity, Money
from shared.events import notifications as n
from tests.spec import NOON, Scenario, given
from tests.unit.notifications.happenings import (
    CANCELLED,
    CONFIRMED,
    MINE,
    OPENED,
    ORDER,
    REFUNDED,
    REJECTED,
    SHIPPED,
    STREAM,
    TOLD,
    placed,
)

TABLE = table()


def requested_by(scenario: Scenario) -> list[n.NotificationRequested]:
    return [i for i in scenario.items if isinstance(i, n.NotificationRequested)]


def sent_by(scenario: Scenario) -> list[SendEmail]:
    requests = [i.request for i in scenario.items if isinstance(i, Effect)]
    return [r for r in requests if isinstance(r, SendEmail)]


def test_an_order_with_an_address_opens_a_correspondence() -> None:
    given(TABLE).when(placed()).then(OPENED)


def test_an_order_without_an_address_leaves_no_trace() -> None:
    given(TABLE).when(placed(email="")).nothing()
    for event in TOLD:
        given(TABLE).when(event).nothing()


def test_the_same_order_again_opens_nothing() -> None:
    given(TABLE, OPENED).when(placed(), id="m-2").nothing()


def test_a_confirmed_order_is_told_of_once_recorded_and_sent() -> None:
    scenario = given(TABLE, OPENED).when(CONFIRMED, id="order-0b6f/4")
    [requested] = requested_by(scenario)
    assert requested == n.NotificationRequested(
        **MINE,
        notification_id=requested.notification_id,
        template="order_confirmed",
        cause_id="order-0b6f/4",
    )
    scenario.then(
        requested,
        Effect(
            id=f"mail:{requested.notification_id}",
            subject=STREAM,
            request=SendEmail(
                notification_id=requested.notification_id,
                order_id=ORDER,
                template="order_confirmed",
                to="ada@example.com",
                name="Ada",
                channel="web",
                external_id="A-1",
                at=NOON,
                amount=Money(1250, "GBP"),
            ),
        ),
    )


@pytest.mark.parametrize("event", TOLD)
def test_the_same_cause_never_twice(event: Event) -> None:
    scenario = given(TABLE, OPENED).when(event, id="order-0b6f/4")
    assert len(sent_by(scenario)) == 1
    scenario.when(event, id="order-0b6f/4").nothing()


def test_two_parcels_are_two_causes() -> None:
    scenario = given(TABLE, OPENED).when(SHIPPED, id="order-0b6f/7")
    first = sent_by(scenario)
    second = sent_by(scenario.when(SHIPPED, id="order-0b6f/8"))
    assert first[0].notification_id != second[0].notification_id


def test_each_template_carries_its_facts() -> None:
    def facts(event: Event) -> SendEmail:
        [request] = sent_by(given(TABLE, OPENED).when(event))
        return request

    assert facts(REJECTED).reason == "out_of_stock"
    assert facts(CANCELLED).reason == "customer"
    assert facts(REFUNDED).amount == Money(500, "GBP")
    shipped = facts(SHIPPED)
    assert (shipped.carrier, shipped.tracking_number) == ("DHL", "JD01")
    assert shipped.lines == (LineQuantity(line_id="1", sku="MUG", quantity=2),)


def test_switched_off_it_is_recorded_and_not_sent() -> None:
    scenario = given(table(send=False), OPENED).when(CONFIRMED)
    assert len(requested_by(scenario)) == len(scenario.items) == 1
    scenario.when(CONFIRMED).nothing()


def test_refolding_the_log_sends_nothing_and_comes_to_the_same_state() -> None:
    live = given(TABLE)
    for number, event in enumerate((placed(), *TOLD)):
        live.when(event, id=f"order-0b6f/{number}")
    replayed = given(TABLE, *live.log[STREAM])
    assert replayed.items == []
    assert TABLE.encode_state(replayed.state(STREAM)) == TABLE.encode_state(live.state(STREAM))
    assert all(c.react is None for c in TABLE.categories.values())


def test_the_servers_answers_become_events() -> None:
    ids = {"order_id": ORDER, "notification_id": "n-1"}
    given(TABLE, OPENED).when(MailTaken(**ids, message_id="<n-1@oms.local>")).then(
        n.NotificationSent(**ids, message_id="<n-1@oms.local>")
    )
    given(TABLE, OPENED).when(MailRefused(**ids, reason="550 no such mailbox")).then(
        n.NotificationFailed(**ids, reason="550 no such mailbox")
    )


def test_a_loop_of_causes_ends() -> None:
    scenario = given(TABLE, OPENED)
    for number in range(REQUESTED_MAX):
        scenario.when(SHIPPED, id=f"m-{number}")
    scenario.when(SHIPPED, id="one-too-many").rejected("too-many-messages")


def test_without_webhooks_only_what_mails_need_is_consumed() -> None:
    off = table(webhooks=False)
    assert off.topics == ("oms.order.events",)
    assert {t.tag() for t in off.handlers if t.route()} == {t.tag() for t in (placed(), *TOLD)}
    given(off, OPENED).when(CONFIRMED).then_events(
        *requested_by(given(TABLE, OPENED).when(CONFIRMED))
    )
