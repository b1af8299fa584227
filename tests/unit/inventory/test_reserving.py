from __future__ import annotations

import pytest

from services.inventory.domain.limits import (
    HOLD_SECONDS_MAX,
    LINES_MAX,
    QUANTITY_MAX,
    WAITING_MAX,
)
from services.inventory.domain.stock import Stock, Waiting
from services.inventory.handlers import TABLE
from shared.events.inventory import (
    BackorderQueued,
    ItemRegistered,
    RegisterItem,
    ReservationRejected,
    ReserveStock,
    StockBackordered,
    StockReserved,
)
from tests.spec import given
from tests.unit.inventory.language import (
    HELD_UNTIL,
    alloc,
    at,
    expiry,
    level,
    lines,
    of,
    receive,
    release,
    reserve,
    status,
    stocked,
    units_reserved,
)


def test_all_lines_are_held_at_the_first_location_that_has_everything() -> None:
    s = stocked(at("A", "east", 1), at("A", "north", 5), at("B", "north", 5), at("B", "west", 5))
    s.when(reserve("o1.1", "A", 2, "B", 1)).then(
        StockReserved(
            **of("o1.1"),
            allocations=(alloc(1, "A", "north", 2), alloc(2, "B", "north", 1)),
            expires_at=HELD_UNTIL,
        ),
        units_reserved("o1.1", "A", at("A", "north", 2)),
        units_reserved("o1.1", "B", at("B", "north", 1)),
        expiry("o1.1", "A", "B"),
    )
    assert level(s, "A", "north") == (5, 2, 0)


def test_the_same_reservation_is_decided_once() -> None:
    s = stocked(at("A", "east", 5))
    s.when(reserve("o1.1", "A", 2)).when(reserve("o1.1", "A", 2)).nothing()
    s.when(reserve("o2.1", "A", 9)).when(reserve("o2.1", "A", 1)).nothing()
    assert level(s, "A", "east") == (5, 2, 0)


def test_unknown_skus_are_named() -> None:
    stocked(at("A", "east", 5)).when(reserve("o1.1", "A", 1, "X", 2)).then(
        ReservationRejected(
            **of("o1.1"), reason="unknown_sku", shortages=(lines("A", 1, "X", 2)[1],)
        )
    )


def test_a_shortage_is_refused_with_what_each_line_lacks() -> None:
    stocked(at("A", "east", 3), at("B", "east", 9)).when(
        reserve("o1.1", "A", 2, "B", 1, "A", 4)
    ).then(
        ReservationRejected(
            **of("o1.1"), reason="out_of_stock", shortages=(lines("A", 2, "B", 1, "A", 3)[2],)
        )
    )


def test_a_shortage_waits_in_the_line_of_every_sku_and_holds_nothing() -> None:
    s = stocked(at("A", "east", 3), at("B", "east", 9))
    asked = lines("A", 2, "B", 1, "A", 4)
    s.when(reserve("o1.1", "A", 2, "B", 1, "A", 4, wait=True)).then(
        StockBackordered(**of("o1.1"), lines=asked, hold_seconds=900),
        BackorderQueued(sku="A", **of("o1.1"), quantity=6, lines=(asked[0], asked[2])),
        BackorderQueued(sku="B", **of("o1.1"), quantity=1, lines=(asked[1],)),
    )
    assert level(s, "A", "east") == (3, 0, 0)
    assert status(s, "o1.1") == "backordered"


def test_a_registered_sku_that_never_had_stock_can_be_waited_for() -> None:
    s = given(TABLE, ItemRegistered(sku="A", description="Lamp"))
    s.when(reserve("o1.1", "A", 1)).then_includes(
        ReservationRejected(**of("o1.1"), reason="out_of_stock", shortages=lines("A", 1))
    )
    s.when(reserve("o2.1", "A", 1, wait=True))
    assert status(s, "o2.1") == "backordered"


def test_nobody_overtakes_those_who_wait() -> None:
    s = stocked(at("A", "east", 5))
    s.when(reserve("o1.1", "A", 8, wait=True))
    s.when(reserve("o2.1", "A", 1)).then(
        ReservationRejected(**of("o2.1"), reason="out_of_stock", shortages=lines("A", 1))
    )
    s.when(reserve("o3.1", "A", 1, wait=True))
    assert [w.reservation_id for w in s.state("stock-A").waiting] == ["o1.1", "o3.1"]


def test_what_those_who_wait_do_not_need_is_free_for_others() -> None:
    s = stocked(at("A", "east", 5), at("B", "east", 1))
    s.when(reserve("o1.1", "A", 3, "B", 2, wait=True))
    s.when(reserve("o2.1", "A", 3)).then_events(
        ReservationRejected(**of("o2.1"), reason="out_of_stock", shortages=lines("A", 1))
    )
    s.when(reserve("o3.1", "A", 2))
    assert status(s, "o3.1") == "held"


def test_a_full_line_takes_nobody_more() -> None:
    s = given(TABLE, ItemRegistered(sku="A", description=""))
    waiting = tuple(Waiting(f"w{i}.1", f"w{i}", 1) for i in range(WAITING_MAX))
    s.states["stock-A"] = Stock(True, "", {}, waiting, WAITING_MAX)
    s.when(reserve("o1.1", "A", 1, wait=True)).then(
        ReservationRejected(**of("o1.1"), reason="out_of_stock", shortages=lines("A", 1))
    )


def test_a_reservation_that_was_released_first_is_never_granted() -> None:
    s = stocked(at("A", "east", 5))
    s.when(release("o1.1", "A", 1)).when(reserve("o1.1", "A", 1)).nothing()
    assert level(s, "A", "east") == (5, 0, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        reserve("o1.1"),
        reserve("o1.1", "A", 0),
        reserve("o1.1", "A", -1),
        reserve("o1.1", "A", QUANTITY_MAX + 1),
        reserve("o1.1", "A", 1, hold=0),
        reserve("o1.1", "A", 1, hold=HOLD_SECONDS_MAX + 1),
        reserve("o1.1", *["A", 1] * (LINES_MAX + 1)),
        ReserveStock(**of("o1.1"), lines=lines("A", 1) * 2, backorder="refuse", hold_seconds=60),
    ],
    ids=["none", "zero", "negative", "huge", "no hold", "endless hold", "many", "line id twice"],
)
def test_an_impossible_request_is_answered_too(wrong: ReserveStock) -> None:
    stocked(at("A", "east", 5)).when(wrong).then(
        ReservationRejected(**of("o1.1"), reason="invalid", shortages=())
    )


def test_an_invoice_of_the_most_lines_is_one_decision() -> None:
    s = stocked(*[at(f"S{i}", "east", 3) for i in range(500)])
    for movement in range(1, LINES_MAX // 500):
        part = [at(f"S{i}", "east", 3) for i in range(movement * 500, movement * 500 + 500)]
        s.when(receive(f"m{movement}", *part))
    what = [x for i in range(LINES_MAX) for x in (f"S{i}", 3)]
    s.when(reserve("o1.1", *what))
    assert len(s.state("reservation-o1.1").open) == LINES_MAX
    assert s.state("stock-S1999").free == 0


def test_registering_again_changes_nothing_but_a_new_description() -> None:
    s = given(TABLE).when(RegisterItem(sku="A", description="Lamp"))
    s.then(ItemRegistered(sku="A", description="Lamp"))
    s.when(RegisterItem(sku="A", description="Lamp")).nothing()
    s.when(RegisterItem(sku="A")).nothing()
    s.when(RegisterItem(sku="A", description="Desk lamp")).then(
        ItemRegistered(sku="A", description="Desk lamp")
    )
    s.when(RegisterItem(sku="")).rejected("invalid")
