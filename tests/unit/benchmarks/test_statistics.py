import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.space import per_order
from benchmarks.statistics import Run, percentile, rate, summary


def test_nearest_rank() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert [percentile(values, s) for s in (0.01, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert percentile([7.0], 0.5) == 7.0
    assert percentile([1.0, 2.0], 0.5) == 1.0


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.floats(0.001, 1))
def test_a_percentile_is_a_value_with_that_share_at_or_below_it(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(v <= found for v in values) >= share * len(values) - 1e-6


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.1)])
def test_no_values_and_no_share_are_errors(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match=r"no values|not within"):
        percentile(values, share)


def test_summary() -> None:
    assert summary([3.0, 1.0, 2.00049]) == {
        "count": 3,
        "p50": 2.0,
        "p95": 3.0,
        "p99": 3.0,
        "max": 3.0,
    }


def test_a_longer_run_weighs_more() -> None:
    assert rate([Run(100, 1.0), Run(100, 3.0)]) == 50.0
    with pytest.raises(ValueError, match="no time has passed"):
        rate([])


def test_growth_is_per_order_and_service() -> None:
    assert per_order({"a": 1000, "b": 500}, {"a": 3000, "b": 500}, 100) == {"a": 20.0, "b": 0.0}
