"""What the pages say of the code is so: the places that they name, the files that they link to, the diagrams."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ops.docs.__main__ import GENERATED, PAGE, page
from ops.docs.__main__ import main as draw

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("services/*/README.md")]
)
PLACES = re.findall(
    r"^\| (.+?) \| `([^`]+)`[^|]* \| `([^`]+)` \|$",
    (ROOT / "docs" / "README.md").read_text(),
    re.MULTILINE,
)
#: Paths of this project in running text, such as `services/order/items.py`.
NAMED = re.compile(
    r"`((?:benchmarks|deploy|docs|ops|requirements|services|shared|tests)/[\w./-]+)`"
)


def test_there_are_places() -> None:
    asked = " ".join(what for what, _, _ in PLACES)
    for word in ("topic declared", "reservation expired", "refund capped"):
        assert word in asked.replace("a refund capped at", "refund capped")


@pytest.mark.parametrize(("what", "path", "name"), PLACES, ids=[x[0] for x in PLACES])
def test_a_named_place_is_there(what: str, path: str, name: str) -> None:
    text = (ROOT / path).read_text()
    if path.endswith(".py"):
        defined = rf"^\s*(?:async )?(?:def|class) {name}\b|^{name}\b.*=|\b{name}="
        assert re.search(defined, text, re.MULTILINE), f"{path} has no {name}"
    else:
        assert name in text


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(path: Path) -> None:
    text = path.read_text()
    for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
        assert (path.parent / link).exists(), f"{path.name} links to {link}"
    for named in NAMED.findall(text):
        assert (ROOT / named).exists(), f"{path.name} names {named}"


def test_the_diagrams_are_drawn_from_the_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, parts in GENERATED.items():
        assert page(path.read_text(), parts) == path.read_text()
    text, drawn = PAGE.read_text(), GENERATED[PAGE]
    stale = tmp_path / "architecture.md"
    stale.write_text(text.replace("order --> oms_order_events", "order --> oms_stale"))
    assert draw(["--check"], {stale: drawn}) == 1
    assert "python -m ops.docs" in capsys.readouterr().out
    assert draw([], {stale: drawn}) == 0
    assert stale.read_text() == text
    with pytest.raises(ValueError, match="generated: topics"):
        page("no place for it", drawn)
    assert draw(["--nonsense"], {stale: drawn}) == 2
