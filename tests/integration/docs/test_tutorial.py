"""The tutorial's commands, run as they stand in one shell against a system of their own; its outputs are what they print."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.demo.command import ROOT, left_over
from tests.portrange import free_base

TUTORIAL = ROOT / "docs" / "tutorial.md"
_BLOCK = re.compile(r"^```bash\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
_END = "-- end of block"


def at(text: str, data: Path, base: int) -> str:
    """The commands for another directory and other ports than the ones of a first try."""
    return re.sub(
        r"127\.0\.0\.1:81(\d\d)", lambda m: f"127.0.0.1:{base + int(m[1])}", text
    ).replace(".oms/", f"{data}/")


def expected(text: str) -> re.Pattern[str]:
    """An output as a pattern: `…` is anything, blanks at line ends do not count."""
    lines = [re.escape(line.rstrip()).replace("…", ".*?") for line in text.strip().splitlines()]
    return re.compile("\n".join(lines), re.DOTALL)


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here: the tutorial is written for it")
    data, base = tmp_path / "data", free_base()
    blocks = _BLOCK.findall(TUTORIAL.read_text())
    script = "set -euo pipefail\n" + "".join(
        f"{at(commands, data, base)}echo '{_END}'\n" for commands, _ in blocks
    )
    try:
        ran = subprocess.run(
            ["bash"],
            input=script,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
            check=False,
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "OMS_DATA": str(data),
                "OMS_PORT_BASE": str(base),
                "OMS_STACK": "embedded",
                "COLUMNS": "100",
            },
        )
        printed = ran.stdout.split(f"{_END}\n")
        assert ran.returncode == 0, ran.stdout
        assert len(printed) == len(blocks) + 1
        for (commands, shown), got in zip(blocks, printed, strict=False):
            clean = "\n".join(line.rstrip() for line in got.strip().splitlines())
            assert expected(shown).fullmatch(clean), f"{commands}\nprinted\n{clean}\nnot\n{shown}"
    finally:
        oms = [sys.executable, "-c", "from ops.cli import main; main()", "down"]
        subprocess.run([*oms, "--data", str(data)], cwd=ROOT, check=False, capture_output=True)
    assert left_over(data, base) == []
