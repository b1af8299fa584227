"""Systems that run once for all tests that judge them: what they told, every record of their topics, and what the
services read of them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.integration.demo.command import oms
from tests.journey.overhear import Overheard, overhearing


@dataclass
class Journey:
    """A demo that has ended."""

    data: Path
    base: int
    told: subprocess.CompletedProcess[str]
    heard: Overheard


def travel(folder: Path, base: int, orders: int = 60) -> Journey:
    """Run the demo to its end, as a process."""
    data = folder / "data"
    with overhearing(base, folder / "reads") as heard:
        told = oms(
            *("demo", "--exit", "--orders", str(orders), "--rate", "100", "--json"),
            *("--data", str(data), "--port-base", str(base)),
            environment=heard.environment,
            timeout_s=400,
        )
    return Journey(data, base, told, heard)
