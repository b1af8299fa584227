"""Any order of events: stock, money, goods and cancellation answered, lost, late and twice; the books always balance,
and nobody forgets the order."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from services.order.domain.messages import (
    AuthorisePayment,
    CapturePayment,
    RefundPayment,
    VoidPayment,
)
from shared.events import CancelTimer, Effect, LineQuantity, Refused, StartTimer, encode
from shared.events import fulfillment as f
from shared.events import inventory as i
from shared.events import order as o
from tests.spec import given
from tests.unit.order import examples as x

STREAM = f"order-{x.ID}"


class OrderMachine(RuleBasedStateMachine):
    """The other services and the provider, as far as an order can tell: they answer what they were sent, in any order
    across each other, some of it twice."""

    def __init__(self) -> None:
        super().__init__()
        self.scenario = given(x.TABLE)
        self.inbox: list[Any] = []
        self.warehouse: dict[str, dict[str, int]] = {}
        self.released_packages: set[str] = set()
        self.packages: dict[str, f.PackagePacked] = {}
        self.stopped: set[str] = set()
        self.captured = self.refunded = 0
        self.answers: dict[str, Any] = {}
        self.voided = False
        self.returns = 0
        self.waiting: set[str] = set()
        self.timers: dict[str, Any] = {}
        self.tell(replace(x.PLACE, backorder="wait"))

    def tell(self, message: Any) -> None:
        self.scenario.when(message)
        for item in self.scenario.items:
            self.take(item)

    def take(self, item: Any) -> None:
        match item:
            case i.ReserveStock() | i.CommitReservation():
                self.inbox.append(item)
            case i.ReleaseReservation():
                whole = item.reason != "short_pick"
                answer = replace(x.RELEASED, reservation_id=item.reservation_id)
                self.inbox.append(replace(answer, open_units=0 if whole else 1))
            case f.CreateFulfillment():
                self.warehouse[item.fulfillment_id] = {q.line_id: q.quantity for q in item.lines}
            case f.CancelFulfillment():
                self.inbox.append(item)
            case f.ReleasePackage():
                self.released_packages.add(item.package_id)
            case Effect():
                self.inbox.append(item)
            case StartTimer():
                self.timers[item.name] = item.message
            case CancelTimer():
                self.timers.pop(item.name, None)
            case _:
                pass

    @precondition(lambda self: self.inbox)
    @rule(data=st.data())
    def something_is_answered(self, data: st.DataObject) -> None:
        n = data.draw(st.integers(0, len(self.inbox) - 1))
        message = self.inbox.pop(n)
        if data.draw(st.booleans()):
            self.inbox.append(message)  # at least once
        self.tell(self.answered(message, well=data.draw(st.booleans())))

    def answered(self, message: Any, *, well: bool) -> Any:
        """The answer to what was asked for; what is itself an answer stays it."""
        match message:
            case Effect():
                return self.perform(message, refuse=not well)
            case f.CancelFulfillment():
                return self.stop(message)
            case i.ReserveStock():
                return self.reserve(message, waits=not well)
            case i.CommitReservation():
                answer = x.COMMITTED if well else x.EXPIRED
                id = message.reservation_id
                return self.answers.setdefault(id, replace(answer, reservation_id=id))
        return message

    def reserve(self, command: i.ReserveStock, *, waits: bool) -> Any:
        """What waits for stock gets it later."""
        id = command.reservation_id
        if not waits or id in self.waiting:
            return replace(x.RESERVED, reservation_id=id)
        self.waiting.add(id)
        self.inbox.append(command)
        return replace(x.BACKORDERED, reservation_id=id)

    def perform(self, effect: Effect, *, refuse: bool) -> Any:
        """The provider's answer: the same for the same key, for ever, but for a void: a person sees to it there."""
        if effect.id in self.answers:
            return self.answers[effect.id]
        answer = self.answer(effect.request, "refused" if refuse else "")
        if not (refuse and isinstance(effect.request, VoidPayment)):
            self.answers[effect.id] = answer
        return answer

    def answer(self, request: Any, refused: str) -> Any:
        match request:
            case AuthorisePayment():
                return replace(x.AUTHORISED, amount=request.amount)
            case CapturePayment():
                refused = "voided" if self.voided else refused
                self.captured += 0 if refused else request.amount.amount
                package = self.packages[request.package_id]
                answer = x.captured(package, request.amount.amount, refused)
                return replace(answer, capture_id=request.capture_id)
            case VoidPayment():
                self.voided |= not refused
                return replace(x.VOIDED, refused=refused)
            case RefundPayment():
                self.refunded += 0 if refused else request.amount.amount
                number = int(request.return_id.rsplit("r", 1)[1])
                return x.refunded(number, request.amount.amount, refused)
        raise AssertionError(request)

    def stop(self, command: f.CancelFulfillment) -> Any:
        id = command.fulfillment_id
        if any(
            p.fulfillment_id == id and p.package_id in self.released_packages
            for p in self.packages.values()
        ):
            return f.FulfillmentCancellationRefused(order_id=x.ID, fulfillment_id=id, reason="gone")
        self.stopped.add(id)
        return x.stopped(id)

    @precondition(lambda self: any(any(q.values()) for q in self.warehouse.values()))
    @rule(data=st.data())
    def warehouse_packs(self, data: st.DataObject) -> None:
        open_ones = [
            id for id, q in self.warehouse.items() if any(q.values()) and id not in self.stopped
        ]
        if not open_ones:
            return
        id = data.draw(st.sampled_from(open_ones))
        quantities = self.warehouse[id]
        line_id = next(line for line, n in quantities.items() if n)
        n = data.draw(st.integers(1, quantities[line_id]))
        quantities[line_id] -= n
        sku = {"1": "TEA", "2": "CUP"}[line_id]
        line = LineQuantity(line_id=line_id, sku=sku, quantity=n)
        package = x.packed(id, line, n=len(self.packages) + 1)
        self.packages[package.package_id] = package
        self.tell(package)

    @precondition(lambda self: self.released_packages)
    @rule(data=st.data())
    def a_released_package_moves(self, data: st.DataObject) -> None:
        package = self.packages[data.draw(st.sampled_from(sorted(self.released_packages)))]
        status = self.scenario.state(STREAM).packages[package.package_id].status
        self.tell(x.shipped(package) if status == "captured" else x.delivered(package))

    @precondition(lambda self: self.timers)
    @rule(data=st.data())
    def a_deadline_passes(self, data: st.DataObject) -> None:
        self.tell(self.timers.pop(data.draw(st.sampled_from(sorted(self.timers)))))

    @precondition(lambda self: self.scenario.state(STREAM).holds)
    @rule(data=st.data())
    def a_person_releases_a_hold(self, data: st.DataObject) -> None:
        hold_id = data.draw(st.sampled_from(sorted(self.scenario.state(STREAM).holds)))
        self.tell(o.ReleaseHold(order_id=x.ID, hold_id=hold_id))

    @rule(now=st.sampled_from([False, False, True]))  # or few orders would ever be packed
    def shopper_cancels(self, now: bool) -> None:
        if not now:
            return
        self.tell(o.CancelOrder(order_id=x.ID, reason="changed my mind"))

    @precondition(lambda self: self.scenario.state(STREAM).status == "completed")
    @rule(data=st.data())
    def some_units_come_back(self, data: st.DataObject) -> None:
        lines = self.scenario.state(STREAM).lines
        left = {id: x.delivered - x.returned for id, x in lines.items() if x.delivered > x.returned}
        if not left:
            return
        line_id = data.draw(st.sampled_from(sorted(left)))
        line = LineQuantity(line_id=line_id, sku=lines[line_id].sku, quantity=0)
        self.returns += 1
        n = data.draw(st.integers(1, left[line_id]))
        self.tell(x.inspected(x.back(line, n), n=self.returns))

    @invariant()
    def money_balances(self) -> None:
        state = self.scenario.state(STREAM)
        payment = state.payment
        if payment is None:
            assert self.captured == 0
            return
        assert 0 <= payment.refunded <= payment.captured <= payment.authorised == state.total
        assert self.refunded <= self.captured <= state.total
        if state.status == "cancelled":
            assert payment.captured == payment.refunded == self.captured == 0
            assert payment.voided
        if state.status == "completed":
            assert payment.captured == state.total

    @invariant()
    def a_live_order_is_watched_or_held(self) -> None:
        state = self.scenario.state(STREAM)
        if state.status in ("placed", "confirmed"):
            assert self.timers or state.holds, f"nobody waits for {state}"

    @invariant()
    def an_ended_order_holds_no_stock(self) -> None:
        state = self.scenario.state(STREAM)
        if state.status == "cancelled":
            assert state.reservation == "ended"

    @invariant()
    def goods_leave_only_when_paid_and_never_after_cancellation(self) -> None:
        log = self.scenario.log[STREAM]
        kinds = [type(e) for e in log]
        shipped = [e.package_id for e in log if isinstance(e, o.OrderShipped)]
        assert len(shipped) == len(set(shipped))
        paid = {e.package_id for e in log if isinstance(e, o.PaymentCaptured)}
        assert set(shipped) <= paid
        assert not (o.OrderCancelled in kinds and shipped)

    @invariant()
    def refolding_gives_the_same_bytes(self) -> None:
        again = given(x.TABLE, *self.scenario.log[STREAM])
        kept, folded = self.scenario.state(STREAM), again.state(STREAM)
        assert x.TABLE.encode_state(kept) == x.TABLE.encode_state(folded)
        assert all(encode(i) for i in self.scenario.items if not isinstance(i, Refused | Effect))

    def teardown(self) -> None:
        """When everything asked is answered and every hold released, the order has come to its end or waits for the
        warehouse."""
        for _ in range(200):
            holds = self.scenario.state(STREAM).holds
            if self.inbox:
                self.tell(self.answered(self.inbox.pop(0), well=True))
            elif holds:
                self.tell(o.ReleaseHold(order_id=x.ID, hold_id=min(holds)))
            else:
                break
        state = self.scenario.state(STREAM)
        assert state.cancelling == "" or self.inbox, f"cancellation is stuck: {state}"
        assert state.status != "placed", f"an answered order is not confirmed: {state}"


TestOrder = OrderMachine.TestCase
TestOrder.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
