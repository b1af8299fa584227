from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.inventory.domain.sourcing import fewest_splits, one_location, source
from services.inventory.domain.stock import Level
from shared.events import Allocation
from tests.unit.inventory.language import alloc, lines


def levels(**skus: dict[str, int]) -> dict[str, dict[str, Level]]:
    return {sku: {place: Level(n) for place, n in at.items()} for sku, at in skus.items()}


def sourced(what: tuple[Any, ...], **skus: dict[str, int]) -> tuple[Allocation, ...]:
    asked = lines(*what)
    wanted = Counter[str]()
    for line in asked:
        wanted[line.sku] += line.quantity
    return source(asked, wanted, levels(**skus))


def test_one_location_for_everything_is_best_and_the_first_by_name_wins() -> None:
    assert sourced(("A", 1, "B", 1), A={"z": 9, "m": 1, "a": 9}, B={"z": 9, "m": 1}) == (
        alloc(1, "A", "m", 1),
        alloc(2, "B", "m", 1),
    )


def test_reserved_and_allocated_units_are_not_free() -> None:
    stock = {"A": {"a": Level(9, 5, 4), "b": Level(9, 5, 3)}}
    assert one_location({"A": 1}, stock) == "b"
    assert one_location({"A": 2}, stock) is None


def test_lines_of_one_sku_are_summed_before_a_location_is_chosen() -> None:
    assert sourced(("A", 2, "A", 2), A={"a": 3, "b": 4}) == (
        alloc(1, "A", "b", 2),
        alloc(2, "A", "b", 2),
    )


def test_else_the_location_that_covers_most_lines_comes_first() -> None:
    assert sourced(("A", 1, "B", 1, "C", 1), A={"a": 1, "b": 1}, B={"b": 1}, C={"a": 1}) == (
        alloc(1, "A", "a", 1),
        alloc(2, "B", "b", 1),
        alloc(3, "C", "a", 1),
    )


def test_a_line_that_fits_nowhere_is_split_the_largest_part_first() -> None:
    assert sourced(
        (
            "A",
            7,
        ),
        A={"a": 2, "b": 4, "c": 3},
    ) == (
        alloc(1, "A", "b", 4),
        alloc(1, "A", "c", 3),
    )


def test_a_line_is_not_split_where_one_location_covers_it() -> None:
    assert sourced(("A", 1, "B", 5), A={"a": 1}, B={"a": 3, "b": 5}) == (
        alloc(1, "A", "a", 1),
        alloc(2, "B", "b", 5),
    )


@given(
    what=st.lists(st.tuples(st.sampled_from("AB"), st.integers(1, 5)), min_size=1, max_size=5),
    stock=st.dictionaries(
        st.tuples(st.sampled_from("AB"), st.sampled_from("xyz")), st.integers(0, 12)
    ),
)
def test_every_line_is_covered_exactly_from_what_is_there(
    what: list[tuple[str, int]], stock: dict[tuple[str, str], int]
) -> None:
    asked = lines(*[x for pair in what for x in pair])
    here: dict[str, dict[str, Level]] = {"A": {}, "B": {}}
    for (sku, place), n in stock.items():
        here[sku][place] = Level(n)
    wanted = Counter[str]()
    for sku, n in what:
        wanted[sku] += n
    if any(sum(x.free for x in here[sku].values()) < n for sku, n in wanted.items()):
        return
    for found in (source(asked, wanted, here), fewest_splits(asked, here)):
        per_line, per_place = Counter[str](), Counter[tuple[str, str]]()
        for a in found:
            assert a.quantity > 0
            per_line[a.line_id] += a.quantity
            per_place[a.sku, a.location] += a.quantity
        assert per_line == {line.line_id: line.quantity for line in asked}
        assert all(n <= here[sku][place].free for (sku, place), n in per_place.items())
        assert len({(a.line_id, a.location) for a in found}) == len(found)
