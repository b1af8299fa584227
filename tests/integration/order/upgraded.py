"""The order service after an upgrade: it can read version 9 of one of inventory's events.

Started by a test in the place of ``python -m services.order``.
"""

from typing import Any

from services.order.__main__ import OrderSettings, service
from shared.events.codec import UPCASTERS
from shared.service import run


def reserved_v9(payload: dict[str, Any]) -> dict[str, Any]:
    """Version 9 calls the allocations ``granted`` and the end of the hold ``until``."""
    return {
        "type": "oms.inventory.reserved.v1",
        "reservation_id": payload["reservation_id"],
        "order_id": payload["order_id"],
        "allocations": payload["granted"],
        "expires_at": payload["until"],
    }


UPCASTERS["oms.inventory.reserved.v9"] = reserved_v9

if __name__ == "__main__":
    run(OrderSettings, service)
