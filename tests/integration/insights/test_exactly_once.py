"""Insights on a real Kafka: killed, rebalanced, stopped and woken, short of records, rebuilt; their totals equal a recount."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.insights import prove
from ops import stack as local_stack
from ops.stack import Stack

pytestmark = pytest.mark.slow

EVENTS = 3000


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own: the insights read the topics of the house, so nobody else may write to them."""
    data = tmp_path_factory.mktemp("insights")
    with local_stack.start(data, ports=local_stack.Ports.free()) as running:
        yield running


async def test_totals_equal_a_recount_whatever_happens_to_the_workers_and_the_topics(
    broker: Stack, tmp_path: Path
) -> None:
    outcome = await prove(broker.kafka, tmp_path, EVENTS, seconds=240, rebuild=True)
    assert outcome.missing > 0
    assert outcome.restarts >= 1, "the worker that stood still went on"
    assert outcome.compared > 1000
    assert outcome.differences == []
    assert outcome.rebuilt == []
