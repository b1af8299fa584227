"""``python -m tests.contract.consumers.record``: run both systems, and add to every ``expects.json`` what its service read.

Nothing is taken away: a claim that is no longer used is for its owner to remove. A handled type of which nothing was read
gets an empty list: write what its handler needs, or ``*`` when it passes all fields on.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from ops.contracts.consumers import WHOLE, expectations, handled
from ops.contracts.tables import HOME
from tests.journey import travel
from tests.journey.overhear import Reads
from tests.journey.trouble import trouble
from tests.portrange import free_base


def record(*runs: Reads) -> list[str]:
    """Write what was read in the runs; returns what was new, one line for each consumer and type."""
    told = []
    for consumer, types in handled().items():
        before, after = expectations()[consumer], {}
        for tag in (t.tag() for t in types):
            claimed = set(before.get(tag, []))
            read = {path for run in runs for path in run.get(consumer, {}).get(tag, [])}
            after[tag] = sorted((claimed | read) - ({WHOLE} if read else set()))
            if set(after[tag]) != claimed or tag not in before:
                told.append(f"{consumer}: {tag}: {', '.join(after[tag]) or 'nothing was read'}")
        content = msgspec.json.format(msgspec.json.encode(after), indent=2) + b"\n"
        (HOME / consumer / "expects.json").write_bytes(content)
    return told


def main() -> int:
    """Exit status 1 when a run failed."""
    logging.getLogger("aiokafka").setLevel(
        logging.CRITICAL
    )  # it tells of every broker that is not up yet
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "demo").mkdir()
        (folder / "trouble").mkdir()
        demo = travel(folder / "demo", free_base())
        if demo.told.returncode:
            sys.stderr.write(demo.told.stderr)
            return 1
        hard = trouble(folder / "trouble", free_base())
        sys.stdout.writelines(f"{line}\n" for line in record(demo.heard.reads, hard.reads))
    return 0


if __name__ == "__main__":
    sys.exit(main())
