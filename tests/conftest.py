"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops import stack as local_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local_stack.Stack]:
    """A real Kafka and Postgres for the whole test run, on free ports and in a fresh directory."""
    data = tmp_path_factory.mktemp("stack")
    with local_stack.start(data, ports=local_stack.Ports.free()) as running:
        yield running
