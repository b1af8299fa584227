"""An audit passes only when somebody has looked at every package."""

from pathlib import Path

import msgspec
import pytest

from ops import audit
from ops.audit import NOT_AUDITED, OK, VULNERABLE, Advisory, Package, judge

FINE = Package("a", "1")
BAD = Package("b", "2", vulns=[Advisory("PYSEC-1", ["2.1"]), Advisory("PYSEC-2")])
UNKNOWN = Package("c", skip_reason="Dependency not found")


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([FINE], OK, "packages=1 advisories=0 not_audited=0"),
        ([FINE, BAD], VULNERABLE, "b 2: PYSEC-1, mended in 2.1"),
        ([FINE, BAD], VULNERABLE, "b 2: PYSEC-2, mended in no version yet"),
        ([FINE, UNKNOWN], NOT_AUDITED, "nothing of 1 of 2 packages (c)"),
        ([UNKNOWN] * 7, NOT_AUDITED, "(c, c, c, c, c and 2 more)"),
        ([BAD, UNKNOWN], VULNERABLE, "NOT AUDITED"),
        ([], NOT_AUDITED, "packages=0"),
    ],
)
def test_what_a_report_means(packages: list[Package], status: int, said: str) -> None:
    verdict = judge(packages)
    assert verdict.status == status
    assert said in "\n".join(verdict.lines)


def tool(tmp_path: Path, output: str) -> str:
    """A tool that says this, and exits with 0 as pip-audit does when it knows nothing."""
    script = tmp_path / "pip-audit"
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
    script.chmod(0o755)
    return str(script)


def test_the_tool_is_not_believed_when_it_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skipped = {"dependencies": [{"name": "c", "skip_reason": "not found"}], "fixes": []}
    silent = tool(tmp_path, msgspec.json.encode(skipped).decode())
    assert audit.main([silent, "one.txt", "two.txt"]) == NOT_AUDITED
    assert "1 of 1" in capsys.readouterr().out
    assert audit.main([tool(tmp_path, "no report"), "one.txt"]) == NOT_AUDITED
    assert "pip-audit failed" in capsys.readouterr().err
