"""Short words for the inventory's messages, so that a scenario fits on a screen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.inventory.domain.messages import ExpireReservation, FillBackorder, WakeBackorder
from services.inventory.handlers import TABLE
from shared.events import Allocation, Event, LineQuantity, StartTimer, StockLine
from shared.events.inventory import (
    AdjustStock,
    CommitReservation,
    ConsumeReservation,
    ReceiveStock,
    ReleaseReservation,
    ReserveStock,
    RestockItems,
    UnitsReserved,
)
from tests.spec import NOON, Scenario, given

HOLD = 900
HELD_UNTIL = NOON + timedelta(seconds=HOLD)


def lines(*skus_and_quantities: Any) -> tuple[LineQuantity, ...]:
    """lines("A", 2, "B", 1): line l1 wants 2 of A, line l2 wants 1 of B."""
    pairs = zip(skus_and_quantities[::2], skus_and_quantities[1::2], strict=True)
    return tuple(
        LineQuantity(line_id=f"l{i}", sku=sku, quantity=n) for i, (sku, n) in enumerate(pairs, 1)
    )


def alloc(line: int, sku: str, location: str, quantity: int) -> Allocation:
    return Allocation(line_id=f"l{line}", sku=sku, location=location, quantity=quantity)


def at(sku: str, location: str, quantity: int) -> StockLine:
    return StockLine(sku=sku, location=location, quantity=quantity)


def of(id: str) -> dict[str, str]:
    """Reservation o1.1 belongs to order o1."""
    return {"reservation_id": id, "order_id": id.partition(".")[0]}


def reserve(id: str, *what: Any, wait: bool = False, hold: int = HOLD) -> ReserveStock:
    policy = "wait" if wait else "refuse"
    return ReserveStock(**of(id), lines=lines(*what), backorder=policy, hold_seconds=hold)  # type: ignore[arg-type]


def commit(id: str, *what: Any) -> CommitReservation:
    return CommitReservation(**of(id), lines=lines(*what))


def release(id: str, *what: Any, location: str = "", release_id: str = "") -> ReleaseReservation:
    return ReleaseReservation(
        **of(id), lines=lines(*what), reason="cancelled", location=location, release_id=release_id
    )


def consume(id: str, package: str, location: str, *what: Any) -> ConsumeReservation:
    return ConsumeReservation(**of(id), lines=lines(*what), package_id=package, location=location)


def expire(id: str, *skus: str) -> ExpireReservation:
    return ExpireReservation(**of(id), skus=skus)


def expiry(id: str, *skus: str) -> StartTimer:
    return StartTimer(name="expire", due_at=HELD_UNTIL, message=expire(id, *skus))


def wake(id: str) -> WakeBackorder:
    return WakeBackorder(**of(id))


def woken(id: str) -> StartTimer:
    return StartTimer(name="wake", due_at=NOON, message=wake(id))


def fill(id: str, *skus: str) -> FillBackorder:
    return FillBackorder(**of(id), skus=skus)


def receive(id: str, *moved: StockLine) -> ReceiveStock:
    return ReceiveStock(movement_id=id, lines=moved, reference="PO-1")


def adjust(id: str, *moved: StockLine) -> AdjustStock:
    return AdjustStock(movement_id=id, lines=moved, reason="counted", actor="ann")


def restock(id: str, *moved: StockLine) -> RestockItems:
    return RestockItems(movement_id=id, lines=moved, return_id="rma-1", order_id="o1")


def units_reserved(id: str, sku: str, *moved: StockLine) -> UnitsReserved:
    return UnitsReserved(sku=sku, reservation_id=id, units=moved)


def stocked(*moved: StockLine) -> Scenario:
    """A service that has received these goods and nothing else."""
    scenario = given(TABLE)
    return scenario.when(receive("initial", *moved)) if moved else scenario


def run_timers(s: Scenario) -> list[Event]:
    """Deliver immediate timers until none is left, as the ledger does; the events that came of it."""
    events: list[Event] = []
    due = [i for i in s.items if isinstance(i, StartTimer) and i.due_at <= NOON]
    while due:
        timer = due.pop(0)
        s.when(timer.message, id=f"timer:{timer.name}")
        events += [i for i in s.items if isinstance(i, Event)]
        due += [i for i in s.items if isinstance(i, StartTimer) and i.due_at <= NOON]
    return events


def level(s: Scenario, sku: str, location: str) -> tuple[int, int, int]:
    """on_hand, reserved, allocated."""
    found = s.state(f"stock-{sku}").levels[location]
    return found.on_hand, found.reserved, found.allocated


def status(s: Scenario, id: str) -> str:
    return s.state(f"reservation-{id}").status  # type: ignore[no-any-return]
