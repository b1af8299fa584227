"""The mappings that ``oms import`` knows by name. A new source adds one entry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ops.importer.mapping import Mapping
from ops.importer.olist import Olist
from ops.importer.online_retail import OnlineRetail
from ops.importer.sources import first_file

MAPPINGS: dict[str, Callable[[], Mapping[Any]]] = {
    "online-retail": OnlineRetail,
    "olist": Olist,
}


def mapping_named(name: str) -> Mapping[Any]:
    """Return a fresh mapping. Raises KeyError that lists the names there are."""
    if name not in MAPPINGS:
        raise KeyError(f"no mapping {name!r}; there are: {', '.join(sorted(MAPPINGS))}")
    return MAPPINGS[name]()


def mapping_of(source: Path) -> str:
    """Return the name of the mapping that knows the source's files by their names; else the one that reads any file."""
    return "olist" if Olist().columns_of(first_file(source)) else "online-retail"
