"""``python -m ops.docs [--check]``; see the package."""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ops.docs import diagrams, rights

#: The generated parts of a page, by name.
Parts = Mapping[str, Callable[[], str]]


def _drawn(draw: Callable[[], str]) -> Callable[[], str]:
    return lambda: f"```mermaid\n{draw()}\n```"


PAGE = diagrams.ROOT / "docs" / "architecture.md"
SECURITY = diagrams.ROOT / "docs" / "security.md"
GENERATED: Mapping[Path, Parts] = {
    PAGE: {"topics": _drawn(diagrams.topics), "imports": _drawn(diagrams.imports)},
    SECURITY: {"rights": rights.table},
}


def page(text: str, parts: Parts) -> str:
    """The page with its generated parts as the code has them. Raises ValueError when one has no place in it."""
    for name, part in parts.items():
        place = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not place.search(text):
            raise ValueError(f"no `<!-- generated: {name} -->` … `<!-- end -->` in the page")
        text = place.sub(lambda m, p=part: f"{m[1]}{p()}\n{m[2]}", text)  # type: ignore[misc]
    return text


def main(arguments: list[str], pages: Mapping[Path, Parts] = GENERATED) -> int:
    """Exit status 1 on drift, 2 for wrong usage."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m ops.docs [--check]\n")
        return 2
    stale = 0
    for path, parts in pages.items():
        before = path.read_text()
        after = page(before, parts)
        if not arguments:
            path.write_text(after)
        elif before != after:
            stale = 1
            sys.stdout.write(f"{path.name} differs from the code; run: python -m ops.docs\n")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
