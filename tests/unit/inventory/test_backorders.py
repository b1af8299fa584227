from __future__ import annotations

import pytest

from shared.events import Command, StartTimer
from shared.events.inventory import BackorderLeft, StockReserved
from tests.spec import NOON, Scenario
from tests.unit.inventory.language import (
    HELD_UNTIL,
    adjust,
    alloc,
    at,
    commit,
    expire,
    expiry,
    fill,
    level,
    of,
    receive,
    release,
    reserve,
    restock,
    run_timers,
    status,
    stocked,
    units_reserved,
    wake,
    woken,
)


def timers(s: Scenario) -> list[object]:
    return [i for i in s.items if isinstance(i, StartTimer) and i.name == "wake"]


def line_of(s: Scenario, sku: str) -> list[str]:
    return [w.reservation_id for w in s.state(f"stock-{sku}").waiting]


def test_a_receipt_wakes_as_many_as_the_free_units_reach_in_order() -> None:
    s = stocked(at("A", "east", 1))
    for i, n in enumerate((3, 2, 4, 1), 1):
        s.when(reserve(f"o{i}.1", "A", n, wait=True))
    s.when(receive("m1", at("A", "east", 4)))
    assert timers(s) == [woken("o1.1"), woken("o2.1")]
    s.when(receive("m2", at("A", "west", 4)))
    assert timers(s) == [woken("o3.1")], "who was in reach before has been woken before"


def test_a_woken_reservation_is_granted_with_all_its_streams() -> None:
    s = stocked(at("A", "east", 1), at("B", "west", 1))
    s.when(reserve("o1.1", "A", 3, "B", 1, wait=True)).when(receive("m1", at("A", "east", 2)))
    s.when(wake("o1.1")).then(StartTimer(name="fill", due_at=NOON, message=fill("o1.1", "A", "B")))
    s.when(fill("o1.1", "A", "B")).then(
        StockReserved(
            **of("o1.1"),
            allocations=(alloc(1, "A", "east", 3), alloc(2, "B", "west", 1)),
            expires_at=HELD_UNTIL,
        ),
        units_reserved("o1.1", "A", at("A", "east", 3)),
        units_reserved("o1.1", "B", at("B", "west", 1)),
        expiry("o1.1", "A", "B"),
        BackorderLeft(sku="A", reservation_id="o1.1", quantity=3, filled=True),
        BackorderLeft(sku="B", reservation_id="o1.1", quantity=1, filled=True),
    )
    assert line_of(s, "A") == line_of(s, "B") == []
    s.when(fill("o1.1", "A", "B")).nothing()
    s.when(wake("o1.1")).nothing()


def test_a_reservation_that_still_lacks_another_sku_keeps_its_place_and_its_claim() -> None:
    s = stocked(at("A", "east", 1), at("B", "west", 1))
    s.when(reserve("o1.1", "A", 3, "B", 2, wait=True)).when(reserve("o2.1", "A", 2, wait=True))
    s.when(receive("m1", at("A", "east", 3)))
    assert run_timers(s) == []
    assert (status(s, "o1.1"), status(s, "o2.1")) == ("backordered", "backordered")
    s.when(receive("m2", at("B", "west", 1)))
    run_timers(s)
    assert (status(s, "o1.1"), status(s, "o2.1")) == ("held", "backordered")
    s.when(receive("m3", at("A", "west", 1)))
    run_timers(s)
    assert (status(s, "o2.1"), level(s, "A", "west")) == ("held", (1, 1, 0))


def test_a_later_one_whose_share_is_there_need_not_wait_for_an_earlier_one_that_lacks_others() -> (
    None
):
    s = stocked(at("A", "east", 1), at("B", "west", 1))
    s.when(reserve("o1.1", "A", 2, "B", 9, wait=True)).when(reserve("o2.1", "A", 1, wait=True))
    s.when(receive("m1", at("A", "east", 2)))
    run_timers(s)
    assert (status(s, "o1.1"), status(s, "o2.1")) == ("backordered", "held")
    assert s.state("stock-A").covers("o1.1"), "the earlier one's units are still there for it"


def waiting_behind_a_hold() -> Scenario:
    """o1.1 holds the only two units of A; o2.1 waits for two."""
    s = stocked(at("A", "east", 2)).when(reserve("o1.1", "A", 2))
    return s.when(reserve("o2.1", "A", 2, wait=True))


@pytest.mark.parametrize(
    ("event", "late"),
    [
        (receive("m1", at("A", "west", 2)), False),
        (adjust("m1", at("A", "east", 2)), False),
        (restock("m1", at("A", "east", 2)), False),
        (release("o1.1", "A", 2), False),
        (expire("o1.1", "A"), True),
        (commit("o1.1", "A", 2), True),
    ],
    ids=lambda x: type(x).__name__,
)
def test_whatever_frees_units_fills_the_line(event: Command, late: bool) -> None:
    s = waiting_behind_a_hold().when(event, at=HELD_UNTIL if late else NOON)
    assert [t.message for t in timers(s)] == [wake("o2.1")]  # type: ignore[attr-defined]
    s.when(wake("o2.1")).when(fill("o2.1", "A"))
    assert status(s, "o2.1") == "held"


def test_releasing_committed_units_fills_the_line_too() -> None:
    s = waiting_behind_a_hold().when(commit("o1.1", "A", 2)).when(release("o1.1", "A", 2))
    run_timers(s)
    assert status(s, "o2.1") == "held"


def test_one_who_gives_up_lets_those_behind_move_up() -> None:
    s = stocked(at("A", "east", 2)).when(reserve("o1.1", "A", 5, wait=True))
    s.when(reserve("o2.1", "A", 2, wait=True)).when(release("o1.1", "A", 5))
    assert timers(s) == [woken("o2.1")]
    run_timers(s)
    assert status(s, "o2.1") == "held"


def test_a_count_that_drops_and_rises_again_wakes_again() -> None:
    s = stocked(at("A", "east", 3), at("B", "east", 1))
    s.when(reserve("o1.1", "A", 3, "B", 2, wait=True)).when(adjust("m1", at("A", "east", -1)))
    s.when(receive("m2", at("B", "east", 1)))
    assert run_timers(s) == []
    s.when(adjust("m3", at("A", "east", 1)))
    run_timers(s)
    assert status(s, "o1.1") == "held"


def test_a_woken_reservation_that_was_released_meanwhile_is_left_alone() -> None:
    s = stocked(at("A", "east", 1)).when(reserve("o1.1", "A", 2, wait=True))
    s.when(receive("m1", at("A", "east", 1))).when(release("o1.1", "A", 2))
    s.when(wake("o1.1")).nothing()
    s.when(fill("o1.1", "A")).nothing()


def test_a_long_line_is_woken_once_each_and_not_again_by_every_fill() -> None:
    s = stocked(at("A", "east", 1))
    for i in range(300):
        s.when(reserve(f"o{i}.1", "A", 2, wait=True))
    s.when(receive("m1", at("A", "east", 599)))
    assert len(timers(s)) == 300
    for i in range(300):
        s.when(fill(f"o{i}.1", "A"))
        assert timers(s) == []
    assert (line_of(s, "A"), level(s, "A", "east")) == ([], (600, 600, 0))
