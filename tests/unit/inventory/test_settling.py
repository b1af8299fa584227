from __future__ import annotations

from datetime import timedelta

import pytest

from shared.events import CancelTimer, StartTimer
from shared.events.inventory import (
    BackorderLeft,
    CommitRefused,
    ReservationCommitted,
    ReservationConsumed,
    ReservationExpired,
    ReservationReleased,
    UnitsAllocated,
    UnitsReleased,
    UnitsShipped,
)
from tests.spec import NOON, Scenario
from tests.unit.inventory.language import (
    HELD_UNTIL,
    alloc,
    at,
    commit,
    consume,
    expire,
    expiry,
    level,
    of,
    release,
    reserve,
    run_timers,
    status,
    stocked,
)

NO_EXPIRY = CancelTimer(subject="reservation-o1.1", name="expire")
OPEN = (alloc(1, "A", "east", 3), alloc(2, "B", "east", 1), alloc(2, "B", "west", 1))


def held() -> Scenario:
    """o1.1 holds 3 of A in the east and 2 of B split over east and west."""
    s = stocked(at("A", "east", 5), at("B", "east", 1), at("B", "west", 1))
    return s.when(reserve("o1.1", "A", 3, "B", 2))


def committed() -> Scenario:
    return held().when(commit("o1.1", "A", 3, "B", 2))


def answer(open_units: int = 0, *taken: object, paid: bool = False, id: str = "") -> object:
    return ReservationReleased(
        **of("o1.1"),
        reason="cancelled",
        allocations=taken,  # type: ignore[arg-type]
        committed=paid,
        open_units=open_units,
        release_id=id,
    )


def refused(reason: str) -> CommitRefused:
    return CommitRefused(**of("o1.1"), reason=reason)  # type: ignore[arg-type]


# Commit


def test_a_held_reservation_is_committed_and_no_longer_expires() -> None:
    s = held().when(commit("o1.1", "A", 3, "B", 2))
    s.then(
        ReservationCommitted(**of("o1.1"), allocations=OPEN),
        UnitsAllocated(sku="A", reservation_id="o1.1", units=(at("A", "east", 3),)),
        UnitsAllocated(
            sku="B", reservation_id="o1.1", units=(at("B", "east", 1), at("B", "west", 1))
        ),
        NO_EXPIRY,
    )
    assert level(s, "A", "east") == (5, 0, 3)
    s.when(commit("o1.1", "A", 3, "B", 2)).nothing()
    s.when(expire("o1.1", "A", "B"), at=HELD_UNTIL).nothing()


def test_a_commit_at_the_moment_of_expiry_is_too_late_whether_or_not_the_timer_fired() -> None:
    s = held().when(commit("o1.1", "A", 3, "B", 2), at=HELD_UNTIL)
    s.then(
        ReservationExpired(**of("o1.1"), allocations=OPEN),
        UnitsReleased(sku="A", reservation_id="o1.1", units=(at("A", "east", 3),), committed=False),
        UnitsReleased(
            sku="B",
            reservation_id="o1.1",
            units=(at("B", "east", 1), at("B", "west", 1)),
            committed=False,
        ),
        NO_EXPIRY,
    )
    assert level(s, "A", "east") == (5, 0, 0)


def test_a_commit_just_before_expiry_is_in_time() -> None:
    s = held().when(commit("o1.1", "A", 3, "B", 2), at=HELD_UNTIL - timedelta(microseconds=1))
    assert status(s, "o1.1") == "committed"


def test_a_commit_of_an_ended_reservation_is_refused_once_so_that_the_order_learns_of_it() -> None:
    s = held().when(expire("o1.1", "A", "B"), at=HELD_UNTIL)
    s.when(commit("o1.1", "A", 3, "B", 2)).then(refused("expired"))
    s.when(commit("o1.1", "A", 3, "B", 2)).nothing()
    held().when(release("o1.1", "A", 3, "B", 2)).when(commit("o1.1")).then(refused("released"))
    stocked().when(reserve("o1.1", "A", 1)).when(commit("o1.1")).then(refused("rejected"))


def test_a_commit_of_a_waiting_reservation_is_refused_and_it_keeps_its_place() -> None:
    s = stocked(at("A", "east", 1)).when(reserve("o1.1", "A", 2, wait=True))
    s.when(commit("o1.1", "A", 2)).then(refused("backordered"))
    assert status(s, "o1.1") == "backordered"


def test_a_commit_of_a_reservation_nobody_asked_for_closes_it() -> None:
    s = stocked(at("A", "east", 1)).when(commit("o1.1", "A", 1)).then(refused("unknown"))
    s.when(commit("o1.1", "A", 1)).nothing()
    s.when(reserve("o1.1", "A", 1)).nothing()


def test_a_late_copy_of_a_granted_commit_says_nothing_about_what_came_after() -> None:
    s = committed().when(release("o1.1", "A", 3, "B", 2))
    s.when(commit("o1.1", "A", 3, "B", 2)).nothing()


def test_a_commit_that_names_no_lines_is_handled_with_the_lines_of_the_reservation() -> None:
    s = held().when(commit("o1.1"))
    again = commit("o1.1", "A", 3)
    assert [type(i) for i in s.items] == [StartTimer]
    assert type(s.items[0].message) is type(again)  # type: ignore[union-attr]
    run_timers(s)
    assert status(s, "o1.1") == "committed"


# Consume


def test_packages_consume_until_nothing_is_open() -> None:
    s = committed().when(consume("o1.1", "p1", "east", "A", 2, "B", 1))
    s.then(
        ReservationConsumed(
            **of("o1.1"),
            package_id="p1",
            allocations=(alloc(1, "A", "east", 2), alloc(2, "B", "east", 1)),
            open_units=2,
        ),
        UnitsShipped(sku="A", reservation_id="o1.1", units=(at("A", "east", 2),), package_id="p1"),
        UnitsShipped(sku="B", reservation_id="o1.1", units=(at("B", "east", 1),), package_id="p1"),
    )
    assert (level(s, "A", "east"), status(s, "o1.1")) == ((3, 0, 1), "committed")
    s.when(consume("o1.1", "p2", "west", "A", 0, "B", 1))
    s.when(consume("o1.1", "p3", "east", "A", 1))
    assert (level(s, "A", "east"), status(s, "o1.1")) == ((2, 0, 0), "consumed")


def test_a_package_counts_once_before_and_after_the_reservation_is_consumed() -> None:
    s = committed().when(consume("o1.1", "p1", "east", "A", 1))
    s.when(consume("o1.1", "p1", "east", "A", 1)).nothing()
    s.when(consume("o1.1", "p2", "east", "A", 2, "B", 1))
    s.when(consume("o1.1", "p3", "west", "A", 0, "B", 1))
    assert status(s, "o1.1") == "consumed"
    s.when(consume("o1.1", "p1", "east", "A", 1)).nothing()
    assert level(s, "A", "east") == (2, 0, 0)


def test_more_than_is_open_is_never_consumed_and_is_not_silent() -> None:
    s = committed().when(consume("o1.1", "p1", "east", "A", 4))
    assert level(s, "A", "east") == (2, 0, 0)
    assert s.items[-1].code == "more_than_open"  # type: ignore[union-attr]
    s.when(consume("o1.1", "p2", "east", "A", 1)).rejected("more_than_open")
    s.when(consume("o1.1", "p3", "mars", "B", 1)).rejected("more_than_open")


def test_only_committed_units_may_leave() -> None:
    held().when(consume("o1.1", "p1", "east", "A", 1)).rejected("not_committed")
    stocked().when(consume("o1.1", "p1", "east", "A", 1)).rejected("not_committed")


# Release


@pytest.mark.parametrize("named", [("A", 3, "B", 2), ()], ids=["named", "everything"])
def test_releasing_a_hold_gives_everything_back_once(named: tuple[object, ...]) -> None:
    s = held().when(release("o1.1", *named))
    run_timers(s)
    assert s.log["reservation-o1.1"][-1] == answer(0, *OPEN)
    assert NO_EXPIRY in s.items
    assert (level(s, "A", "east"), level(s, "B", "west")) == ((5, 0, 0), (1, 0, 0))
    assert status(s, "o1.1") == "released"
    s.when(release("o1.1", *named)).nothing()


def test_releasing_part_of_a_committed_reservation() -> None:
    s = committed().when(release("o1.1", "A", 2, location="east"))
    s.then(
        answer(3, alloc(1, "A", "east", 2), paid=True),
        UnitsReleased(sku="A", reservation_id="o1.1", units=(at("A", "east", 2),), committed=True),
    )
    assert (level(s, "A", "east"), status(s, "o1.1")) == ((5, 0, 1), "committed")
    s.when(release("o1.1", "A", 9)).then_events(
        answer(2, alloc(1, "A", "east", 1), paid=True),  # type: ignore[arg-type]
        UnitsReleased(sku="A", reservation_id="o1.1", units=(at("A", "east", 1),), committed=True),
    )
    s.when(release("o1.1", "A", 1)).nothing()


def test_a_release_at_one_location_leaves_the_others() -> None:
    s = committed().when(release("o1.1", "A", 3, "B", 2, location="west"))
    s.then_includes(answer(4, alloc(2, "B", "west", 1), paid=True))
    assert level(s, "B", "east") == (1, 0, 1)


def test_a_named_partial_release_counts_once() -> None:
    s = committed().when(release("o1.1", "A", 1, release_id="short-1"))
    s.then_includes(answer(4, alloc(1, "A", "east", 1), paid=True, id="short-1"))
    s.when(release("o1.1", "A", 1, release_id="short-1")).nothing()
    s.when(release("o1.1", "A", 1, release_id="short-2"))
    assert level(s, "A", "east") == (5, 0, 1)


def test_what_remains_after_a_shipment_is_released_and_the_reservation_was_consumed() -> None:
    s = committed().when(consume("o1.1", "p1", "east", "A", 3))
    s.when(release("o1.1", "A", 3, "B", 2))
    s.then_includes(answer(0, OPEN[1], OPEN[2], paid=True))
    assert (level(s, "A", "east"), status(s, "o1.1")) == ((2, 0, 0), "consumed")


def test_a_line_of_another_sku_releases_nothing() -> None:
    held().when(release("o1.1", "B", 3)).nothing()


def test_a_waiting_reservation_leaves_every_line() -> None:
    s = stocked(at("A", "east", 1), at("B", "east", 1))
    s.when(reserve("o1.1", "A", 2, "B", 1, wait=True)).when(release("o1.1", "A", 2, "B", 1)).then(
        answer(),
        BackorderLeft(sku="A", reservation_id="o1.1", quantity=2, filled=False),
        BackorderLeft(sku="B", reservation_id="o1.1", quantity=1, filled=False),
    )
    assert s.state("stock-A").waiting == ()
    assert s.state("stock-B").waiting_units == 0
    s.when(release("o1.1", "A", 2, "B", 1)).nothing()


def test_a_waiting_reservation_leaves_the_lines_that_the_release_did_not_name_too() -> None:
    s = stocked(at("A", "east", 1), at("B", "east", 1))
    s.when(reserve("o1.1", "A", 2, "B", 1, wait=True)).when(release("o1.1"))
    run_timers(s)
    assert (status(s, "o1.1"), s.state("stock-B").waiting) == ("released", ())


def test_a_release_always_gets_one_answer_so_that_the_order_can_finish() -> None:
    never = stocked().when(release("o1.1", "A", 1)).then(answer())
    rejected = stocked().when(reserve("o1.1", "A", 1)).when(release("o1.1", "A", 1)).then(answer())
    expired = held().when(expire("o1.1", "A", "B"), at=HELD_UNTIL)
    expired.when(release("o1.1", "A", 3, "B", 2)).then(answer())
    consumed = committed().when(consume("o1.1", "p1", "east", "A", 3, "B", 1))
    consumed.when(consume("o1.1", "p2", "west", "A", 0, "B", 1))
    consumed.when(release("o1.1", "A", 3)).then(answer(paid=True))
    ended = {never: "released", rejected: "rejected", expired: "expired", consumed: "consumed"}
    for s, how in ended.items():
        assert status(s, "o1.1") == how, "an answer is no second end"
        s.when(release("o1.1", "A", 1)).nothing()


# Expiry


def test_the_timer_ends_a_hold_that_nobody_committed() -> None:
    s = held().when(expire("o1.1", "A", "B"), at=HELD_UNTIL)
    s.then_includes(ReservationExpired(**of("o1.1"), allocations=OPEN))
    assert (level(s, "A", "east"), status(s, "o1.1")) == ((5, 0, 0), "expired")
    s.when(expire("o1.1", "A", "B"), at=HELD_UNTIL).nothing()


def test_a_timer_that_fires_before_its_time_is_set_again() -> None:
    held().when(expire("o1.1", "A", "B"), at=NOON).then(expiry("o1.1", "A", "B"))


def test_an_expired_partial_hold_returns_only_what_was_open() -> None:
    s = held().when(release("o1.1", "A", 1))
    s.when(expire("o1.1", "A", "B"), at=HELD_UNTIL)
    assert level(s, "A", "east") == (5, 0, 0)
