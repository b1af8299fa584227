"""The order service over HTTP: place, look, cancel, release a hold."""

from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Response
from pydantic import Field

from services.order.domain import placing
from services.order.domain.state import Order
from services.order.items import KnownItems
from shared.events import Address, Charge, Customer, OrderLine
from shared.events import order as e
from shared.events.limits import CHARGES_MAX, LINES_MAX
from shared.ledger.work import Outcome
from shared.service import (
    Call,
    CurrencyCode,
    FieldError,
    IdempotencyKey,
    Identifier,
    Input,
    MinorUnits,
    OptionalText,
    Principal,
    Problem,
    Quantity,
    Reply,
    Role,
    ServiceApp,
    Sku,
    Text,
    Timestamp,
    idempotency,
    require,
    router,
)
from shared.service.commands import answer, decide
from shared.service.openapi import leads_to
from shared.service.parties import AddressIn, CustomerIn
from shared.service.reading import read_state
from shared.service.runtime import Runtime
from shared.service.scope import check_channel, may_see

PLACED = leads_to(
    201,
    {"order_id": "$response.body#/order_id"},
    "GET /orders/{order_id}",
    "POST /orders/{order_id}/cancel",
)


class LineIn(Input):
    """One line. ``total`` may be left out: quantity x unit_price."""

    line_id: Identifier
    sku: Sku
    quantity: Quantity
    unit_price: MinorUnits
    description: OptionalText = ""


class ChargeIn(Input):
    """Shipping, tax, a fee, or a discount (which subtracts)."""

    kind: Literal["shipping", "tax", "discount", "fee"]
    amount: MinorUnits
    description: OptionalText = ""


class OrderIn(Input):
    """An order as a channel states it. Money is integer minor units of ``currency``."""

    channel: Identifier
    external_id: Identifier
    currency: CurrencyCode
    lines: Annotated[list[LineIn], Field(min_length=1, max_length=LINES_MAX)]
    charges: Annotated[tuple[ChargeIn, ...], Field(max_length=CHARGES_MAX)] = ()
    customer: CustomerIn = CustomerIn()
    ship_to: AddressIn = AddressIn()
    payment_method: Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9_.:-]*$")] = ""
    backorder: Literal["refuse", "wait"] = "refuse"
    placed_at: Timestamp | None = None


class OrderOut(Input):
    """What became of a placed order."""

    order_id: str
    status: str


class CancelIn(Input):
    """Why."""

    reason: Text


class ReleaseIn(Input):
    """What was found."""

    note: OptionalText = ""


def command_of(body: OrderIn) -> e.PlaceOrder:
    """The command that a request states."""
    return e.PlaceOrder(
        channel=body.channel,
        external_id=body.external_id,
        currency=body.currency,
        lines=tuple(
            OrderLine(
                line_id=x.line_id,
                sku=x.sku,
                quantity=x.quantity,
                unit_price=x.unit_price,
                total=x.quantity * x.unit_price,
                description=x.description,
            )
            for x in body.lines
        ),
        charges=tuple(
            Charge(kind=x.kind, amount=x.amount, description=x.description) for x in body.charges
        ),
        customer=Customer(**body.customer.__dict__),
        ship_to=Address(**body.ship_to.__dict__),
        payment_method=body.payment_method,
        backorder=body.backorder,
        placed_at=body.placed_at,
    )


def _placed(command: e.PlaceOrder, outcome: Outcome) -> tuple[int, Any]:
    state: Order = outcome.states[command.subject]
    for event in outcome.events:
        if isinstance(event, e.OrderRejected):
            return 422, {"code": "order_invalid", "detail": event.detail}
    return 201, {"order_id": command.order_id, "status": state.status}


def routes(runtime: Runtime, app: ServiceApp) -> APIRouter:
    """The routes of the order service."""
    items = KnownItems(runtime.store)

    @app.hot_post(
        "/orders",
        body=OrderIn,
        roles=[Role.CHANNEL, Role.AGENT],
        status=201,
        response=OrderOut,
        new_work=True,
        responses=PLACED,
        tags=["orders"],
    )
    async def place(call: Call[OrderIn]) -> Reply:
        """Place an order: durable before the answer. The same channel and external id is the same order."""
        check_channel(call.principal, call.body.channel)
        if unknown := await items.unknown(line.sku for line in call.body.lines):
            raise _unknown_skus(call.body, unknown)
        command = command_of(call.body)
        if found := placing.problems(command):
            raise _unusable(found)
        return await decide(
            runtime.writer,
            command,
            call.principal,
            call.idempotency,
            lambda outcome: _placed(command, outcome),
        )

    r = router(tags=["orders"])
    _order_routes(r, runtime)
    return r


def _order_routes(r: APIRouter, runtime: Runtime) -> None:
    Reader = Annotated[
        Principal,
        Depends(require(Role.AGENT, Role.OPS, Role.AUDITOR, Role.WAREHOUSE, Role.CHANNEL)),
    ]
    Agent = Annotated[Principal, Depends(require(Role.AGENT, Role.OPS))]
    Key = Annotated[IdempotencyKey, Depends(idempotency)]

    @r.get("/orders/{order_id}")
    async def show(order_id: Identifier, who: Reader) -> dict[str, Any]:
        """The order as the order service decides by it; the whole picture is in the views."""
        unknown = Problem(
            404, "order-unknown", "No such order", detail=f"No order {order_id} was placed"
        )
        found = await read_state(runtime.table, runtime.store, f"order-{order_id}", unknown)
        if not may_see(who, channel=found.state.channel, customer=""):
            raise unknown
        return _shown(order_id, found.state)

    @r.post("/orders/{order_id}/cancel", status_code=202)
    async def cancel(order_id: Identifier, body: CancelIn, who: Agent, key: Key) -> Response:
        """Cancel what has not been charged or shipped."""
        command = e.CancelOrder(order_id=order_id, reason=body.reason, actor=who.subject)
        return await answer(runtime.writer, command, who, key, partial(_shown, order_id))

    @r.post("/orders/{order_id}/holds/{hold_id}/release", status_code=202)
    async def release(
        order_id: Identifier, hold_id: Identifier, body: ReleaseIn, who: Agent, key: Key
    ) -> Response:
        """A person has seen to the hold: go on."""
        command = e.ReleaseHold(
            order_id=order_id, hold_id=hold_id, actor=who.subject, note=body.note
        )
        return await answer(runtime.writer, command, who, key, partial(_shown, order_id))


def _shown(order_id: str, state: Order) -> dict[str, Any]:
    named = {"order_id": order_id} | {
        f: getattr(state, f) for f in ("status", "channel", "external_id", "currency", "total")
    }
    rest = ("reservation", "cancelling", "rejection", "holds", "fulfillments")
    named |= {f: getattr(state, f) for f in rest}
    payment = state.payment
    if payment is not None:
        named["payment"] = {f: getattr(payment, f) for f in payment.__struct_fields__}
    named["packages"] = {id or "fees": p.status for id, p in state.packages.items()}
    return {k: msgspec.to_builtins(v) for k, v in named.items()}


def _unusable(found: list[placing.Wrong]) -> Problem:
    """What no field shows alone, refused before anything is written."""
    return Problem(
        422,
        "validation-failed",
        "The request has invalid fields",
        detail="Correct what errors names, and send it with a fresh Idempotency-Key.",
        errors=[FieldError(f"/{wrong.field}", wrong.why, "unusable") for wrong in found],
    )


def _unknown_skus(body: OrderIn, unknown: set[str]) -> Problem:
    return Problem(
        422,
        "sku-unknown",
        "Unknown SKU",
        detail="Register the SKU with inventory first, or correct the line.",
        errors=[
            FieldError(f"/lines/{n}/sku", f"{line.sku!r} is not registered", "unknown_sku")
            for n, line in enumerate(body.lines)
            if line.sku in unknown
        ],
    )
