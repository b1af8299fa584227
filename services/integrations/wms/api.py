"""Fulfillments in external warehouses over HTTP."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query

from services.integrations.domain.wms import Cancellation, Handshake, WmsOrder
from services.integrations.wms import orders
from shared.service import Identifier, Position, Principal, Problem, Role, require, router
from shared.service.pagination import Limit
from shared.service.reading import read_states
from shared.service.runtime import Runtime

Reader = Annotated[Principal, Depends(require(Role.WAREHOUSE, Role.OPS, Role.AGENT, Role.AUDITOR))]


def routes(runtime: Runtime) -> APIRouter:
    """The routes of the handshake."""
    r = router(prefix="/wms/fulfillments", tags=["wms"])

    @r.get("")
    async def listed(
        who: Reader,
        handshake: Annotated[Handshake | None, Query(description="Only in this state")] = None,
        cancellation: Annotated[
            Cancellation | None, Query(description="Only with this one")
        ] = None,
        after: Annotated[Position, Query(description="Position of the last item seen")] = 0,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """What was submitted to external warehouses, oldest first. ``cancellation=REJECTED`` needs a person."""
        items = await orders.page(
            runtime.store, after=after, limit=limit, handshake=handshake, cancellation=cancellation
        )
        return {"items": items, "after": items[-1]["position"] if items else after}

    @r.get("/{fulfillment_id}")
    async def show(fulfillment_id: Identifier, who: Reader) -> dict[str, Any]:
        """One fulfillment as the handshake knows it."""
        stream = f"wmsorder-{fulfillment_id}"
        found = await read_states(runtime.table, runtime.store, [stream])
        if stream not in found:
            raise Problem(
                404,
                "fulfillment-unknown",
                "No such fulfillment",
                detail=f"{fulfillment_id} was submitted to no external warehouse.",
            )
        state: WmsOrder = found[stream].state
        shown = {f: getattr(state, f) for f in state.__struct_fields__}
        packages = {
            name: {
                "lines": msgspec.to_builtins(p.lines),
                "cleared": p.cleared,
                "carrier": p.sent[0] if p.sent else None,
                "tracking_number": p.sent[1] if p.sent else None,
                "arrived": p.arrived,
            }
            for name, p in state.packages.items()
        }
        rest = msgspec.to_builtins({k: v for k, v in shown.items() if k != "packages"})
        return {"fulfillment_id": fulfillment_id, **rest, "packages": packages}

    return r
