"""Any sequence of messages and timers, over several SKUs, locations and orders, keeps invariants 1 and 2."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.inventory.handlers import TABLE
from shared.events import (
    CancelTimer,
    Command,
    Event,
    LineQuantity,
    StartTimer,
    StockLine,
    encode,
)
from shared.events.inventory import (
    AdjustStock,
    BackorderQueued,
    CommitReservation,
    ConsumeReservation,
    ReceiveStock,
    RegisterItem,
    ReleaseReservation,
    ReservationCommitted,
    ReservationConsumed,
    ReserveStock,
    RestockItems,
    StockAdjusted,
    StockBackordered,
    StockReceived,
    StockReserved,
    StockRestocked,
    UnitsShipped,
)
from tests.spec import NOON, Scenario, given
from tests.unit.inventory.language import of

SKUS = ("A", "B")
FINAL = {"rejected", "consumed", "released", "expired"}

PLACES = ("east", "west")

places = st.sampled_from(PLACES)
units = st.integers(1, 4)
reservations = st.sampled_from([f"o{n}.1" for n in range(1, 5)])
wanted = st.lists(st.tuples(st.sampled_from(SKUS), units), min_size=1, max_size=3)
moved = st.lists(st.tuples(st.sampled_from(SKUS), places, units), min_size=1, max_size=3)


def as_lines(what: list[tuple[str, int]]) -> tuple[LineQuantity, ...]:
    return tuple(
        LineQuantity(line_id=f"l{i}", sku=sku, quantity=n) for i, (sku, n) in enumerate(what)
    )


def as_moves(what: list[tuple[str, str, int]], sign: int = 1) -> tuple[StockLine, ...]:
    return tuple(StockLine(sku=s, location=place, quantity=sign * n) for s, place, n in what)


class InventoryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.s: Scenario = given(TABLE)
        self.now = NOON
        self.timers: dict[tuple[str, str], StartTimer] = {}
        self.sent: list[Command] = []
        self.ended: dict[str, str] = {}
        self.movements = 0
        self.reservations = 0
        for sku in SKUS:
            self.send(RegisterItem(sku=sku))
        stock = [(sku, place, 3) for sku in SKUS for place in PLACES]
        self.send(ReceiveStock(movement_id="m0", lines=as_moves(stock), reference=""))

    def send(self, message: Command) -> None:
        """Handle a message with states as the database gives them back, then keep its timers."""
        reach = self.reach()
        for stream, state in self.s.states.items():
            self.s.states[stream] = TABLE.decode_state(stream, TABLE.encode_state(state))
        self.s.when(message, at=self.now)
        for item in self.s.items:
            if isinstance(item, StartTimer):
                self.timers[item.message.subject, item.name] = item
            elif isinstance(item, CancelTimer):
                self.timers.pop((item.subject, item.name), None)
        self.check_that_nobody_was_overtaken(reach)

    def command(self, message: Command) -> None:
        self.sent.append(message)
        self.send(message)

    def next_movement(self) -> str:
        self.movements += 1
        return f"m{self.movements}"

    # What may happen

    @rule(what=moved)
    def receive(self, what: list[Any]) -> None:
        self.command(
            ReceiveStock(movement_id=self.next_movement(), lines=as_moves(what), reference="")
        )

    @rule(what=moved, sign=st.sampled_from((-1, 1)))
    def adjust(self, what: list[Any], sign: int) -> None:
        lines = as_moves(what, sign)
        self.command(AdjustStock(movement_id=self.next_movement(), lines=lines, reason="count"))

    @rule(what=moved)
    def restock(self, what: list[Any]) -> None:
        lines = as_moves(what)
        self.command(
            RestockItems(movement_id=self.next_movement(), lines=lines, return_id="r", order_id="o")
        )

    @rule(what=wanted, policy=st.sampled_from(("refuse", "wait", "wait")))
    def reserve(self, what: list[Any], policy: Any) -> None:
        self.reservations += 1
        self.command(
            ReserveStock(
                **of(f"r{self.reservations}.1"),
                lines=as_lines(what),
                backorder=policy,
                hold_seconds=60,
            )
        )

    @rule(id=reservations, what=wanted, unknown=st.booleans())
    def reserve_what_may_have_been_named_before(
        self, id: str, what: list[Any], unknown: bool
    ) -> None:
        lines = as_lines([*what, ("X", 1)] if unknown else what)
        self.command(ReserveStock(**of(id), lines=lines, backorder="refuse", hold_seconds=60))

    def any_of(self, data: Any, *statuses: str) -> str:
        """A reservation in one of these states, if there is one; else any."""
        found = [
            stream.removeprefix("reservation-")
            for stream, state in sorted(self.s.states.items())
            if getattr(state, "status", "") in statuses
        ]
        id: str = data.draw(st.sampled_from(found) if found else reservations)
        return id

    def lines_of(self, id: str) -> tuple[LineQuantity, ...]:
        r = self.s.state(f"reservation-{id}")
        parts = r.open or r.lines
        return tuple(LineQuantity(line_id=p.line_id, sku=p.sku, quantity=p.quantity) for p in parts)

    @rule(data=st.data(), named=st.booleans())
    def commit(self, data: Any, named: bool) -> None:
        id = self.any_of(data, "held")
        self.command(CommitReservation(**of(id), lines=self.lines_of(id) if named else ()))

    @rule(id=reservations)
    def commit_whatever_it_is(self, id: str) -> None:
        self.command(CommitReservation(**of(id), lines=self.lines_of(id)))

    @rule(data=st.data(), share=st.integers(1, 4), package=st.integers(1, 2))
    def consume(self, data: Any, share: int, package: int) -> None:
        id = self.any_of(data, "committed")
        lines = tuple(
            LineQuantity(line_id=x.line_id, sku=x.sku, quantity=min(share, x.quantity))
            for x in self.lines_of(id)
        )
        held_at = sorted({a.location for a in self.s.state(f"reservation-{id}").open})
        place = data.draw(st.sampled_from(held_at or PLACES))
        self.command(
            ConsumeReservation(**of(id), lines=lines, package_id=f"p{package}", location=place)
        )

    @rule(
        data=st.data(),
        states=st.sampled_from(
            (("held",), ("committed",), ("backordered",), ("expired", "consumed", "released"))
        ),
        place=st.sampled_from(("", "", "east")),
        part=st.sampled_from(("all", "unnamed", "first line")),
    )
    def release(self, data: Any, states: tuple[str, ...], place: str, part: str) -> None:
        id = self.any_of(data, *states)
        lines = self.lines_of(id)
        chosen = {"all": lines, "unnamed": (), "first line": lines[:1]}[part]
        self.command(ReleaseReservation(**of(id), lines=chosen, reason="cancelled", location=place))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def deliver_again(self, data: Any) -> None:
        self.send(data.draw(st.sampled_from(self.sent)))

    @precondition(lambda self: self.timers)
    @rule(data=st.data())
    def fire_a_timer(self, data: Any) -> None:
        key = data.draw(st.sampled_from(sorted(self.timers)))
        timer = self.timers.pop(key)
        self.now = max(self.now, timer.due_at)
        self.send(timer.message)

    @rule(seconds=st.sampled_from((1, 20, 60)))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.s.items = []  # what was granted before is not granted now

    @precondition(lambda self: any(t.due_at <= self.now for t in self.timers.values()))
    @rule()
    def settle(self) -> None:
        """All due timers run, those that they start included."""
        while due := [k for k, t in sorted(self.timers.items()) if t.due_at <= self.now]:
            for key in due:
                if key in self.timers:  # an earlier one may have cancelled it
                    self.send(self.timers.pop(key).message)

    # What must hold

    def reach(self) -> dict[str, list[str]]:
        """For each SKU, who waits and has its units there."""
        found: dict[str, list[str]] = {}
        for sku in SKUS:
            stock = self.s.state(f"stock-{sku}")
            free = sum(x.on_hand - x.reserved - x.allocated for x in stock.levels.values())
            found[sku] = []
            for place in stock.waiting:
                free -= place.quantity
                if free >= 0:
                    found[sku].append(place.reservation_id)
        return found

    def newcomers(self) -> set[str]:
        """Those who were granted at once, without having waited."""
        return {
            i.reservation_id
            for i in self.s.items
            if isinstance(i, StockReserved)
            and not any(
                isinstance(e, StockBackordered)
                for e in self.s.log[f"reservation-{i.reservation_id}"]
            )
        }

    def check_that_nobody_was_overtaken(self, before: dict[str, list[str]]) -> None:
        granted = {i.reservation_id for i in self.s.items if isinstance(i, StockReserved)}
        if not granted:
            return
        after = self.reach()
        for sku, ids in before.items():
            left = [id for id in ids if id not in granted]
            assert after[sku][: len(left)] == left, f"{granted} took units of {sku} from {left}"
        for id in self.newcomers():
            for line in self.s.log[f"reservation-{id}"][0].allocations:  # type: ignore[attr-defined]
                waits = [w.reservation_id for w in self.s.state(f"stock-{line.sku}").waiting]
                assert after[line.sku] == waits, f"{id} overtook those who wait for {line.sku}"

    @invariant()
    def every_unit_is_accounted_for(self) -> None:
        on_hand, promised = Counter[Any](), Counter[Any]()
        for stream, events in self.s.log.items():
            if not stream.startswith("stock-"):
                continue
            for event in events:
                match event:
                    case StockReceived() | StockRestocked() | StockAdjusted():
                        on_hand[event.sku, event.location] += event.quantity
                    case UnitsShipped():
                        for unit in event.units:
                            on_hand[event.sku, unit.location] -= unit.quantity
        for stream, r in self.s.states.items():
            if stream.startswith("reservation-"):
                for a in r.open:
                    promised[a.sku, a.location, r.status] += a.quantity
        for sku in SKUS:
            stock = self.s.state(f"stock-{sku}")
            for place, level in stock.levels.items():
                assert level.on_hand == on_hand[sku, place]
                assert level.reserved == promised[sku, place, "held"]
                assert level.allocated == promised[sku, place, "committed"]
                assert 0 <= level.reserved + level.allocated <= level.on_hand
            assert TABLE.categories["stock"].guard(stock) >= 0
        assert {status for _, _, status in promised} <= {"held", "committed"}

    @invariant()
    def a_reservation_ends_once(self) -> None:
        for stream, r in self.s.states.items():
            if stream.startswith("reservation-"):
                assert self.ended.get(stream, r.status) == r.status
                if r.status in FINAL:
                    self.ended[stream] = r.status
                    assert not r.open

    @invariant()
    def lines_hold_exactly_those_who_wait_in_order_of_arrival(self) -> None:
        for sku in SKUS:
            stock = self.s.state(f"stock-{sku}")
            queued = [
                e.reservation_id
                for e in self.s.log[f"stock-{sku}"]
                if isinstance(e, BackorderQueued)
            ]
            waits = [
                id for id in queued if self.s.state(f"reservation-{id}").status == "backordered"
            ]
            assert [w.reservation_id for w in stock.waiting] == waits
            assert stock.waiting_units == sum(w.quantity for w in stock.waiting)

    @invariant()
    def nobody_whose_units_are_all_there_is_forgotten(self) -> None:
        reach = self.reach()
        for stream, r in self.s.states.items():
            if stream.startswith("reservation-") and r.status == "backordered":
                id = stream.removeprefix("reservation-")
                if all(id in reach[line.sku] for line in r.lines):
                    assert {(stream, "wake"), (stream, "fill")} & self.timers.keys()

    @invariant()
    def packages_and_movements_count_once(self) -> None:
        for stream, events in self.s.log.items():
            packages = [e.package_id for e in events if isinstance(e, ReservationConsumed)]
            assert len(set(packages)) == len(packages)
            assert len(events) == 1 or not stream.startswith("movement-")

    @invariant()
    def a_commit_is_never_granted_after_its_time(self) -> None:
        for item in self.s.items:
            if isinstance(item, ReservationCommitted):
                granted = self.s.log[item.subject]
                held = [e for e in granted if isinstance(e, StockReserved)]
                assert self.now < held[-1].expires_at

    @invariant()
    def every_hold_has_its_timer(self) -> None:
        held = {k for k, r in self.s.states.items() if getattr(r, "status", "") == "held"}
        assert held == {stream for stream, name in self.timers if name == "expire"}

    def teardown(self) -> None:
        """Folding what the log holds as bytes gives the snapshots, byte for byte."""
        for stream, events in self.s.log.items():
            category = TABLE.category(stream)
            state = category.initial()
            for event in events:
                again = TABLE.codec.decode(event.tag(), encode(event))
                assert isinstance(again, Event)
                state = category.evolve(state, again)
            assert TABLE.encode_state(state) == TABLE.encode_state(self.s.state(stream))


InventoryMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None
)
TestInventory = InventoryMachine.TestCase
