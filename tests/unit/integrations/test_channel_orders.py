"""What a channel said of an order decides what goes on: once, in any order of arrival, and nothing is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from services.integrations.domain.channel_order import fingerprint
from services.integrations.domain.messages import (
    CloseRefusal,
    RefuseInput,
    TakeCancellation,
    TakeOrder,
)
from services.integrations.handlers import table
from shared.events import OrderLine, Refused
from shared.events.integrations import (
    CancellationForwarded,
    InputRefused,
    InputResubmitted,
    OrderForwarded,
    OrderReopened,
)
from shared.events.order import OrderRejected, PlaceOrder, RequestCancellation
from tests.spec import given

TABLE = table()
LINE = OrderLine(line_id="1", sku="A", quantity=2, unit_price=250, total=500)
ORDER = PlaceOrder(channel="web", external_id="1", currency="GBP", lines=(LINE,))
OTHER = replace(ORDER, currency="EUR")
CANCEL = RequestCancellation(channel="web", external_id="1", reason="changed my mind")
SAID: dict[str, Any] = {"source": "file.csv", "reference": "a.csv:2"}
TAKE = TakeOrder(**SAID, order=ORDER, payload="1,GBP")
FORWARDED = OrderForwarded(
    **SAID,
    order_id=ORDER.order_id,
    channel="web",
    external_id="1",
    fingerprint=fingerprint(ORDER),
)
WITHDRAWN = CancellationForwarded(**SAID, order_id=ORDER.order_id, reason="changed my mind")
EXISTS = "the channel has already placed another order under this number"


def refused(command: TakeOrder, reason: str, detail: str) -> InputRefused:
    return InputRefused(
        **SAID,
        refusal_id=command.refusal_id,
        channel="web",
        payload=command.payload,
        reason=reason,
        detail=detail,
    )


def test_a_new_order_goes_on() -> None:
    given(TABLE).when(TAKE).then(FORWARDED, ORDER)


def test_the_same_order_again_says_nothing_new() -> None:
    given(TABLE, FORWARDED).when(TAKE).nothing()
    given(TABLE, FORWARDED).when(replace(TAKE, source="rest", reference="k")).nothing()


def test_another_order_under_its_number_is_kept_where_nobody_reads_answers() -> None:
    other = replace(TAKE, order=OTHER)
    told = Refused(code="order_exists", detail=EXISTS)
    first = given(TABLE, FORWARDED).when(other)
    first.then(refused(other, "order_exists", EXISTS), told)
    first.when(other).then(told)
    given(TABLE, FORWARDED).when(replace(other, kept=False)).rejected("order_exists")


def test_an_order_that_was_unusable_may_be_followed_by_a_better_one() -> None:
    invalid = OrderRejected(order_id=ORDER.order_id, reason="invalid", detail="currency")
    story = given(TABLE, FORWARDED).when(invalid)
    story.then(OrderReopened(order_id=ORDER.order_id, detail="currency"))
    better = replace(TAKE, order=OTHER)
    story.when(better).then(replace(FORWARDED, fingerprint=fingerprint(OTHER)), OTHER)


def test_other_rejections_and_orders_from_elsewhere_are_not_our_business() -> None:
    sold_out = OrderRejected(order_id=ORDER.order_id, reason="out_of_stock")
    given(TABLE, FORWARDED).when(sold_out).nothing()
    given(TABLE).when(OrderRejected(order_id="elsewhere", reason="invalid")).nothing()


def test_a_cancellation_goes_on_once() -> None:
    cancel = TakeCancellation(**SAID, request=CANCEL)
    story = given(TABLE, FORWARDED).when(cancel).then(WITHDRAWN, CANCEL)
    story.when(cancel).nothing()
    story.when(TAKE).nothing()


def test_a_cancellation_that_overtakes_its_order_keeps_it_from_going_on() -> None:
    story = given(TABLE).when(TakeCancellation(**SAID, request=CANCEL)).then(WITHDRAWN, CANCEL)
    detail = "the channel took this order back before it came"
    story.when(TAKE)
    story.then(
        refused(TAKE, "order_cancelled", detail), Refused(code="order_cancelled", detail=detail)
    )


def test_the_newest_of_the_channels_times_is_kept() -> None:
    late, early = (datetime(2026, 1, day, tzinfo=UTC) for day in (5, 4))
    story = given(TABLE, replace(FORWARDED, said_at=late), replace(WITHDRAWN, said_at=early))
    assert story.state(FORWARDED.subject).said_at == late


REFUSE = RefuseInput(
    **SAID, channel="web", payload="1,gbp", reason="unreadable", detail="/currency: bad"
)
KEPT = InputRefused(
    **SAID,
    refusal_id=REFUSE.refusal_id,
    channel="web",
    payload="1,gbp",
    reason="unreadable",
    detail="/currency: bad",
)


def test_an_unusable_input_is_kept_once() -> None:
    given(TABLE).when(REFUSE).then(KEPT).when(REFUSE).nothing()


def test_a_corrected_input_goes_on_and_settles_the_refusal_once() -> None:
    again = replace(TAKE, resubmits=REFUSE.refusal_id)
    closed = InputResubmitted(refusal_id=REFUSE.refusal_id, actor="ops", payload="1,GBP")
    story = given(TABLE, KEPT).when(again, actor="ops").then(FORWARDED, ORDER, closed)
    story.when(again, actor="ops").nothing()
    story.when(REFUSE).nothing()


def test_a_correction_that_is_no_better_stays_under_the_same_refusal() -> None:
    worse = replace(REFUSE, resubmits=REFUSE.refusal_id, payload="1,g", detail="/currency: worse")
    story = given(TABLE, KEPT).when(worse)
    story.then(replace(KEPT, payload="1,g", detail="/currency: worse"))


def test_a_refusal_is_closed_when_its_parts_were_settled() -> None:
    close = CloseRefusal(
        source="resubmission", reference=REFUSE.refusal_id, resubmits=REFUSE.refusal_id
    )
    story = given(TABLE, KEPT).when(close, actor="ops")
    story.then(InputResubmitted(refusal_id=REFUSE.refusal_id, actor="ops"))
    story.when(close).nothing()
