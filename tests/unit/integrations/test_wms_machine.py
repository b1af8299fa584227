"""Whatever an external warehouse says, in any order: what goes on to fulfillment is never refused there, unheard."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from services.fulfillment.handlers import table as fulfillment_table
from services.integrations.domain.wms_answers import Contradiction
from services.integrations.handlers import table
from shared.events import Address, LineQuantity, Refused
from shared.events import fulfillment as f
from shared.events import wms as w
from tests.spec import NOON, given

IDS: dict[str, Any] = {"fulfillment_id": "o1.f1", "order_id": "o1"}
ORDERED = tuple(
    LineQuantity(line_id=line, sku=sku, quantity=n)
    for line, sku, n in (("1", "TEA", 2), ("2", "TEA", 1), ("2", "CUP", 1))
)
UNITS = st.lists(
    st.builds(
        lambda x, n: LineQuantity(line_id=x.line_id, sku=x.sku, quantity=n),
        st.sampled_from(ORDERED),
        st.integers(0, 2),
    ),
    max_size=3,
).map(tuple)
PACKAGES = st.sampled_from(["P", "P", "P", "Q", "a b", ""])
RARELY = st.integers(0, 9).map(lambda n: n == 9)  # what ends most of what could follow
TIMES = st.sampled_from([NOON - timedelta(days=1), NOON + timedelta(days=1)])


class Warehouse(RuleBasedStateMachine):
    """An order's way through an external warehouse, seen from both sides."""

    def __init__(self) -> None:
        super().__init__()
        create = f.CreateFulfillment(**IDS, location="DHL", lines=ORDERED, ship_to=Address())
        self.fulfillment = given(fulfillment_table()).when(create)
        self.wms = given(table(wms_locations=frozenset({"DHL"})))
        self.said = 0
        self._tell_wms()

    def _id(self) -> str:
        self.said += 1
        return f"m{self.said}"

    def _tell_wms(self) -> None:
        for event in self.fulfillment.items:
            self.wms.when(event, id=self._id())

    def _answer(self, answer: w.WmsAnswer) -> None:
        with suppress(Contradiction):
            self.wms.when(answer, id=self._id())
            for command in [x for x in self.wms.items if isinstance(x, f.FulfillmentCommand)]:
                self.fulfillment.when(command, id=self._id())
                refused = [x.detail for x in self.fulfillment.items if isinstance(x, Refused)]
                assert refused == []

    @initialize(steps=st.integers(0, 3))
    def begins_well(self, steps: int) -> None:
        """Chance alone seldom gets as far as to a package that may leave."""
        good = (
            self.picks_everything,
            lambda: self.packs_everything("P"),
            self.packages_are_paid_for,
        )
        for step in good[:steps]:
            step()

    @rule(sure=RARELY)
    def accepts_or_rejects(self, sure: bool) -> None:
        no = w.ReportRejected(**IDS, reason="no space")
        self._answer(no if sure else w.ReportAccepted(**IDS))

    @rule(pick=st.sampled_from("12"), lines=UNITS, final=st.booleans())
    def picks(self, pick: str, lines: tuple[LineQuantity, ...], final: bool) -> None:
        self._answer(w.ReportPicked(**IDS, pick_id=pick, lines=lines, final=final))

    @rule(package=PACKAGES, lines=UNITS)
    def packs(self, package: str, lines: tuple[LineQuantity, ...]) -> None:
        self._answer(w.ReportPacked(**IDS, package=package, lines=lines))

    @rule()
    def picks_everything(self) -> None:
        self.picks("all", ORDERED, True)

    @rule(package=PACKAGES)
    def packs_everything(self, package: str) -> None:
        self.packs(package, ORDERED)

    @rule(package=PACKAGES, at=TIMES)
    def ships(self, package: str, at: datetime) -> None:
        known = self.wms.state("wmsorder-o1.f1").packages.get(package)
        lines = known.lines if known else ORDERED
        sent = {"package": package, "carrier": "DHL", "tracking_number": "T", "lines": lines}
        self._answer(w.ReportShipped(**IDS, **sent, shipped_at=at))

    @rule(package=PACKAGES, at=TIMES)
    def delivers(self, package: str, at: datetime) -> None:
        self._answer(w.ReportDelivered(**IDS, package=package, delivered_at=at))

    @rule()
    def packages_are_paid_for(self) -> None:
        for name in self.fulfillment.state("fulfillment-o1.f1").packages:
            self.fulfillment.when(f.ReleasePackage(**IDS, package_id=name), id=self._id())
            self._tell_wms()

    @rule(sure=RARELY, accepted=st.booleans())
    def the_order_is_cancelled(self, sure: bool, accepted: bool) -> None:
        if not sure:
            return
        self.fulfillment.when(f.CancelFulfillment(**IDS, reason="customer"), id=self._id())
        if any(isinstance(x, f.FulfillmentCancelled) for x in self.fulfillment.items):
            self._tell_wms()
            no = w.ReportCancellationRejected(**IDS, reason="on the truck")
            self._answer(w.ReportCancellationAccepted(**IDS) if accepted else no)


TestWarehouse = Warehouse.TestCase
TestWarehouse.settings = settings(max_examples=100, stateful_step_count=15, deadline=None)
