"""Money by the unit is exact, whatever the split."""

from hypothesis import given
from hypothesis import strategies as st

from shared.events import Charge, OrderLine
from shared.events.shares import order_total, shares, spread, units

AMOUNTS = st.integers(0, 10**9)


@given(AMOUNTS, st.lists(AMOUNTS, min_size=1, max_size=20))
def test_spread_adds_up_and_stays_near_the_proportion(amount: int, weights: list[int]) -> None:
    parts = spread(amount, weights)
    assert sum(parts) == amount
    total = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        exact = amount * weight / total if total else amount / len(weights)
        assert abs(part - exact) <= 1 + exact * 1e-9


@given(AMOUNTS, st.lists(st.integers(1, 50), min_size=1, max_size=10))
def test_units_in_any_portions_add_up_to_the_line(amount: int, portions: list[int]) -> None:
    quantity = sum(portions)
    taken, before = 0, 0
    for n in portions:
        part = units(amount, quantity, before, n)
        assert part >= 0
        taken, before = taken + part, before + n
    assert taken == amount


CHARGES = st.builds(
    Charge,
    kind=st.sampled_from(["shipping", "tax", "discount", "fee"]),
    amount=st.integers(0, 10_000),
)
LINES = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 10_000)), min_size=1, max_size=8).map(
    lambda rows: [
        OrderLine(line_id=str(n), sku="S", quantity=q, unit_price=p, total=q * p)
        for n, (q, p) in enumerate(rows)
    ]
)


@given(LINES, st.lists(CHARGES, max_size=4))
def test_lines_cost_the_total_and_give_back_no_more_than_they_cost(lines, charges) -> None:
    total = order_total(lines, charges)
    if total < 0:
        return
    payable, refundable = shares(lines, charges)
    assert sum(payable) == total
    for pays, gives_back in zip(payable, refundable, strict=True):
        assert 0 <= gives_back <= pays
