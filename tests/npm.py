"""Packages of npm for tests that need one: installed from a committed lock into a folder of the test."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

#: npm's words for a registry that cannot be reached; every other failure is one of ours.
_UNREACHABLE = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET|ENETUNREACH|EHOSTUNREACH"
)


def require_node() -> str:
    """The path of `node`; skips the test, with the reason, where Node and npm are not installed."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        pytest.skip("Node and npm are not installed")
    return node


def install(source: Path, into: Path) -> Path:
    """Copy a package to ``into`` and install what its lock names, by checksum; returns ``node_modules``."""
    require_node()
    for path in source.iterdir():
        if path.is_file():
            shutil.copy(path, into)
    npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    told = subprocess.run(npm, cwd=into, capture_output=True, text=True, timeout=180, check=False)
    if told.returncode and (code := _UNREACHABLE.search(told.stderr)):
        pytest.skip(f"npm cannot reach its registry ({code.group()})")
    assert told.returncode == 0, told.stderr
    return into / "node_modules"
