"""The shares recomputed here and the order service's own agree: two programs, one answer."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from ops.reconcile.totals import largest_remainder, part, shares
from shared.events import Address, Charge, Customer, OrderLine
from shared.events import shares as theirs
from shared.events.order import OrderPlaced

LINES = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 10_000)), max_size=8)
CHARGES = st.lists(
    st.tuples(st.sampled_from(["shipping", "tax", "discount", "fee"]), st.integers(0, 5_000)),
    max_size=5,
)


def placed(lines: list[tuple[int, int]], charges: list[tuple[str, int]]) -> OrderPlaced:
    return OrderPlaced(
        order_id="1",
        channel="web",
        external_id="1",
        currency="GBP",
        lines=tuple(
            OrderLine(line_id=str(n), sku="A", quantity=q, unit_price=p, total=q * p)
            for n, (q, p) in enumerate(lines)
        ),
        charges=tuple(Charge(kind=k, amount=a) for k, a in charges),  # type: ignore[arg-type]
        total=0,
        customer=Customer(),
        ship_to=Address(),
        payment_method="",
        backorder="refuse",
        placed_at=datetime(2026, 1, 5, tzinfo=UTC),
    )


@given(LINES, CHARGES)
def test_the_same_costs_and_refunds(
    lines: list[tuple[int, int]], charges: list[tuple[str, int]]
) -> None:
    m = placed(lines, charges)
    if theirs.order_total(m.lines, m.charges) < 0:
        return  # such an order is not accepted
    assert shares(m) == theirs.shares(m.lines, m.charges)


@given(st.integers(0, 10**9), st.integers(1, 1_000), st.data())
def test_parts_add_up_to_the_whole(amount: int, quantity: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, quantity))
    first, rest = part(amount, quantity, 0, cut), part(amount, quantity, cut, quantity - cut)
    assert first + rest == amount
    assert first == theirs.units(amount, quantity, 0, cut)


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=1, max_size=9))
def test_largest_remainders_add_up(amount: int, weights: list[int]) -> None:
    assert largest_remainder(amount, weights) == theirs.spread(amount, weights)
