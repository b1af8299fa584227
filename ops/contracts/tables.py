"""The services that are there, and what each one handles: read from their packages, so that a new one is found."""

from functools import cache
from importlib import import_module
from pathlib import Path

from shared.events import Message, catalogue
from shared.ledger.table import Table

#: What else a service handles where an installation asks for it.
ALL_OF = {"integrations": {"wms_locations": frozenset({"any"})}}
HOME = Path(__file__).parents[2] / "services"


def services() -> list[str]:
    """Every package below ``services`` that can be run."""
    return sorted(p.parent.name for p in HOME.glob("*/__main__.py"))


@cache
def tables() -> dict[str, Table]:
    """The handlers table of every service: ``TABLE`` of its ``handlers.py``, or what ``table()`` gives."""
    found = {}
    for path in sorted(HOME.glob("*/handlers.py")):
        module = import_module(f"services.{path.parent.name}.handlers")
        name = path.parent.name
        every = ALL_OF.get(name, {})
        found[name] = module.TABLE if hasattr(module, "TABLE") else module.table(**every)
    return found


def receivers(message: type[Message]) -> list[str]:
    """The services that handle messages of a type that travels."""
    if message.route() is None:
        return []
    return [name for name, table in tables().items() if message in table.handlers]


def sender(message: type[Message], topic: str | None = None) -> str:
    """Who sends messages of a type (on one topic): a service, or ``outside`` (channels, warehouse, ERP, people)."""
    own = catalogue.sequenced_by(topic) if topic else None
    return own or catalogue.sender(message) or "outside"
