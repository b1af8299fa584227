"""Pains of comparable systems that must be impossible here, by their numbers in the domain's list."""

from __future__ import annotations

from shared.events.inventory import ReservationRejected
from tests.unit.inventory.language import (
    HELD_UNTIL,
    alloc,
    at,
    commit,
    consume,
    expire,
    level,
    lines,
    of,
    receive,
    release,
    reserve,
    restock,
    run_timers,
    status,
    stocked,
)


def test_pain_1_two_buyers_last_unit() -> None:
    s = stocked(at("A", "east", 1)).when(reserve("o1.1", "A", 1))
    s.when(reserve("o2.1", "A", 1)).then(
        ReservationRejected(**of("o2.1"), reason="out_of_stock", shortages=lines("A", 1))
    )
    s.when(commit("o2.1", "A", 1))
    assert (status(s, "o1.1"), status(s, "o2.1")) == ("held", "rejected")
    assert level(s, "A", "east") == (1, 1, 0)


def test_pain_2_bundle_lines_sharing_a_component() -> None:
    s = stocked(at("BOLT", "east", 7), at("NUT", "east", 9))
    s.when(reserve("o1.1", "BOLT", 4, "NUT", 1, "BOLT", 4))
    assert status(s, "o1.1") == "rejected"
    s.when(reserve("o2.1", "BOLT", 4, "NUT", 1, "BOLT", 3))
    assert level(s, "BOLT", "east") == (7, 7, 0)


def test_pain_3_available_at_one_location_reserved_at_another() -> None:
    s = stocked(at("A", "east", 1), at("A", "west", 3)).when(reserve("o1.1", "A", 2))
    assert s.state("reservation-o1.1").open == (alloc(1, "A", "west", 2),)
    s.when(commit("o1.1", "A", 2)).when(consume("o1.1", "p1", "east", "A", 1))
    s.rejected("more_than_open")
    s.when(consume("o1.1", "p1", "west", "A", 2))
    assert (level(s, "A", "east"), level(s, "A", "west")) == ((1, 0, 0), (1, 0, 0))


def test_pain_4_a_shopper_blocked_by_his_own_hold() -> None:
    s = stocked(at("A", "east", 1)).when(reserve("o1.1", "A", 1))
    s.when(reserve("o1.1", "A", 1)).nothing()
    assert (status(s, "o1.1"), level(s, "A", "east")) == ("held", (1, 1, 0))
    s.when(expire("o1.1", "A"), at=HELD_UNTIL).when(reserve("o1.2", "A", 1), at=HELD_UNTIL)
    assert (status(s, "o1.2"), level(s, "A", "east")) == ("held", (1, 1, 0))


def test_pain_6_cancelling_never_gives_back_more_than_is_held() -> None:
    s = stocked(at("A", "east", 5)).when(reserve("o1.1", "A", 2)).when(reserve("o2.1", "A", 2))
    s.when(commit("o1.1", "A", 2)).when(consume("o1.1", "p1", "east", "A", 1))
    for _ in range(3):
        s.when(release("o1.1", "A", 99))
    assert level(s, "A", "east") == (4, 2, 0)
    for _ in range(3):
        s.when(release("o2.1", "A", 2))
    assert level(s, "A", "east") == (4, 0, 0)


def test_pain_13_restock_fills_backorders_first_in_first_out_and_says_so() -> None:
    s = stocked(at("A", "east", 1)).when(reserve("o1.1", "A", 1)).when(commit("o1.1", "A", 1))
    s.when(consume("o1.1", "p1", "east", "A", 1))
    s.when(reserve("o2.1", "A", 1, wait=True)).when(reserve("o3.1", "A", 1, wait=True))
    s.when(restock("m1", at("A", "east", 1)))
    run_timers(s)
    assert (status(s, "o2.1"), status(s, "o3.1")) == ("held", "backordered")
    s.when(reserve("o4.1", "A", 1)).when(receive("m2", at("A", "west", 1)))
    run_timers(s)
    assert (status(s, "o3.1"), status(s, "o4.1")) == ("held", "rejected")
    kinds = [type(e).__name__ for e in s.log["stock-A"]]
    assert kinds.count("BackorderQueued") == kinds.count("BackorderLeft") == 2


def test_pain_5_one_order_on_two_roads_is_one_reservation_one_commit_one_shipment() -> None:
    s = stocked(at("A", "east", 9))
    for _ in range(2):
        s.when(reserve("o1.1", "A", 2))
    for _ in range(2):
        s.when(commit("o1.1", "A", 2))
    assert level(s, "A", "east") == (9, 0, 2)
    for _ in range(2):
        s.when(consume("o1.1", "p1", "east", "A", 2))
    assert level(s, "A", "east") == (7, 0, 0)
