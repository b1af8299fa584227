"""Any sequence of commands, right or wrong: the log of a fulfillment never breaks its promises.

Everything is checked on the events alone, so that a wrong fold cannot hide a wrong decision.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.fulfillment.domain.state import PackageStage, Stage, stage
from services.fulfillment.handlers import table
from shared.events import Address, Event, LineQuantity, Refused, decode, encode
from shared.events.fulfillment import (
    CancelFulfillment,
    ConfirmDelivery,
    CreateFulfillment,
    Delivered,
    FulfillmentCancellationRefused,
    FulfillmentCancelled,
    FulfillmentOpened,
    ItemsPicked,
    PackagePacked,
    PackageReleased,
    PackItems,
    RecordPick,
    ReleasePackage,
    ShipPackage,
    Shipped,
    StartPicking,
)
from tests.spec import given

TABLE = table(frozenset({"robot"}))
IDS: dict[str, Any] = {"fulfillment_id": "f", "order_id": "o"}
STREAM = "fulfillment-f"

lines = st.lists(
    st.builds(
        LineQuantity,
        line_id=st.sampled_from(["a", "b"]),
        sku=st.sampled_from(["A", "B"]),
        quantity=st.integers(0, 4),
    ),
    max_size=3,
).map(tuple)
packages = st.sampled_from(["f.p1", "f.p2", "f.p3"])


def line(line_id: str, quantity: int) -> LineQuantity:
    return LineQuantity(line_id=line_id, sku=line_id.upper(), quantity=quantity)


def count(events: list[Any]) -> Counter[tuple[str, str]]:
    """Units by line in the ``lines`` of events."""
    units: Counter[tuple[str, str]] = Counter()
    for event in events:
        for line in event.lines:
            units[line.line_id, line.sku] += line.quantity
    return units


class FulfillmentMachine(RuleBasedStateMachine):
    """One fulfillment, sent whatever the strategies make up."""

    def __init__(self) -> None:
        super().__init__()
        self.scenario = given(TABLE)

    @property
    def log(self) -> list[Event]:
        return self.scenario.log[STREAM]

    def of(self, kind: type[Event]) -> list[Any]:
        return [e for e in self.log if isinstance(e, kind)]

    def send(self, command: Any, *, repeatable: bool = True) -> None:
        before = len(self.log)
        items = self.scenario.when(command).items
        events = [i for i in items if isinstance(i, Event)]
        assert events == items or [type(i) for i in items] == [Refused]
        assert self.log[before:] == events
        answered_each_time = any(isinstance(e, FulfillmentCancellationRefused) for e in events)
        if repeatable and not answered_each_time:
            assert not [i for i in self.scenario.when(command).items if isinstance(i, Event)]

    @initialize(
        location=st.sampled_from(["leeds", "leeds", "leeds", "robot"]),
        quantities=st.lists(st.integers(2, 6), min_size=1, max_size=2),
        created=st.integers(0, 9),
    )
    def open(self, location: str, quantities: list[int], created: int) -> None:
        ordered = tuple(line(x, n) for x, n in zip("ab", quantities, strict=False))
        self.create = CreateFulfillment(
            **IDS, location=location, lines=ordered, ship_to=Address(name="Ada")
        )
        if created:
            self.send(self.create)
        if created > 2:
            self.send(StartPicking(**IDS, picker="pat"))

    @rule()
    def create_late(self) -> None:
        self.send(self.create)

    @rule(picker=st.sampled_from(["pat", "quinn"]))
    def start(self, picker: str) -> None:
        self.send(StartPicking(**IDS, picker=picker))

    @rule(picked=lines, final=st.booleans(), pick_id=st.sampled_from(["", "s1", "s2", "s3"]))
    def pick(self, picked: tuple[LineQuantity, ...], final: bool, pick_id: str) -> None:
        command = RecordPick(**IDS, lines=picked, final=final, pick_id=pick_id)
        self.send(command, repeatable=bool(pick_id))

    @rule(
        final=st.sampled_from([False, False, True]),
        more=st.sampled_from(["", "a", "b"]),
        each=st.sampled_from([2, 1, 2, 3]),
    )
    def pick_about_what_is_open(self, final: bool, more: str, each: int) -> None:
        """Some of it, all of it, or a unit more of a line."""
        state = self.scenario.state(STREAM)
        found = tuple(
            line(x.line_id, n) for x in state.lines if (n := x.open // each + (more == x.line_id))
        )
        self.send(RecordPick(**IDS, lines=found, final=final), repeatable=False)

    @rule(package_id=packages, content=lines)
    def pack(self, package_id: str, content: tuple[LineQuantity, ...]) -> None:
        self.send(PackItems(**IDS, package_id=package_id, lines=content))

    @rule(
        package_id=packages,
        more=st.sampled_from(["", "a", "b"]),
        each=st.sampled_from([2, 1, 2, 3]),
    )
    def pack_about_what_is_loose(self, package_id: str, more: str, each: int) -> None:
        """Some of it, all of it, or a unit more of a line."""
        loose = tuple(
            line(x.line_id, n)
            for x in self.scenario.state(STREAM).lines
            if (n := x.loose // each + (more == x.line_id))
        )
        self.send(PackItems(**IDS, package_id=package_id, lines=loose))

    @rule(package_id=packages)
    def release(self, package_id: str) -> None:
        self.send(ReleasePackage(**IDS, package_id=package_id))

    @rule(package_id=packages, number=st.sampled_from(["T1", "T2"]))
    def ship(self, package_id: str, number: str) -> None:
        self.send(ShipPackage(**IDS, package_id=package_id, carrier="dpd", tracking_number=number))

    @rule(package_id=packages)
    def move_on(self, package_id: str) -> None:
        """Whatever comes next for a package."""
        package = self.scenario.state(STREAM).packages.get(package_id)
        if package is None:
            return
        match package.stage:
            case PackageStage.PACKED:
                self.release(package_id)
            case PackageStage.RELEASED:
                self.ship(package_id, "T1")
            case _:
                self.deliver(package_id)

    @rule(package_id=packages)
    def deliver(self, package_id: str) -> None:
        self.send(ConfirmDelivery(**IDS, package_id=package_id))

    @rule(sure=st.integers(0, 9))
    def cancel(self, sure: int) -> None:
        if sure == 7:
            self.send(CancelFulfillment(**IDS, reason="customer"))

    @invariant()
    def invariant_6_one_shipped_per_package(self) -> None:
        for kind in (PackagePacked, PackageReleased, Shipped, Delivered):
            ids = [e.package_id for e in self.of(kind)]
            assert len(ids) == len(set(ids)), kind

    @invariant()
    def invariant_6_shipped_at_most_ordered_less_short(self) -> None:
        ordered = count(self.of(FulfillmentOpened))
        picks = self.of(ItemsPicked)
        picked, short = count(picks), Counter[tuple[str, str]]()
        for event in picks:
            for line in event.short:
                short[line.line_id, line.sku] += line.quantity
        packed, shipped = count(self.of(PackagePacked)), count(self.of(Shipped))
        assert picked + short <= ordered
        assert packed <= picked
        assert shipped <= packed
        assert count(self.of(Delivered)) <= shipped
        assert all(n > 0 for n in (*picked.values(), *short.values(), *packed.values()))

    @invariant()
    def invariant_6_never_unpaid_never_after_cancellation(self) -> None:
        order = {(type(e), getattr(e, "package_id", "")): n for n, e in enumerate(self.log)}
        for event in self.of(Shipped):
            assert order[PackageReleased, event.package_id] < order[Shipped, event.package_id]
        for event in self.of(Delivered):
            assert order[Shipped, event.package_id] < order[Delivered, event.package_id]
        if self.of(FulfillmentCancelled):
            assert isinstance(self.log[-1], FulfillmentCancelled)
            assert not self.of(PackageReleased)

    @invariant()
    def the_stage_is_what_the_log_says(self) -> None:
        now = stage(self.scenario.state(STREAM))
        assert (now is Stage.CANCELLED) == bool(self.of(FulfillmentCancelled))
        assert (now is Stage.UNKNOWN) == (not self.log)
        if now is Stage.DELIVERED:
            sent = count(self.of(Delivered))
            assert sent
            assert sent == count(self.of(ItemsPicked))

    @invariant()
    def refolding_the_log_gives_the_same_bytes(self) -> None:
        category = TABLE.category(STREAM)
        state = category.initial()
        for event in self.log:
            state = category.evolve(state, decode(event.tag(), encode(event)))
        snapshot = TABLE.encode_state(self.scenario.state(STREAM))
        assert TABLE.encode_state(state) == snapshot
        assert TABLE.encode_state(TABLE.decode_state(STREAM, snapshot)) == snapshot


FulfillmentMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=50, deadline=None
)
TestFulfillmentMachine = FulfillmentMachine.TestCase


def test_a_snapshot_of_a_two_line_order_is_small() -> None:
    """A thousand of these are written a second."""
    ordered = tuple(LineQuantity(line_id=str(n), sku=f"8540{n}", quantity=6) for n in range(2))
    create = CreateFulfillment(**IDS, location="robot", lines=ordered, ship_to=Address())
    scenario = given(TABLE).when(create).when(ReleasePackage(**IDS, package_id="f.p1"))
    assert len(TABLE.encode_state(scenario.state(STREAM))) < 250
    assert msgspec.msgpack.decode(TABLE.encode_state(scenario.state(STREAM)))[1] == "robot"
