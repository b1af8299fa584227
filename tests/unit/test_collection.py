"""The names of the tests: two workers share them, so each must find the same ones in the same order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_a_name_holds_no_time_no_chance_and_no_order_of_a_set(
    request: pytest.FixtureRequest,
) -> None:
    here = [item.nodeid for item in request.session.items]
    asked = request.config.args
    later = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *asked],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "20101201", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    chosen = set(here)
    assert [name for name in later if name in chosen] == here
