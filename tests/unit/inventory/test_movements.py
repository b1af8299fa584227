from __future__ import annotations

import pytest

from services.inventory.domain.limits import (
    LINES_MAX,
    LOCATIONS_MAX,
    ON_HAND_MAX,
    QUANTITY_MAX,
)
from services.inventory.handlers import TABLE
from shared.events import Command
from shared.events.inventory import (
    AdjustStock,
    ItemRegistered,
    MovementRecorded,
    StockAdjusted,
    StockReceived,
    StockRestocked,
)
from tests.spec import given
from tests.unit.inventory.language import (
    adjust,
    at,
    commit,
    level,
    receive,
    reserve,
    restock,
    stocked,
)


def test_the_first_receipt_makes_its_skus_known() -> None:
    moved = (at("A", "east", 5), at("B", "west", 2), at("A", "west", 1))
    given(TABLE).when(receive("m1", *moved)).then(
        MovementRecorded(movement_id="m1", kind="receive", lines=moved),
        ItemRegistered(sku="A", description=""),
        ItemRegistered(sku="B", description=""),
        *[
            StockReceived(
                sku=x.sku,
                location=x.location,
                quantity=x.quantity,
                movement_id="m1",
                reference="PO-1",
            )
            for x in moved
        ],
    )


@pytest.mark.parametrize("move", [receive, adjust, restock])
def test_a_movement_counts_once(move: object) -> None:
    s = stocked(at("A", "east", 5)).when(move("m1", at("A", "east", 2)))  # type: ignore[operator]
    s.when(move("m1", at("A", "east", 2))).nothing()  # type: ignore[operator]
    assert level(s, "A", "east") == (7, 0, 0)


def test_a_movement_id_with_other_contents_is_refused() -> None:
    s = stocked(at("A", "east", 5)).when(receive("m1", at("A", "east", 2)))
    s.when(receive("m1", at("A", "east", 3))).rejected("movement_reused")
    s.when(adjust("m1", at("A", "east", 2))).rejected("movement_reused")


def test_an_adjustment_says_who_and_why() -> None:
    s = stocked(at("A", "east", 5)).when(adjust("m1", at("A", "east", -2)))
    s.then_includes(
        StockAdjusted(
            sku="A", location="east", quantity=-2, movement_id="m1", reason="counted", actor="ann"
        )
    )
    unsigned = AdjustStock(movement_id="m2", lines=(at("A", "east", 1),), reason="found")
    s.when(unsigned, actor="warehouse:w1")
    assert s.items[1].actor == "warehouse:w1"  # type: ignore[union-attr]


def test_a_restock_cites_its_return() -> None:
    s = stocked(at("A", "east", 5)).when(restock("m1", at("A", "west", 2)))
    s.then_includes(
        StockRestocked(
            sku="A",
            location="west",
            quantity=2,
            movement_id="m1",
            return_id="rma-1",
            order_id="o1",
        )
    )


def test_lines_of_one_sku_and_location_are_one_movement_of_stock() -> None:
    s = stocked(at("A", "east", 5)).when(restock("m1", at("A", "west", 2), at("A", "west", 3)))
    restocked = [e for e in s.items if isinstance(e, StockRestocked)]
    assert [(e.location, e.quantity) for e in restocked] == [("west", 5)]


def test_an_adjustment_never_goes_below_what_is_promised() -> None:
    s = stocked(at("A", "east", 5)).when(reserve("o1.1", "A", 2)).when(reserve("o2.1", "A", 1))
    s.when(commit("o1.1", "A", 2))
    s.when(adjust("m1", at("A", "east", -3))).rejected("below_promised")
    s.when(adjust("m2", at("A", "east", -2)))
    assert s.state("stock-A").free == 0


def test_the_lines_of_an_adjustment_are_judged_together_and_in_order() -> None:
    s = stocked(at("A", "east", 5))
    s.when(adjust("m1", at("A", "east", -3), at("A", "east", -3))).rejected("below_promised")
    s.when(adjust("m2", at("A", "east", -6), at("A", "east", 6))).rejected("below_promised")
    assert level(s, "A", "east") == (5, 0, 0)


def test_only_a_receipt_introduces_a_sku() -> None:
    stocked().when(adjust("m1", at("A", "east", 1))).rejected("unknown_sku")
    stocked().when(restock("m1", at("A", "east", 1))).rejected("unknown_sku")


@pytest.mark.parametrize(
    "wrong",
    [
        receive("m1"),
        receive("m1", at("A", "east", 0)),
        receive("m1", at("A", "east", -1)),
        receive("m1", at("A", "east", QUANTITY_MAX + 1)),
        receive("m1", at("", "east", 1)),
        receive("m1", at("A", "", 1)),
        receive("m1", at("A", "e" * 101, 1)),
        receive("m1", *[at("A", "east", 1)] * (LINES_MAX + 1)),
        adjust("m1", at("A", "east", 0)),
        adjust("m1", at("A", "east", -QUANTITY_MAX - 1)),
        restock("m1", at("A", "east", -1)),
    ],
    ids=lambda m: f"{type(m).__name__}-{len(m.lines)}",
)
def test_impossible_movements_are_refused(wrong: Command) -> None:
    stocked(at("A", "east", 5)).when(wrong).rejected("invalid")


def test_levels_and_locations_have_limits() -> None:
    s = stocked(at("A", "east", 1))
    most = [at("A", "east", QUANTITY_MAX)] * (ON_HAND_MAX // QUANTITY_MAX)
    s.when(receive("m1", *most)).rejected("too_much")
    places = [at("A", f"l{i}", 1) for i in range(LOCATIONS_MAX)]
    s.when(receive("m2", *places)).rejected("too_many_locations")
    s.when(receive("m3", *places[1:]))
    assert len(s.state("stock-A").levels) == LOCATIONS_MAX
