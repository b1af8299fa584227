"""The fulfillment service over HTTP: what a warehouse, or its system, sees and says."""

from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from services.fulfillment import worklist
from services.fulfillment.domain.refusals import POSSIBLE
from services.fulfillment.domain.state import Fulfillment, Stage, stage
from shared.events import LineQuantity
from shared.events import fulfillment as e
from shared.events.envelope import rfc3339
from shared.events.limits import LINES_MAX
from shared.service import (
    IdempotencyKey,
    Identifier,
    Input,
    Name,
    OptionalIdentifier,
    OptionalText,
    Principal,
    Problem,
    Quantity,
    Role,
    ServiceApp,
    Text,
    Timestamp,
    idempotency,
    require,
    router,
)
from shared.service.commands import answer
from shared.service.openapi import leads_to
from shared.service.pagination import Cursor, Limit, decode_cursor, encode_cursor, link_header
from shared.service.reading import read_state, read_story
from shared.service.runtime import Runtime

Worker = Annotated[Principal, Depends(require(Role.WAREHOUSE, Role.OPS))]
Reader = Annotated[Principal, Depends(require(Role.WAREHOUSE, Role.OPS, Role.AGENT, Role.AUDITOR))]
Key = Annotated[IdempotencyKey, Depends(idempotency)]


def _then(status: int, *steps: str) -> dict[int | str, dict[str, Any]]:
    """What a worker does next with the fulfillment of an answer."""
    operations = [f"POST /fulfillments/{{fulfillment_id}}/{step}" for step in steps]
    return leads_to(status, {"fulfillment_id": "$response.body#/fulfillment_id"}, *operations)


class LineIn(Input):
    """Some units of one order line."""

    line_id: Name
    sku: Name
    quantity: Quantity


Lines = Annotated[list[LineIn], Field(max_length=LINES_MAX)]


class StartIn(Input):
    """Who picks; the caller, if not said."""

    picker: OptionalText = ""


class PickIn(Input):
    """What was found. ``final``: the rest is not there, and is reported as short.

    ``pick_id`` makes a repeated report count once.
    """

    lines: Lines
    final: bool = True
    short_reason: OptionalText = ""
    pick_id: OptionalIdentifier = ""


class PackIn(Input):
    """A package and its content; its id starts with the fulfillment's id and a dot."""

    package_id: Identifier
    lines: Lines


class ShipIn(Input):
    """Who took which package under which number, and when by the carrier's clock; now, if not said."""

    package_id: Name
    carrier: Text
    tracking_number: Text
    shipped_at: Timestamp | None = None


class DeliverIn(Input):
    """Which package arrived, and when by the carrier's clock; now, if not said."""

    package_id: Name
    delivered_at: Timestamp | None = None


def routes(runtime: Runtime, _: ServiceApp) -> APIRouter:
    """The routes of the fulfillment service."""
    r = router(prefix="/fulfillments", tags=["fulfillments"])
    _reading(r, runtime)
    _picking(r, runtime)
    _sending(r, runtime)
    return r


def _reading(r: APIRouter, runtime: Runtime) -> None:
    @r.get("")
    async def work(
        *,
        response: Response,
        who: Reader,
        location: Identifier | None = None,
        status: Annotated[Stage | None, Query(description="One of the unfinished stages")] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        """The work list: unfinished fulfillments, oldest first, without automatic locations."""
        after = int(decode_cursor(cursor, int)[0] or 0) if cursor else 0
        found = await worklist.entries(
            runtime.store, location=location, stage=status, after=after, limit=limit + 1
        )
        more = encode_cursor(found[limit - 1].position) if len(found) > limit else None
        asked: dict[str, str | int] = {"limit": limit}
        asked |= {k: v for k, v in (("location", location), ("status", status)) if v}
        response.headers["Link"] = link_header("/fulfillments", next_cursor=more, parameters=asked)
        return {"items": [_entry(x) for x in found[:limit]]}

    @r.get("/{fulfillment_id}", responses=_then(200, "start", "pick"))
    async def show(fulfillment_id: Identifier, who: Reader) -> dict[str, Any]:
        """One fulfillment, folded from its events, with its history."""
        story = await read_story(runtime.table, runtime.store, *_addressed(fulfillment_id))
        opened = (x for x in story.events if isinstance(x, e.FulfillmentOpened))
        ship_to = next((msgspec.to_builtins(x.ship_to) for x in opened), None)
        shown = _shown(fulfillment_id, story.state)
        return {**shown, "ship_to": ship_to, "history": story.history}


def _picking(r: APIRouter, runtime: Runtime) -> None:
    @r.post("/{fulfillment_id}/start", status_code=202, responses=_then(202, "pick"))
    async def start(fulfillment_id: Identifier, body: StartIn, who: Worker, key: Key) -> Response:
        """A picker takes it."""
        command = e.StartPicking(
            fulfillment_id=fulfillment_id,
            order_id=await _order_of(runtime, fulfillment_id),
            picker=body.picker or who.subject,
        )
        return await answer(runtime.writer, command, who, key, partial(_shown, fulfillment_id))

    @r.post("/{fulfillment_id}/pick", status_code=202, responses=_then(202, "pack"))
    async def pick(fulfillment_id: Identifier, body: PickIn, who: Worker, key: Key) -> Response:
        """Report what was found; several reports add up."""
        command = e.RecordPick(
            fulfillment_id=fulfillment_id,
            order_id=await _order_of(runtime, fulfillment_id),
            lines=_units(body.lines),
            final=body.final,
            short_reason=body.short_reason,
            pick_id=body.pick_id,
        )
        return await answer(runtime.writer, command, who, key, partial(_shown, fulfillment_id))

    @r.post("/{fulfillment_id}/pack", status_code=202, responses=_then(202, "ship"))
    async def pack(fulfillment_id: Identifier, body: PackIn, who: Worker, key: Key) -> Response:
        """Put picked units into a package. It may leave once the order service has been paid."""
        command = e.PackItems(
            fulfillment_id=fulfillment_id,
            order_id=await _order_of(runtime, fulfillment_id),
            package_id=body.package_id,
            lines=_units(body.lines),
        )
        return await answer(runtime.writer, command, who, key, partial(_shown, fulfillment_id))


def _sending(r: APIRouter, runtime: Runtime) -> None:
    @r.post("/{fulfillment_id}/ship", status_code=202, responses=_then(202, "deliver"))
    async def ship(fulfillment_id: Identifier, body: ShipIn, who: Worker, key: Key) -> Response:
        """The carrier took a released package."""
        command = e.ShipPackage(
            fulfillment_id=fulfillment_id,
            order_id=await _order_of(runtime, fulfillment_id),
            package_id=body.package_id,
            carrier=body.carrier,
            tracking_number=body.tracking_number,
            shipped_at=body.shipped_at or msgspec.UNSET,
        )
        return await answer(runtime.writer, command, who, key, partial(_shown, fulfillment_id))

    @r.post("/{fulfillment_id}/deliver", status_code=202)
    async def deliver(
        fulfillment_id: Identifier, body: DeliverIn, who: Worker, key: Key
    ) -> Response:
        """The carrier says that a package arrived."""
        command = e.ConfirmDelivery(
            fulfillment_id=fulfillment_id,
            order_id=await _order_of(runtime, fulfillment_id),
            package_id=body.package_id,
            delivered_at=body.delivered_at,
        )
        return await answer(runtime.writer, command, who, key, partial(_shown, fulfillment_id))


async def _order_of(runtime: Runtime, fulfillment_id: str) -> str:
    found = await read_state(runtime.table, runtime.store, *_addressed(fulfillment_id))
    order_id: str = found.state.order_id
    return order_id


def _addressed(fulfillment_id: str) -> tuple[str, Problem]:
    """The stream of a fulfillment, and the answer where it has none."""
    unknown = Problem(
        404,
        "fulfillment-unknown",
        "No such fulfillment",
        detail=f"There is no fulfillment {fulfillment_id}; GET /fulfillments lists the open.",
    )
    return f"fulfillment-{fulfillment_id}", unknown


def _units(lines: list[LineIn]) -> tuple[LineQuantity, ...]:
    return tuple(LineQuantity(line_id=x.line_id, sku=x.sku, quantity=x.quantity) for x in lines)


def _entry(entry: worklist.Entry) -> dict[str, Any]:
    shown = entry._asdict()
    del shown["position"]
    return shown | {"status": shown.pop("stage"), "opened_at": rfc3339(entry.opened_at)}


def _shown(fulfillment_id: str, state: Fulfillment) -> dict[str, Any]:
    now = stage(state)
    return {
        "fulfillment_id": fulfillment_id,
        "order_id": state.order_id,
        "location": state.location,
        "status": now.value,
        "possible": POSSIBLE[now],
        "picker": state.picker,
        "lines": [
            {
                "line_id": x.line_id,
                "sku": x.sku,
                "ordered": x.ordered,
                "open": x.open,
                "picked": x.picked,
                "short": x.short,
                "packed": x.packed,
            }
            for x in state.lines
        ],
        "packages": [
            {
                "package_id": package_id,
                "status": x.stage.value,
                "carrier": x.carrier,
                "tracking_number": x.tracking_number,
                "lines": msgspec.to_builtins(x.lines),
            }
            for package_id, x in state.packages.items()
        ],
    }
