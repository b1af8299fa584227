"""A run is decided beforehand: the same seed tells the same stories, and every order has an end that it must reach."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.demo import stories
from ops.demo.catalogue import AUTOMATIC, PRODUCTS, STAFFED
from ops.demo.plan import WAITING_TOGETHER, make_plan
from ops.demo.stories import STORIES, End, shared_out

HOME = {p.sku: p.location for p in PRODUCTS}
SIZES = st.integers(1, 400)
SEEDS = st.integers(0, 2**31)


@given(orders=SIZES, seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_the_same_seed_gives_the_same_plan(orders: int, seed: int) -> None:
    assert make_plan(orders, seed, "R") == make_plan(orders, seed, "R")


def test_another_seed_gives_another_plan_and_another_run_other_numbers() -> None:
    first = make_plan(50, 1, "A")
    assert [o.story for o in first.orders] != [o.story for o in make_plan(50, 2, "A").orders]

    again = make_plan(50, 1, "B")
    assert [o.story for o in first.orders] == [o.story for o in again.orders]
    assert not {o.order_id for o in first.orders} & {o.order_id for o in again.orders}


@given(orders=st.integers(1, 5_000))
def test_stories_are_shared_out_whole_and_each_once_if_they_fit(orders: int) -> None:
    told = shared_out(orders)
    assert len(told) == orders
    counts = Counter(told)
    assert len(counts) == min(orders, len(STORIES))
    if orders >= 1_000:
        total = sum(s.share for s in STORIES)
        for story in STORIES:
            assert counts[story] == pytest.approx(orders * story.share / total, abs=15)


@given(orders=SIZES, seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_every_order_can_reach_its_end(orders: int, seed: int) -> None:
    """Stock decides: what is not received can't be completed, what is must not run out."""
    plan = make_plan(orders, seed, "R")
    stock = Counter[str]()
    for lines in plan.opening_stock().values():
        stock.update({x.sku: x.quantity for x in lines})
    receipts = Counter({sku: x.quantity for sku, x in plan.receipts().items()})
    wanted = Counter[str]()
    for order in plan.orders:
        skus = [line.sku for line in order.command.lines]
        match order.story:
            case stories.SOLD_OUT:
                assert order.command.backorder == "refuse"
                assert any(sku not in stock and sku not in receipts for sku in skus)
            case stories.GIVES_UP:
                assert order.command.backorder == "wait"
                assert all(sku not in stock and sku not in receipts for sku in skus)
            case stories.BACKORDER:
                assert order.command.backorder == "wait"
                assert order.order_id in plan.awaited[skus[0]]
            case _:
                assert all(sku in stock for sku in skus)
        wanted.update({line.sku: line.quantity for line in order.command.lines})
    for sku, quantity in stock.items():
        assert wanted[sku] < quantity
    for sku, quantity in receipts.items():
        assert wanted[sku] == quantity
    assert all(1 <= len(ids) <= WAITING_TOGETHER for ids in plan.awaited.values())
    assert {p.sku for p in plan.products()} >= wanted.keys()


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_stories_have_the_goods_that_they_need(seed: int) -> None:
    for order in make_plan(120, seed, "R").orders:
        homes = {HOME.get(line.sku, STAFFED[0]) for line in order.command.lines}
        units = sum(line.quantity for line in order.command.lines)
        match order.story:
            case stories.SPLIT:
                assert len(homes) == 2
            case stories.AUTOMATIC:
                assert homes == {AUTOMATIC}
            case stories.PARCELS | stories.SHORT:
                assert units >= 2
                assert len(homes) == 1
            case stories.RETURN | stories.RETURN_SCRAP:
                assert len(homes) == 1
                assert AUTOMATIC not in homes


def test_only_races_have_more_than_one_right_end() -> None:
    for story in STORIES:
        assert story.expected in story.ends
        if len(story.ends) > 1:
            assert story.ends == {End.CANCELLED, End.COMPLETED}
            assert "races" in story.note
