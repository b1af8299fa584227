"""``python -m ops.docs [--check]``; see the package."""

import re
import sys
from pathlib import Path

from ops.docs import diagrams

PAGE = diagrams.ROOT / "docs" / "architecture.md"
DIAGRAMS = {"topics": diagrams.topics, "imports": diagrams.imports}


def page(text: str) -> str:
    """The page with its diagrams as the code has them. Raises ValueError when one has no place in it."""
    for name, draw in DIAGRAMS.items():
        place = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not place.search(text):
            raise ValueError(f"{PAGE.name} has no `<!-- generated: {name} -->` … `<!-- end -->`")
        text = place.sub(lambda m, d=draw: f"{m[1]}```mermaid\n{d()}\n```\n{m[2]}", text)  # type: ignore[misc]
    return text


def main(arguments: list[str], path: Path = PAGE) -> int:
    """Exit status 1 on drift, 2 for wrong usage."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m ops.docs [--check]\n")
        return 2
    before = path.read_text()
    after = page(before)
    if not arguments:
        path.write_text(after)
    elif before != after:
        sys.stdout.write(f"{path.name} differs from the code; run: python -m ops.docs\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
