"""Timelines, causes, stock movements, search terms and words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from services.views.domain.amounts import spread
from services.views.domain.availability import movements
from services.views.domain.terms import normal, phone, terms
from services.views.domain.timeline import Cause, Entry, causes, ordered, outside
from services.views.domain.words import WORDS, summary
from services.views.handlers import PROJECTED
from services.views.pages import elapsed
from services.views.shapes import shape
from shared.events import inventory as i
from tests.unit.views.journey import START, Journey, received


def entry(id: str, cause: str, seconds: float = 0, topic: str = "a", position: int = 1) -> Entry:
    return Entry(
        id=id,
        at=START + timedelta(seconds=seconds),
        service=topic,
        type="t",
        summary=id,
        actor="",
        causation_id=cause,
        correlation_id="",
        topic=topic,
        partition=0,
        offset=0,
        position=position,
        data=msgspec.Raw(b"{}"),
    )


def tree(causes: tuple[Cause, ...] | list[Cause]) -> dict[str, Any]:
    return {c.id: tree(c.leads_to) for c in causes}


def test_a_cause_never_stands_after_its_effect_however_the_clocks_differ() -> None:
    entries = [
        entry("order-1/1", "request:x", 10),
        entry("reservation-1/1", "order-1/1:0", 8, "b"),
        entry("order-1/2", "reservation-1/1", 9, position=2),
    ]
    found = ordered(entries)
    assert [e.id for e in found] == ["order-1/1", "reservation-1/1", "order-1/2"]
    assert [e.seq for e in found] == [1, 2, 3]
    assert [e.parent for e in found] == [None, "order-1/1", "reservation-1/1"]
    assert [e.elapsed_ms for e in found] == [0, 0, 1000]


def test_causes_that_run_in_a_circle_do_not_hang() -> None:
    found = ordered([entry("a/1", "b/1"), entry("b/1", "a/1", 1)])
    assert {e.id for e in found} == {"a/1", "b/1"}
    assert len(found) == 2


def test_the_tree_of_causes_starts_outside() -> None:
    entries = ordered(
        [
            entry("order-1/1", "request:x"),
            entry("reservation-1/1", "order-1/1:0", 1, "b"),
            entry("order-1/2", "effect:pay", 2, position=2),
            entry("order-1/3", "effect:pay", 2, position=3),
            entry("fulfillment-1/1", "request:x:0", 3),
        ]
    )
    found = causes(entries)
    assert tree(found) == {
        "request:x": {"order-1/1": {"reservation-1/1": {}}, "fulfillment-1/1": {}},
        "effect:pay": {"order-1/2": {}, "order-1/3": {}},
    }
    assert [c.kind for c in found] == ["request", "effect"]


@pytest.mark.parametrize(
    ("id", "kind"),
    [("request:1", "request"), ("timer:x:y", "timer"), ("", "unknown"), ("what-ever", "message")],
)
def test_kinds_of_outside_causes(id: str, kind: str) -> None:
    assert outside(id) == kind


def test_stock_adds_up_over_a_journey() -> None:
    sums: dict[tuple[str, str], list[int]] = {}
    said = [received("TEA-01", 10), *Journey().whole().said]
    for one in said:
        for m in movements(one.event):
            row = sums.setdefault((m.sku, m.location), [0, 0, 0])
            for k, n in enumerate((m.on_hand, m.reserved, m.allocated)):
                row[k] += n
    assert sums["TEA-01", "LON"] == [8, 0, 0]
    assert sums["CUP-07", "LON"] == [-1, 0, 0]


@pytest.mark.parametrize(("committed", "column"), [(True, "allocated"), (False, "reserved")])
def test_a_release_gives_back_what_was_held(committed: bool, column: str) -> None:
    j = Journey().placed().reserved()
    released = i.ReservationReleased(
        order_id=j.order_id,
        reservation_id=j.reservation_id,
        reason="",
        allocations=j.allocations(),
        committed=committed,
        open_units=0,
    )
    assert [getattr(m, column) for m in movements(released)] == [-2, -1]


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (1, "1 × TEA-01 back in stock: order cancelled"),
        (0, "Nothing was promised: order cancelled"),
    ],
)
def test_only_what_was_held_goes_back_to_stock(held: int, said: str) -> None:
    j = Journey(quantities=(1,), skus=("TEA-01",))
    released = i.ReservationReleased(
        order_id=j.order_id,
        reservation_id=j.reservation_id,
        reason="order_cancelled",
        allocations=j.allocations()[:held],
        committed=False,
        open_units=0,
    )
    assert summary(released) == said


def test_an_order_is_found_by_what_a_customer_can_say() -> None:
    j = Journey().whole()
    found = {t.kind: t.term for one in j.said for t in terms(one.event)}
    assert found["number"] == "1001"
    assert found["email"] == "ada@example.org"
    assert found["phone"] == "442079460018"
    assert found["name"] == "ada byron"
    assert found["tracking"] == "rm11001gb"
    assert {t.term for t in terms(j.said[0].event) if t.kind == "sku"} == {"tea-01", "cup-07"}


def test_terms_are_compared_folded() -> None:
    assert normal("  ＡDA \t Byron\x00 ") == "ada byron"
    assert phone("(020) 7946-0018") == "02079460018"
    assert phone("INV 12345") == ""


def test_every_projected_event_has_words() -> None:
    assert PROJECTED.keys() <= WORDS.keys()
    for one in Journey().whole().returned([]).said:
        words = summary(one.event)
        assert words
        assert "_" not in words


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [(10, [1, 1, 1], [4, 3, 3]), (1390, [500, 500], [695, 695]), (5, [0, 0], [3, 2]), (0, [], [])],
)
def test_charges_are_spread_by_largest_remainder(
    amount: int, weights: list[int], parts: list[int]
) -> None:
    assert spread(amount, weights) == parts


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (42, "42 ms"),
        (3100, "3.1 s"),
        (250_000, "4 min 10 s"),
        (2 * 3_600_000 + 60_000, "2 h 1 min"),
        (51 * 3_600_000, "2 d 3 h"),
    ],
)
def test_elapsed_times_in_words(ms: int, text: str) -> None:
    assert elapsed(ms) == text


def test_a_state_is_a_shape_and_a_word() -> None:
    assert shape("order", "completed") == ("●", "Completed", "good")
    assert shape("order", "brand_new") == ("○", "Brand new", "idle")
