"""A service one release later: ``python next_version.py inventory`` in the place of ``python -m services.inventory``.

Inventory's ``StockReserved`` is at version 9 there: it calls the allocations ``granted`` and the end of the hold
``until``. What is written is version 9; version 1 is read through the chain of upcasters.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from shared.events import Allocation, codec, inventory
from shared.events.message import Instant


class StockReserved(
    inventory.StockReserved, frozen=True, kw_only=True, tag="oms.inventory.reserved.v9"
):
    """Stock is held, as the next release says it."""

    allocations: tuple[Allocation, ...] = msgspec.field(name="granted")
    expires_at: Instant = msgspec.field(name="until")


def upcast(payload: dict[str, Any]) -> dict[str, Any]:
    """Version 1 to version 9."""
    renamed = {"allocations": "granted", "expires_at": "until", "type": "type"}
    kept = {renamed.get(name, name): value for name, value in payload.items()}
    return {**kept, "type": StockReserved.tag()}


def become_next() -> None:
    """Turn this process's language into the next release's, before any service is imported."""
    old = inventory.StockReserved
    codec.PUBLISHED[codec.PUBLISHED.index(old)] = StockReserved
    codec.UPCASTERS[old.tag()] = upcast
    codec.codec = codec.Codec(codec.PUBLISHED, codec.UPCASTERS)
    inventory.StockReserved = StockReserved  # type: ignore[misc]


def main(service: str) -> None:
    from shared.service import run

    if service == "inventory":
        from services.inventory import __main__ as started
    else:
        from services.order import __main__ as started

    settings = {"inventory": "InventorySettings", "order": "OrderSettings"}[service]
    run(getattr(started, settings), started.service)


if __name__ == "__main__":
    become_next()
    main(sys.argv[1])
