"""Crash points: off by default, once each when marked, and loud about mistakes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.ledger import crashpoints

ROOT = Path(__file__).parents[3]
PASSES = """
from shared.ledger import crashpoints
for n in range(4):
    print(n, flush=True)
    crashpoints.reach(crashpoints.BEFORE_COMMIT)
"""


def run(**env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PASSES],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_nothing_happens_without_a_plan() -> None:
    assert run().returncode == 0
    crashpoints.reach(crashpoints.AFTER_COMMIT)


def test_the_process_dies_at_the_pass_that_was_planned_and_only_once(tmp_path: Path) -> None:
    plan = {"OMS_CRASH_AT": "before_commit:3", "OMS_CRASH_MARKS": str(tmp_path)}
    first = run(**plan)
    assert (first.returncode, first.stdout.split()) == (-signal.SIGKILL, ["0", "1", "2"])
    assert run(**plan).returncode == 0


@pytest.mark.parametrize(
    "text", ["nowhere:1", "before_commit", "before_commit:0", "before_commit:x"]
)
def test_a_plan_that_cannot_work_is_refused_with_the_labels(text: str) -> None:
    with pytest.raises(ValueError, match="before_commit, after_commit_before_publish"):
        crashpoints._plan(text, "")
