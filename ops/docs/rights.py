"""Who may call which operation, from the OpenAPI documents."""

import json
from typing import Any

from ops.docs.diagrams import ROOT
from shared.service.security import Role

#: What most services have under the same path with the same rights stands in the table once.
EVERYWHERE = "all that have it"
_MARKS = {"own": "own", "shared": "all"}


def table() -> str:
    """A table of operations by roles: what a channel or customer reaches is its own, or the same for all."""
    roles = [role.value for role in Role]
    rows: dict[tuple[str, str], dict[str, str]] = {}
    documents = sorted((ROOT / "docs" / "openapi").glob("*.json"))
    for document in documents:
        for path, operations in json.loads(document.read_bytes())["paths"].items():
            for method, operation in operations.items():
                row = _row(operation, roles)
                rows.setdefault((f"`{method.upper()} {path}`", row), {})[document.stem] = row
    lines = [f"| service | operation | {' | '.join(roles)} |", "|---" * (2 + len(roles)) + "|"]
    for (operation, row), services in sorted(rows.items(), key=lambda x: (len(x[1]) > 1, [*x[1]])):
        who = EVERYWHERE if len(services) > 2 else ", ".join(services)
        lines.append(f"| {who} | {operation} | {row}")
    return "\n".join(lines)


def _row(operation: dict[str, Any], roles: list[str]) -> str:
    if not operation["security"]:
        return " | ".join(["open"] * len(roles)) + " |"
    allowed = operation["x-roles"]
    mark = _MARKS.get(operation.get("x-scope", ""), "")
    cells = [
        "" if role not in allowed else mark if role in ("channel", "customer") else "yes"
        for role in roles
    ]
    return " | ".join(cells) + " |"
