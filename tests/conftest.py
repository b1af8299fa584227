"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops import stack as local_stack
from tests import journey as journeys
from tests.journey import Journey
from tests.journey.overhear import Overheard
from tests.journey.trouble import trouble as hard_day
from tests.portrange import free_base


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local_stack.Stack]:
    """A real Kafka and Postgres for the whole test run, on free ports and in a fresh directory."""
    data = tmp_path_factory.mktemp("stack")
    with local_stack.start(data, ports=local_stack.Ports.free()) as running:
        yield running


@pytest.fixture(scope="session")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """A demo that was run to its end, once for all tests."""
    return journeys.travel(tmp_path_factory.mktemp("journey"), free_base())


@pytest.fixture(scope="session")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> Overheard:
    """A system on which everything went wrong that seldom does, and which has ended."""
    return hard_day(tmp_path_factory.mktemp("trouble"), free_base())
