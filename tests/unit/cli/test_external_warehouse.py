"""The simulated external warehouse answers each request as docs/wms.md says, and stops when it is told to in time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from ops.demo import external as module
from ops.demo import stories
from ops.demo.external import ExternalWarehouse
from ops.demo.plan import make_plan
from shared.events import Address, Command, LineQuantity
from shared.events import wms as w

IDS: dict[str, Any] = {"fulfillment_id": "o.f1", "order_id": "o"}
LINES = (
    LineQuantity(line_id="1", sku="A", quantity=2),
    LineQuantity(line_id="2", sku="B", quantity=1),
)
SUBMITTED = w.FulfillmentSubmitted(**IDS, location="GLA", lines=LINES, ship_to=Address())
STOP = w.WmsCancellationRequested(**IDS, location="GLA", reason="changed my mind")


def cleared(package: str) -> w.PackageCleared:
    return w.PackageCleared(**IDS, location="GLA", package=package)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WALK_S", "PICK_S", "PACK_S", "COLLECT_S", "DRIVE_S", "SECOND_PARCEL_S"):
        monkeypatch.setattr(module, name, 0.0)


class Desk:
    """Hands requests to a warehouse, and keeps what it answers."""

    def __init__(self, story: stories.Story | None = None) -> None:
        planned = None
        if story is not None:
            planned = next(o for o in make_plan(200, 1, "R").orders if o.story is story)
        self.answers: list[Any] = []
        self._jobs: list[asyncio.Task[None]] = []
        self.warehouse = ExternalWarehouse(self, lambda _: planned, self._start)  # type: ignore[arg-type]

    def _start(self, job: Coroutine[Any, Any, None]) -> None:
        self._jobs.append(asyncio.ensure_future(job))

    async def send(self, command: Command) -> None:
        self.answers.append(command)

    async def ask(self, *requests: w.WmsRequest) -> list[type]:
        """The kinds of answer to these requests, once all is done that follows from them."""
        before = len(self.answers)
        for request in requests:
            self.warehouse.hear(request)
        await asyncio.gather(*self._jobs)
        return [type(answer) for answer in self.answers[before:]]


async def test_what_is_submitted_is_packed_and_leaves_once_it_is_cleared() -> None:
    desk = Desk()
    assert await desk.ask(SUBMITTED) == [w.ReportAccepted, w.ReportPicked, w.ReportPacked]
    packed = desk.answers[-1]
    assert await desk.ask(cleared(packed.package)) == [w.ReportShipped, w.ReportDelivered]
    assert desk.answers[-2].lines == packed.lines == LINES


async def test_a_parcel_that_it_does_not_know_is_nothing_to_it() -> None:
    assert await Desk().ask(cleared("P1")) == []


async def test_two_parcels_hold_what_was_picked() -> None:
    desk = Desk(stories.PARCELS)
    await desk.ask(SUBMITTED)
    first, second = (a for a in desk.answers if isinstance(a, w.ReportPacked))
    assert first.package != second.package
    assert sum(x.quantity for x in (*first.lines, *second.lines)) == 3


async def test_a_short_pick_says_what_was_found() -> None:
    desk = Desk(stories.SHORT)
    await desk.ask(SUBMITTED)
    picked = desk.answers[1]
    assert (picked.final, bool(picked.short_reason)) == (True, True)
    assert sum(x.quantity for x in picked.lines) == 2


async def test_it_stops_in_time_or_says_that_it_is_too_late() -> None:
    desk = Desk()
    assert await desk.ask(SUBMITTED, STOP) == [w.ReportCancellationAccepted, w.ReportAccepted]
    late = Desk()
    await late.ask(SUBMITTED)
    await late.ask(cleared("P1"))
    assert await late.ask(STOP) == [w.ReportCancellationRejected]
