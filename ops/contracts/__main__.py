"""``python -m ops.contracts [--check]``: write the documents, or say which differ from the code."""

import sys
from collections.abc import Iterator
from pathlib import Path

from ops.contracts import asyncapi, consumers, openapi
from shared.events.schemas import written

DOCS = Path(__file__).parents[2] / "docs"


def files() -> dict[Path, bytes]:
    """What every generated document should hold."""
    wanted = {
        DOCS / "asyncapi.json": written(asyncapi.document()),
        DOCS / "consumers.md": consumers.page(),
    }
    for service, document in openapi.documents().items():
        wanted[DOCS / "openapi" / f"{service}.json"] = written(document)
    return wanted


def drift(wanted: dict[Path, bytes]) -> Iterator[str]:
    """Documents that are missing, differ, or belong to no service."""
    found = wanted.keys() | set((DOCS / "openapi").glob("*.json"))
    for path in sorted(found):
        if not path.exists() or wanted.get(path) != path.read_bytes():
            yield str(path.relative_to(DOCS.parent))


def main() -> int:
    """Exit status 1 on drift, and where a consumer expects what its producer does not promise."""
    broken = consumers.broken()
    sys.stdout.writelines(f"{line}\n" for line in broken)
    if broken:
        sys.stdout.write("docs/contracts.md says how expectations and messages change\n")
        return 1
    wanted = files()
    if "--check" in sys.argv[1:]:
        changed = list(drift(wanted))
        sys.stdout.writelines(f"document differs from the code: {name}\n" for name in changed)
        if changed:
            sys.stdout.write("run: python -m ops.contracts, and look at what changed\n")
        return 1 if changed else 0
    for stale in set((DOCS / "openapi").glob("*.json")) - wanted.keys():
        stale.unlink()
    for path, content in wanted.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
