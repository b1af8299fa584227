"""The pinned packages: each has a reason, a hash, and no address that ties it to one index."""

import re
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[3] / "requirements"


@pytest.mark.parametrize("name", ["runtime.in", "dev.in", "tools.in", "chaos.in"])
def test_every_package_has_a_reason(name: str) -> None:
    lines = (REQUIREMENTS / name).read_text().splitlines()
    packages = [line for line in lines if line and not line.startswith(("#", "-"))]

    assert packages
    assert [line for line in packages if not re.search(r" # \w.{8,}", line)] == []


@pytest.mark.parametrize("name", ["runtime.txt", "dev.txt", "tools.txt", "chaos.txt"])
def test_every_pin_has_a_hash_and_no_address(name: str) -> None:
    text = (REQUIREMENTS / name).read_text()
    pins = re.split(r"\n(?=[a-z0-9])", text)

    assert [pin.split()[0] for pin in pins if "--hash=sha256:" not in pin] == []
    assert re.findall(r"\S*(?:://|--index-url|--find-links|--extra-index)\S*", text) == []


def test_tests_run_with_the_very_packages_that_are_shipped() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (REQUIREMENTS / name).read_text(), re.MULTILINE))

    assert pins("runtime.txt") <= pins("dev.txt")
