"""A short simulation, and what makes it worth something: the same seed gives the same run, and bugs are caught."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys

import pytest
from rich.console import Console

from tests.simulation.chaos import KINDS
from tests.simulation.loop import Deadlock, SimLoop, run
from tests.simulation.many import Case, shrunk, simulate
from tests.simulation.mutants import planted
from tests.simulation.running import play

SEEDS = 24
BUGS = ("no_watermark", "no_chain_check", "float_money", "released_twice", "parcel_leaves_unpaid")


def _tool(module: str, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_no_seed_breaks_an_invariant():
    done = _tool("tests.simulation", "--seeds", str(SEEDS), "--orders", "12", "--regressions")
    last = done.stdout.splitlines()[-1]
    found = re.fullmatch(r"seeds=(\d+) violations=(\d+) faults=(\d+) kinds=(\d+)", last)
    assert found, done.stderr
    seeds, violations, faults, kinds = map(int, found.groups())
    assert (done.returncode, violations) == (0, 0), done.stdout
    assert seeds > SEEDS
    assert faults > SEEDS
    assert kinds == len(KINDS), "every kind of fault has struck"


def test_planted_bugs_are_caught_and_the_code_as_it_is_is_not_accused():
    args = ("--only", ",".join(BUGS), "--seeds", "20", "--clean", "2")
    done = _tool("tests.simulation.hunting", *args)
    assert done.stdout.splitlines()[-1] == f"planted={len(BUGS)} caught={len(BUGS)} false_alarms=0"
    assert done.returncode == 0


@pytest.mark.parametrize("seed", [1, 9])
def test_the_same_seed_gives_the_same_run(seed):
    first, second = play(seed, 6), play(seed, 6)
    assert first == second
    assert first.digest != play(seed + 1, 6).digest


def test_a_seed_that_breaks_is_told_with_one_command(capsys):
    with planted("no_watermark"):
        assert simulate([Case(0, 4)], 1, Console()) > 0
    out = capsys.readouterr().out
    assert re.search(r"^make sim SEED=0 ORDERS=\d+ KINDS=[a-z_,]+$", out, re.MULTILINE)


def test_shrinking_keeps_what_is_needed():
    def fails(case: Case) -> bool:
        return {"crash", "twin"} <= set(case.kinds or ()) and case.orders >= 3

    small = shrunk(Case(7, 20, KINDS), fails)
    assert small == Case(7, 3, ("crash", "twin"))


def test_time_passes_only_when_nobody_has_anything_to_do():
    async def sleeper() -> float:
        await asyncio.sleep(3_600)
        return asyncio.get_running_loop().time()

    assert run(SimLoop(1), sleeper()) == pytest.approx(3_600)


def test_waiting_for_nothing_is_told():
    with pytest.raises(Deadlock):
        run(SimLoop(1), asyncio.Event().wait())
