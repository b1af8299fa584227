"""The returns service over HTTP: agents ask and agree, the warehouse receives and inspects."""

from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Response
from pydantic import Field

from services.returns.domain import returnable, state
from services.returns.domain.messages import AskReturn
from services.returns.domain.refusals import PAY_ELSEWHERE, POSSIBLE
from shared.events import LineQuantity
from shared.events import returns as e
from shared.events.envelope import rfc3339
from shared.events.limits import LINES_MAX
from shared.events.returns import Disposition
from shared.service import (
    IdempotencyKey,
    Identifier,
    Input,
    Name,
    OptionalText,
    Principal,
    Problem,
    Quantity,
    Role,
    ServiceApp,
    Text,
    idempotency,
    require,
    router,
)
from shared.service.commands import answer
from shared.service.ids import new_id
from shared.service.openapi import leads_to
from shared.service.reading import read_state, read_story
from shared.service.runtime import Runtime

Agent = Annotated[Principal, Depends(require(Role.AGENT, Role.OPS))]
Worker = Annotated[Principal, Depends(require(Role.WAREHOUSE, Role.OPS))]
Reader = Annotated[Principal, Depends(require(Role.AGENT, Role.WAREHOUSE, Role.OPS, Role.AUDITOR))]
Key = Annotated[IdempotencyKey, Depends(idempotency)]


REQUESTED = leads_to(
    201,
    {"return_id": "$response.body#/return_id"},
    "GET /returns/{return_id}",
    *(
        f"POST /returns/{{return_id}}/{step}"
        for step in ("approve", "decline", "cancel", "receive", "inspect")
    ),
)


class AskedLine(Input):
    """Units to come back, and why."""

    line_id: Name
    sku: Name
    quantity: Quantity
    reason: OptionalText = ""


class RequestIn(Input):
    """A return of some units of one order; an id is made where none is given."""

    order_id: Identifier
    return_id: Identifier | None = None
    lines: Annotated[list[AskedLine], Field(min_length=1, max_length=LINES_MAX)]


class DeclineIn(Input):
    """Why not."""

    reason: Text


class ReceivedLine(Input):
    """Units that came back."""

    line_id: Name
    sku: Name
    quantity: Quantity


class ReceiveIn(Input):
    """One receipt; its id makes a repeated scan count once."""

    receipt_id: Identifier
    location: Identifier
    lines: Annotated[list[ReceivedLine], Field(min_length=1, max_length=LINES_MAX)]


class JudgedLine(Input):
    """Units with one disposition."""

    line_id: Name
    sku: Name
    quantity: Quantity
    disposition: Disposition


class InspectIn(Input):
    """A disposition for every received unit; units that did not come may be stated as missing."""

    lines: Annotated[list[JudgedLine], Field(max_length=LINES_MAX)]


def routes(runtime: Runtime, _: ServiceApp) -> APIRouter:
    """The routes of the returns service."""
    r = router(tags=["returns"])
    _reading(r, runtime)
    _asking(r, runtime)
    _receiving(r, runtime)
    return r


def _reading(r: APIRouter, runtime: Runtime) -> None:
    @r.get("/returns/{return_id}")
    async def show(return_id: Identifier, who: Reader) -> dict[str, Any]:
        """One return, folded from its events, with its history."""
        story = await read_story(runtime.table, runtime.store, *_addressed(return_id))
        return {**_shown(return_id, story.state), "history": story.history}

    @r.get("/orders/{order_id}/returnable")
    async def what_may_come_back(order_id: Identifier, who: Reader) -> dict[str, Any]:
        """Units of an order that have left, are claimed by returns, and may still be claimed; ``awaited`` are the returns
        that a topic asked for before their units left."""
        nothing = Problem(
            404,
            "nothing-shipped",
            "Nothing has shipped",
            detail=f"Nothing of an order {order_id} is known to have left yet.",
        )
        stream = f"returnable-{order_id}"
        found = await read_state(runtime.table, runtime.store, stream, nothing)
        return {"order_id": order_id, **_shown_returnable(found.state)}


def _asking(r: APIRouter, runtime: Runtime) -> None:
    @r.post("/returns", status_code=201, responses=REQUESTED)
    async def request(body: RequestIn, who: Agent, key: Key) -> Response:
        """Ask for a return: claimed, and approved at once within the window."""
        command = AskReturn(
            return_id=body.return_id or new_id(),
            order_id=body.order_id,
            lines=tuple(e.ReturnLine(**x.model_dump()) for x in body.lines),
            actor=who.subject,
        )
        shown = partial(_shown, command.return_id)
        return await answer(runtime.writer, command, who, key, shown, status=201)

    @r.post("/returns/{return_id}/approve", status_code=202)
    async def approve(return_id: Identifier, who: Agent, key: Key) -> Response:
        """Agree to a return that the policy left to a person."""
        order_id = await _order_of(runtime, return_id)
        command = e.ApproveReturn(return_id=return_id, order_id=order_id, actor=who.subject)
        return await answer(runtime.writer, command, who, key, partial(_shown, return_id))

    @r.post("/returns/{return_id}/decline", status_code=202)
    async def decline(return_id: Identifier, body: DeclineIn, who: Agent, key: Key) -> Response:
        """Refuse it, with a reason."""
        command = e.DeclineReturn(
            return_id=return_id,
            order_id=await _order_of(runtime, return_id),
            reason=body.reason,
            actor=who.subject,
        )
        return await answer(runtime.writer, command, who, key, partial(_shown, return_id))

    @r.post("/returns/{return_id}/cancel", status_code=202)
    async def cancel(return_id: Identifier, who: Agent, key: Key) -> Response:
        """The shopper keeps the goods; not once something came back."""
        order_id = await _order_of(runtime, return_id)
        command = e.CancelReturn(return_id=return_id, order_id=order_id, actor=who.subject)
        return await answer(runtime.writer, command, who, key, partial(_shown, return_id))


def _receiving(r: APIRouter, runtime: Runtime) -> None:
    @r.post("/returns/{return_id}/receive", status_code=202)
    async def receive(return_id: Identifier, body: ReceiveIn, who: Worker, key: Key) -> Response:
        """Count goods that came back."""
        command = e.ReceiveReturn(
            return_id=return_id,
            order_id=await _order_of(runtime, return_id),
            receipt_id=body.receipt_id,
            location=body.location,
            lines=tuple(LineQuantity(**x.model_dump()) for x in body.lines),
        )
        return await answer(runtime.writer, command, who, key, partial(_shown, return_id))

    @r.post("/returns/{return_id}/inspect", status_code=202)
    async def inspect(return_id: Identifier, body: InspectIn, who: Worker, key: Key) -> Response:
        """Say what became of every unit: stock and refund follow from it."""
        command = e.InspectReturn(
            return_id=return_id,
            order_id=await _order_of(runtime, return_id),
            lines=tuple(e.InspectedLine(**x.model_dump()) for x in body.lines),
            actor=who.subject,
        )
        return await answer(runtime.writer, command, who, key, partial(_shown, return_id))


async def _order_of(runtime: Runtime, return_id: str) -> str:
    found = await read_state(runtime.table, runtime.store, *_addressed(return_id))
    order_id: str = found.state.order_id
    return order_id


def _addressed(return_id: str) -> tuple[str, Problem]:
    """The stream of a return, and the answer where it has none."""
    unknown = Problem(
        404,
        "return-unknown",
        "No such return",
        detail=f"There is no return {return_id}; POST /returns asks for one.",
    )
    return f"return-{return_id}", unknown


def _shown(return_id: str, found: state.Return) -> dict[str, Any]:
    return {
        "return_id": return_id,
        "order_id": found.order_id,
        "status": found.stage.value,
        "possible": PAY_ELSEWHERE if found.refund_problem else POSSIBLE[found.stage],
        "lines": [
            {
                "line_id": x.line_id,
                "sku": x.sku,
                "requested": x.requested,
                "received": x.received,
                "outstanding": x.outstanding,
            }
            for x in found.lines
        ],
        "receipts": sorted(found.receipts),
        "location": found.location,
        "dispositions": msgspec.to_builtins(found.inspected),
        "refund": msgspec.to_builtins(found.refund),
        "refund_problem": found.refund_problem,
    }


def _shown_returnable(found: returnable.Returnable) -> dict[str, Any]:
    return {
        "packages": list(found.packages),
        "lines": [
            {
                "line_id": x.line_id,
                "sku": x.sku,
                "shipped": x.shipped,
                "claimed": x.claimed,
                "returnable": x.left,
                "shipped_at": rfc3339(x.shipped_at),
            }
            for x in found.lines
        ],
        "claims": msgspec.to_builtins(found.claims),
        "awaited": list(found.awaited),
    }
