"""``python -m ops.audit PIP-AUDIT REQUIREMENTS…``: are there known vulnerabilities in the pinned packages?

pip-audit counts a package that its advisory service does not know as passed, and exits with 0 when that service knows
none at all. So what it reports is judged here: 0 when every package was looked up and has no advisory, 1 for an advisory,
2 when some package was not looked up.
"""

import subprocess
import sys
from typing import NamedTuple

import msgspec

OK, VULNERABLE, NOT_AUDITED = 0, 1, 2
#: As many packages as are named one by one.
NAMED_MAX = 5


class Advisory(msgspec.Struct):
    """A known vulnerability, and the versions that mend it."""

    id: str
    fix_versions: list[str] = []


class Package(msgspec.Struct):
    """A pinned package; ``skip_reason`` says why it was not looked up."""

    name: str
    version: str = ""
    vulns: list[Advisory] = []
    skip_reason: str = ""


class Report(msgspec.Struct):
    """What pip-audit writes with ``--format json``."""

    dependencies: list[Package]


class Verdict(NamedTuple):
    """Exit status, and the lines that explain it."""

    status: int
    lines: list[str]


def judge(packages: list[Package]) -> Verdict:
    """What a report means."""
    found = [(p, v) for p in packages for v in p.vulns]
    skipped = [p for p in packages if p.skip_reason]
    lines = [
        f"{p.name} {p.version}: {v.id}, mended in {', '.join(v.fix_versions) or 'no version yet'}"
        for p, v in found
    ]
    if skipped or not packages:
        shown = ", ".join(p.name for p in skipped[:NAMED_MAX])
        more = f" and {len(skipped) - NAMED_MAX} more" if len(skipped) > NAMED_MAX else ""
        lines.append(
            f"NOT AUDITED: the advisory service knows nothing of {len(skipped)} of {len(packages)} packages "
            f"({shown}{more}). It must be reachable (https://pypi.org); run make audit again where it is."
        )
    lines.append(f"packages={len(packages)} advisories={len(found)} not_audited={len(skipped)}")
    status = VULNERABLE if found else NOT_AUDITED if skipped or not packages else OK
    return Verdict(status, lines)


def main(arguments: list[str]) -> int:
    """Audit; returns the exit status."""
    tool, *requirements = arguments
    by_name: dict[tuple[str, str], Package] = {}
    for path in requirements:
        command = [tool, "--requirement", path, "--disable-pip", "--require-hashes"]
        run = subprocess.run(
            [*command, "--progress-spinner", "off", "--format", "json"],
            capture_output=True,
            check=False,
        )
        try:
            report = msgspec.json.decode(run.stdout, type=Report)
        except msgspec.MsgspecError:
            said = run.stderr.decode(errors="replace").strip().splitlines()[-3:]
            sys.stderr.write(f"NOT AUDITED: {path}: pip-audit failed: {' '.join(said)}\n")
            return NOT_AUDITED
        by_name |= {(p.name, p.version): p for p in report.dependencies}
    verdict = judge(list(by_name.values()))
    sys.stdout.writelines(f"{line}\n" for line in verdict.lines)
    return verdict.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
