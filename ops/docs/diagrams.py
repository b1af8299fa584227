"""The architecture's diagrams as Mermaid text, drawn from what the code imports, reads and writes."""

import ast
from collections import defaultdict
from pathlib import Path

from ops.k8s.kafka import OUTSIDE
from ops.k8s.shapes import all_needs

ROOT = Path(__file__).parents[2]
PACKAGES = ("services", "shared", "ops")


def topics() -> str:
    """Who writes which topic, and who reads it."""
    lines = ["flowchart LR"]
    drawn: set[str] = set()
    for name, who in OUTSIDE.items():
        lines += [f"  {_id(name)}([{name}])"]
        lines += [f"  {_id(name)} --> {_id(topic)}" for topic in who.writes]
        lines += [f"  {_id(topic)} --> {_id(name)}" for topic in who.reads]
        drawn |= {*who.writes, *who.reads}
    for needs in all_needs():
        lines.append(f"  {needs.name}[<b>{needs.name}</b>]")
        lines += [f"  {needs.name} --> {_id(topic)}" for topic in needs.produces]
        lines += [f"  {_id(topic)} --> {needs.name}" for topic in needs.consumes]
        drawn |= {*needs.produces, *needs.consumes}
    lines += [f"  {_id(topic)}[({topic})]" for topic in sorted(drawn)]
    return "\n".join(lines)


def imports() -> str:
    """Which package of the house uses which, one arrow for any import between two of them."""
    used: dict[str, set[str]] = defaultdict(set)
    for path in sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py")):
        room = _room(path.relative_to(ROOT).with_suffix("").parts)
        used[room] |= {_room(tuple(name.split("."))) for name in _imported(path)} - {room}
    lines = ["flowchart TD"]
    lines += [
        f"  {_id(room)} --> {_id(other)}" for room in sorted(used) for other in sorted(used[room])
    ]
    rooms = sorted({x for room, others in used.items() for x in (room, *others) if others})
    return "\n".join([*lines, *(f"  {_id(room)}[{room}]" for room in rooms)])


def _room(parts: tuple[str, ...]) -> str:
    """A package of `shared` by its own name; all services, and all of ops, as one: they are alike."""
    return f"shared.{parts[1]}" if parts[0] == "shared" and len(parts) > 1 else parts[0]


def _imported(path: Path) -> set[str]:
    """Modules of this project that a module imports, also inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = node.module in PACKAGES
            found |= {f"{node.module}.{a.name}" for a in node.names} if whole else {node.module}
    return {name for name in found if name.split(".")[0] in PACKAGES and "." in name}


def _id(name: str) -> str:
    return name.replace(".", "_").replace("-", "_")
