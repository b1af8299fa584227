"""A short day of chaos on the real stack: nothing is lost, doubled, oversold, parked or left unfinished."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.faults import KINDS
from tests.chaos.injector import KILLED
from tests.chaos.playing import play
from tests.chaos.report import write

SECONDS, RATE, SEED = 45, 3, 5
SHORT = {"Postgres crashed", "broker killed", "Postgres resets"}


@pytest.mark.slow
async def test_a_short_day_of_chaos(tmp_path: Path) -> None:
    kinds = tuple(kind for kind in KINDS if kind.name in SHORT)
    shown: list[str] = []
    result = await play(tmp_path / "data", SECONDS, RATE, SEED, shown.append, kinds)
    page = (await write(result, tmp_path)).read_text()
    assert result.good, page
    assert result.accepted == result.planned == SECONDS * RATE
    assert result.gave_up == ()
    injected = {fault.kind for fault in result.injected}
    assert KILLED in injected
    assert injected & SHORT
    assert result.reconciled.not_checked == ()
    assert result.last_line in page
    assert shown
