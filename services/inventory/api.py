"""The inventory service over HTTP: make items known, move stock, look at stock and reservations."""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from services.inventory.domain.limits import LINES_MAX, QUANTITY_MAX
from services.inventory.domain.movements import DESCRIPTION_MAX
from services.inventory.domain.reservation import Reservation
from services.inventory.domain.stock import Stock
from shared.events import StockLine
from shared.events.inventory import AdjustStock, ReceiveStock, RegisterItem, StockCommand
from shared.service import (
    FieldError,
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
    Sku,
    Text,
    idempotency,
    require,
    router,
)
from shared.service.answers import etag
from shared.service.commands import answer
from shared.service.openapi import leads_to
from shared.service.reading import read_state, read_states
from shared.service.runtime import Runtime

SKUS_MAX = 100
REGISTERED = leads_to(201, {"sku": "$response.body#/sku"}, "GET /stock/{sku}")


def _not_zero(quantity: int) -> int:
    if quantity == 0:
        raise PydanticCustomError("zero", "A correction by 0 corrects nothing")
    return quantity


SignedQuantity = Annotated[
    int, Field(strict=True, ge=-QUANTITY_MAX, le=QUANTITY_MAX), AfterValidator(_not_zero)
]
Mover = Annotated[Principal, Depends(require(Role.WAREHOUSE, Role.OPS))]
Looker = Annotated[
    Principal,
    Depends(require(Role.AGENT, Role.WAREHOUSE, Role.OPS, Role.AUDITOR, Role.CHANNEL, shared=True)),
]
Insider = Annotated[Principal, Depends(require(Role.AGENT, Role.WAREHOUSE, Role.OPS, Role.AUDITOR))]
Key = Annotated[IdempotencyKey, Depends(idempotency)]


class ItemIn(Input):
    """An item to make known; sent again with another description, it changes that."""

    sku: Sku
    description: Annotated[OptionalText, Field(max_length=DESCRIPTION_MAX)] = ""


class ReceiptLineIn(Input):
    """Units that arrived at a location."""

    sku: Sku
    location: Identifier
    quantity: Quantity


class AdjustmentLineIn(Input):
    """By how many units the count at a location was wrong: positive when there are more."""

    sku: Name
    location: Name
    quantity: SignedQuantity


class ReceiptIn(Input):
    """Goods that arrived. ``movement_id`` is the sender's own: the same movement counts once."""

    movement_id: Identifier
    lines: Annotated[list[ReceiptLineIn], Field(min_length=1, max_length=LINES_MAX)]
    reference: OptionalText = ""


class AdjustmentIn(Input):
    """A corrected count, and why."""

    movement_id: Identifier
    lines: Annotated[list[AdjustmentLineIn], Field(min_length=1, max_length=LINES_MAX)]
    reason: Text


class LevelOut(Input):
    """Units at one location; ``free`` = on_hand - reserved - allocated."""

    location: str
    on_hand: int
    reserved: int
    allocated: int
    free: int


class StockOut(Input):
    """One SKU at all locations. ``available`` is what a new order may have: free, less what is
    claimed by the ``waiting`` reservations."""

    sku: str
    description: str
    on_hand: int
    reserved: int
    allocated: int
    available: int
    waiting: int
    waiting_units: int
    locations: list[LevelOut]
    version: int


class StockListOut(Input):
    """The SKUs that were asked for and are known, in the order of the question, and the others."""

    items: list[StockOut]
    unknown: list[str]


class MovementOut(Input):
    """A movement that was made, now or when it was first sent, and how many lines it has."""

    movement_id: str
    lines: int


class ItemOut(Input):
    """A known item."""

    sku: str
    description: str


class ReservationOut(Input):
    """Where a reservation stands. ``open`` are units promised and neither shipped nor given back,
    ``waiting_for`` what a backordered one wants."""

    reservation_id: str
    order_id: str
    status: str
    expires_at: str | None
    open: list[dict[str, Any]]
    waiting_for: list[dict[str, Any]]
    version: int


def stock_out(sku: str, stock: Stock, version: int) -> dict[str, Any]:
    """A stock state as the API shows it; see `StockOut`."""
    levels = sorted(stock.levels.items())
    return {
        "sku": sku,
        "description": stock.description,
        "on_hand": sum(level.on_hand for _, level in levels),
        "reserved": sum(level.reserved for _, level in levels),
        "allocated": sum(level.allocated for _, level in levels),
        "available": stock.available,
        "waiting": len(stock.waiting),
        "waiting_units": stock.waiting_units,
        "locations": [
            {"location": place, **_fields(level), "free": level.free} for place, level in levels
        ],
        "version": version,
    }


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def reservation_out(reservation_id: str, r: Reservation, version: int) -> dict[str, Any]:
    """A reservation's state as the API shows it; see `ReservationOut`."""
    return {
        "reservation_id": reservation_id,
        "order_id": r.order_id,
        "status": r.status,
        "expires_at": msgspec.to_builtins(r.expires_at),
        "open": msgspec.to_builtins(r.open),
        "waiting_for": msgspec.to_builtins(r.lines),
        "version": version,
    }


def routes(runtime: Runtime, app: ServiceApp) -> APIRouter:
    """The routes of the inventory service."""
    r = router(tags=["inventory"])
    _movement_routes(r, runtime)
    _stock_routes(r, runtime)
    return r


def _movement_routes(r: APIRouter, runtime: Runtime) -> None:
    @r.post("/items", status_code=201, response_model=ItemOut, responses=REGISTERED)
    async def register(body: ItemIn, who: Mover, key: Key) -> Response:
        """Make a SKU known: only known SKUs can be ordered. Its first receipt does so, too."""

        def shown(stock: Stock) -> dict[str, Any]:
            return {"sku": body.sku, "description": stock.description}

        command = RegisterItem(sku=body.sku, description=body.description)
        return await answer(runtime.writer, command, who, key, shown, status=201)

    @r.post("/receipts", status_code=201, response_model=MovementOut)
    async def receive(body: ReceiptIn, who: Mover, key: Key) -> Response:
        """Goods arrived. Whoever waits for them is served first, in order of arrival."""
        command = ReceiveStock(
            movement_id=body.movement_id, lines=_moved(body.lines), reference=body.reference
        )
        return await _move(runtime, command, who, key)

    @r.post("/adjustments", status_code=201, response_model=MovementOut)
    async def adjust(body: AdjustmentIn, who: Mover, key: Key) -> Response:
        """Correct a count. It cannot fall below what is promised (409 below-promised)."""
        command = AdjustStock(
            movement_id=body.movement_id,
            lines=_moved(body.lines),
            reason=body.reason,
            actor=who.subject,
        )
        return await _move(runtime, command, who, key)


def _moved(lines: Iterable[ReceiptLineIn | AdjustmentLineIn]) -> tuple[StockLine, ...]:
    return tuple(StockLine(sku=x.sku, location=x.location, quantity=x.quantity) for x in lines)


async def _move(
    runtime: Runtime, command: StockCommand, who: Principal, key: IdempotencyKey
) -> Response:
    made = {"movement_id": command.movement_id, "lines": len(command.lines)}
    return await answer(runtime.writer, command, who, key, lambda _: made, status=201)


def _stock_routes(r: APIRouter, runtime: Runtime) -> None:
    @r.get("/stock", response_model=StockListOut)
    async def stocks(
        who: Looker,
        skus: Annotated[
            str,
            Query(max_length=SKUS_MAX * 65, description=f"Up to {SKUS_MAX}, separated by commas"),
        ],
    ) -> dict[str, Any]:
        """The stock of several SKUs."""
        asked = _split(skus)
        streams = [f"stock-{sku}" for sku in asked]
        found = await read_states(runtime.table, runtime.store, streams)
        known = [sku for sku in asked if f"stock-{sku}" in found]
        return {
            "items": [
                stock_out(sku, found[f"stock-{sku}"].state, found[f"stock-{sku}"].version)
                for sku in known
            ],
            "unknown": [sku for sku in asked if f"stock-{sku}" not in found],
        }

    @r.get("/stock/{sku:path}", response_model=StockOut)
    async def stock(who: Looker, sku: Annotated[Name, Path()], response: Response) -> Any:
        """The stock of one SKU; the ETag is its version."""
        detail = f"{sku!r} was never registered or received: see POST /items."
        unknown = Problem(404, "sku-unknown", "No such SKU", detail=detail)
        found = await read_state(runtime.table, runtime.store, f"stock-{sku}", unknown)
        response.headers["ETag"] = etag(found.version)
        return stock_out(sku, found.state, found.version)

    @r.get("/reservations/{reservation_id}", response_model=ReservationOut)
    async def reservation(who: Insider, reservation_id: Identifier, response: Response) -> Any:
        """Where a reservation stands; an order's first is ``<order_id>.1``."""
        detail = f"Nobody has asked for the reservation {reservation_id!r}."
        unknown = Problem(404, "reservation-unknown", "No such reservation", detail=detail)
        stream = f"reservation-{reservation_id}"
        found = await read_state(runtime.table, runtime.store, stream, unknown)
        response.headers["ETag"] = etag(found.version)
        return reservation_out(reservation_id, found.state, found.version)


def _split(skus: str) -> list[str]:
    asked = list(dict.fromkeys(part for part in skus.split(",") if part))
    if not 1 <= len(asked) <= SKUS_MAX:
        raise Problem(
            422,
            "validation-failed",
            "The request has invalid fields",
            detail=f"Ask for 1 to {SKUS_MAX} SKUs, separated by commas.",
            errors=[FieldError("/skus", f"{len(asked)} SKUs", "length", "query")],
        )
    return asked
