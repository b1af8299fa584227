"""Any sequence of returns of one order: nothing comes back that did not leave, and each unit once.

Everything is checked on the events alone, so that a wrong fold cannot hide a wrong decision.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.returns.domain.messages import AskReturn
from services.returns.domain.returnable import least_left
from services.returns.domain.state import Stage
from services.returns.domain.units import tally
from services.returns.handlers import table
from shared.events import Event, LineQuantity, Money, Refused, decode, encode
from shared.events.order import OrderShipped, RefundFailed, RefundIssued, ReturnAccepted
from shared.events.returns import (
    ApproveReturn,
    CancelReturn,
    DeclineReturn,
    InspectedLine,
    InspectReturn,
    ItemsClaimed,
    ItemsReturnable,
    ItemsUnclaimed,
    ReceiveReturn,
    ReturnApproved,
    ReturnCancelled,
    ReturnDeclined,
    ReturnInspected,
    ReturnLine,
    ReturnReceived,
    ReturnRequested,
    ReturnSettled,
)
from tests.spec import NOON, given

TABLE = table()
RETURNABLE = "returnable-o"
DISPOSITIONS = [
    "restock",
    "quality_control",
    "refurbish",
    "scrap",
    "return_to_vendor",
    "missing",
]
Units = Counter[tuple[str, str]]

line_ids = st.sampled_from(["a", "b"])
lines = st.lists(
    st.builds(
        lambda line_id, quantity: LineQuantity(
            line_id=line_id, sku=line_id.upper(), quantity=quantity
        ),
        line_ids,
        st.integers(0, 4),
    ),
    max_size=3,
).map(tuple)
returns = st.sampled_from(["r1", "r2", "r3"])
orders = st.sampled_from(["o"] * 7 + ["other"])


def count(events: Iterable[Any]) -> Units:
    """Units by line in the ``lines`` of events."""
    units: Units = Counter()
    for event in events:
        for line in event.lines:
            units[line.line_id, line.sku] += line.quantity
    return units


class ReturnsMachine(RuleBasedStateMachine):
    """One order with several packages and returns, sent whatever the strategies make up."""

    def __init__(self) -> None:
        super().__init__()
        self.scenario = given(TABLE)
        self.now = NOON

    def log(self, stream: str, kind: type[Event]) -> list[Any]:
        return [e for e in self.scenario.log[stream] if isinstance(e, kind)]

    @property
    def known(self) -> list[str]:
        return sorted(s for s in self.scenario.log if s.startswith("return-"))

    def send(self, message: Any) -> None:
        """Once, and again as a duplicate, which must change nothing."""
        items = self.scenario.when(message, at=self.now).items
        events = [i for i in items if isinstance(i, Event)]
        assert events == items or [type(i) for i in items] == [Refused]
        again = self.scenario.when(message, at=self.now).items
        assert not [i for i in again if isinstance(i, Event)]

    @rule(days=st.sampled_from([0, 1, 29, 40]))
    def time_passes(self, days: int) -> None:
        self.now += timedelta(days=days)

    @initialize(a=st.integers(1, 6), shipped=st.integers(0, 9))
    def begin(self, a: int, shipped: int) -> None:
        if shipped:
            self.ship("p1", a, 2)

    @rule(package_id=st.sampled_from(["p1", "p2", "p3"]), a=st.integers(1, 4), b=st.integers(1, 4))
    def ship(self, package_id: str, a: int, b: int) -> None:
        content = (
            LineQuantity(line_id="a", sku="A", quantity=a),
            LineQuantity(line_id="b", sku="B", quantity=b),
        )
        self.send(
            OrderShipped(
                order_id="o",
                fulfillment_id="f",
                package_id=package_id,
                location="leeds",
                lines=content,
                carrier="dpd",
                tracking_number="T",
            )
        )

    @rule(return_id=returns, order_id=orders, asked=lines)
    def request(self, return_id: str, order_id: str, asked: tuple[LineQuantity, ...]) -> None:
        wanted = tuple(ReturnLine(line_id=x.line_id, sku=x.sku, quantity=x.quantity) for x in asked)
        self.send(AskReturn(return_id=return_id, order_id=order_id, lines=wanted))

    @rule(
        return_id=returns, more=st.sampled_from(["", "a", "b"]), each=st.sampled_from([2, 1, 2, 3])
    )
    def request_about_what_is_left(self, return_id: str, more: str, each: int) -> None:
        """Some of it, all of it, or a unit more of a line."""
        wanted = tuple(
            ReturnLine(line_id=x.line_id, sku=x.sku, quantity=x.left // each + (more == x.line_id))
            for x in self.scenario.state(RETURNABLE).lines
            if x.left // each
        )
        self.send(AskReturn(return_id=return_id, order_id="o", lines=wanted))

    @rule(return_id=returns, disposition=st.sampled_from(DISPOSITIONS[:5]))
    def move_on(self, return_id: str, disposition: Any) -> None:
        """Whatever comes next for a return."""
        match self.scenario.state(f"return-{return_id}").stage:
            case Stage.UNKNOWN:
                self.request_about_what_is_left(return_id, "", 2)
            case Stage.REQUESTED:
                self.approve(return_id, "o")
            case Stage.APPROVED:
                self.receive_about_what_is_outstanding(return_id, "", 2)
            case Stage.PARTIALLY_RECEIVED | Stage.RECEIVED:
                self.inspect_what_was_received(return_id, disposition)
            case _:
                self.refund(return_id, 1)

    @rule(return_id=returns, order_id=orders)
    def approve(self, return_id: str, order_id: str) -> None:
        self.send(ApproveReturn(return_id=return_id, order_id=order_id))

    @rule(return_id=returns, order_id=orders, sure=st.integers(0, 4))
    def decline(self, return_id: str, order_id: str, sure: int) -> None:
        if sure == 3:
            self.send(DeclineReturn(return_id=return_id, order_id=order_id, reason="worn"))

    @rule(return_id=returns, order_id=orders, sure=st.integers(0, 4))
    def cancel(self, return_id: str, order_id: str, sure: int) -> None:
        if sure == 3:
            self.send(CancelReturn(return_id=return_id, order_id=order_id))

    @rule(return_id=returns, receipt_id=st.sampled_from(["c1", "c2", "c3"]), came=lines)
    def receive(self, return_id: str, receipt_id: str, came: tuple[LineQuantity, ...]) -> None:
        self.send(
            ReceiveReturn(
                return_id=return_id,
                order_id="o",
                receipt_id=receipt_id,
                location="leeds",
                lines=came,
            )
        )

    @rule(
        return_id=returns, more=st.sampled_from(["", "a", "b"]), each=st.sampled_from([2, 1, 2, 3])
    )
    def receive_about_what_is_outstanding(self, return_id: str, more: str, each: int) -> None:
        """Some of it, all of it, or a unit more of a line."""
        came = tuple(
            LineQuantity(
                line_id=x.line_id, sku=x.sku, quantity=x.outstanding // each + (more == x.line_id)
            )
            for x in self.scenario.state(f"return-{return_id}").lines
            if x.outstanding // each
        )
        self.receive(return_id, f"c-{len(self.scenario.log[f'return-{return_id}'])}", came)

    @rule(
        return_id=returns,
        judged=lines,
        dispositions=st.lists(st.sampled_from(DISPOSITIONS), min_size=3, max_size=3),
    )
    def inspect(
        self, return_id: str, judged: tuple[LineQuantity, ...], dispositions: list[Any]
    ) -> None:
        stated = tuple(
            InspectedLine(line_id=x.line_id, sku=x.sku, quantity=x.quantity, disposition=d)
            for x, d in zip(judged, dispositions, strict=False)
        )
        self.send(InspectReturn(return_id=return_id, order_id="o", lines=stated))

    @rule(return_id=returns, disposition=st.sampled_from(DISPOSITIONS[:5]))
    def inspect_what_was_received(self, return_id: str, disposition: Any) -> None:
        stated = tuple(
            InspectedLine(
                line_id=x.line_id, sku=x.sku, quantity=x.received, disposition=disposition
            )
            for x in self.scenario.state(f"return-{return_id}").lines
            if x.received
        )
        self.send(InspectReturn(return_id=return_id, order_id="o", lines=stated))

    @rule(return_id=returns, amount=st.integers(0, 3))
    def refund(self, return_id: str, amount: int) -> None:
        self.send(
            RefundIssued(
                order_id="o",
                refund_id=f"{return_id}.refund",
                payment_id="pay",
                return_id=return_id,
                amount=Money(amount, "GBP"),
            )
        )

    @rule(return_id=returns)
    def owe_nothing(self, return_id: str) -> None:
        self.send(
            ReturnAccepted(
                order_id="o",
                return_id=return_id,
                refund_id=f"{return_id}.refund",
                lines=(),
                refund=Money(0, "GBP"),
            )
        )

    @rule(return_id=returns)
    def refund_fails(self, return_id: str) -> None:
        self.send(
            RefundFailed(
                order_id="o",
                refund_id=f"{return_id}.refund",
                payment_id="pay",
                return_id=return_id,
                reason="card_expired",
            )
        )

    @invariant()
    def invariant_7_claims_never_exceed_shipped(self) -> None:
        shipped = count(self.log(RETURNABLE, ItemsReturnable))
        claimed = count(self.log(RETURNABLE, ItemsClaimed))
        given_up = count(self.log(RETURNABLE, ItemsUnclaimed))
        assert given_up <= claimed
        open_claims = claimed - given_up
        assert open_claims <= shipped
        state = self.scenario.state(RETURNABLE)
        claims = [line for lines_of in state.claims.values() for line in lines_of]
        kept: Units = Counter()
        for line in claims:
            kept[line.line_id, line.sku] += line.quantity
        assert kept == open_claims
        assert least_left(state) >= 0

    @invariant()
    def what_a_return_claims_is_what_it_may_still_bring(self) -> None:
        claims = self.scenario.state(RETURNABLE).claims
        for stream in self.known:
            kinds = {type(e) for e in self.scenario.log[stream]}
            claim = claims.get(stream.removeprefix("return-"), ())
            if kinds & {ReturnDeclined, ReturnCancelled}:
                assert not claim
            elif ReturnInspected in kinds:
                assert tally(claim) == count(self.log(stream, ReturnReceived))
            else:
                assert tally(claim) == count(self.log(stream, ReturnRequested))

    @invariant()
    def invariant_7_returned_at_most_shipped(self) -> None:
        returned: Units = Counter()
        for stream in self.known:
            inspections = self.log(stream, ReturnInspected)
            assert len(inspections) <= 1
            for inspected in inspections:
                for line in inspected.lines:
                    if line.disposition != "missing":
                        returned[line.line_id, line.sku] += line.quantity
        assert returned <= count(self.log(RETURNABLE, ItemsReturnable))

    @invariant()
    def invariant_7_dispositions_add_up_to_received(self) -> None:
        for stream in self.known:
            requested = count(self.log(stream, ReturnRequested))
            received = count(self.log(stream, ReturnReceived))
            assert received <= requested
            for inspected in self.log(stream, ReturnInspected):
                by_kind: dict[bool, Units] = defaultdict(Counter)
                for line in inspected.lines:
                    missing = line.disposition == "missing"
                    by_kind[missing][line.line_id, line.sku] += line.quantity
                assert by_kind[False] == received
                assert by_kind[True] == requested - received

    @invariant()
    def invariant_7_every_refund_has_one_approved_cause(self) -> None:
        for stream in self.known:
            log = self.scenario.log[stream]
            kinds = [type(e) for e in log]
            for once in (ReturnApproved, ReturnDeclined, ReturnCancelled, ReturnSettled):
                assert kinds.count(once) <= 1
            if ReturnSettled in kinds:
                assert ReturnApproved in kinds
                assert kinds.index(ReturnInspected) < kinds.index(ReturnSettled)
            if ReturnDeclined in kinds or ReturnCancelled in kinds:
                assert kinds[-1] in (ReturnDeclined, ReturnCancelled)
                assert ReturnReceived not in kinds

    @invariant()
    def refolding_the_log_gives_the_same_bytes(self) -> None:
        for stream, log in self.scenario.log.items():
            category = TABLE.category(stream)
            state = category.initial()
            for event in log:
                state = category.evolve(state, decode(event.tag(), encode(event)))
            snapshot = TABLE.encode_state(self.scenario.state(stream))
            assert TABLE.encode_state(state) == snapshot
            assert TABLE.encode_state(TABLE.decode_state(stream, snapshot)) == snapshot


ReturnsMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestReturnsMachine = ReturnsMachine.TestCase
