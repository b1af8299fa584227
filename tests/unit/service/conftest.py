"""An example service: one hot operation, the same as a FastAPI route, and some that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import Depends
from pydantic import Field

from shared.service import (
    Call,
    CurrencyCode,
    IdempotencyKey,
    Identifier,
    Input,
    Keyring,
    MinorUnits,
    Position,
    Principal,
    Quantity,
    Reply,
    Role,
    ServiceApp,
    Sku,
    Text,
    create_app,
    idempotency,
    require,
    router,
)
from shared.service.admission import NEW_WORK
from shared.service.http import PUBLIC
from shared.service.security import KeyEntry, hash_key

KEYS = {role: f"oms_{role.value}_0123456789abcdef" for role in Role}


class Line(Input):
    sku: Sku
    quantity: Quantity
    unit_price: MinorUnits


class Order(Input):
    external_id: Identifier
    currency: CurrencyCode
    lines: Annotated[list[Line], Field(min_length=1, max_length=500)]
    note: Text | None = None
    weight: float | None = None


class Accepted(Input):
    order_id: str


def entries() -> list[KeyEntry]:
    return [
        KeyEntry(
            f"{role}-1",
            hash_key(key),
            role,
            channel="web" if role is Role.CHANNEL else None,
            customer="c-1" if role is Role.CUSTOMER else None,
        )
        for role, key in KEYS.items()
    ]


def build(**options: object) -> ServiceApp:
    app = create_app("example", keyring=Keyring(entries()), **options)  # type: ignore[arg-type]
    taken: list[IdempotencyKey] = []

    @app.hot_post("/orders", body=Order, roles=[Role.CHANNEL, Role.AGENT], response=Accepted)
    async def place(call: Call[Order]) -> Reply:
        """Place an order."""
        taken.append(call.idempotency)
        return Reply(201, {"order_id": call.body.external_id}, ((b"location", b"/orders/1"),))

    @app.hot_post("/new/orders", body=Order, roles=[Role.CHANNEL], new_work=True)
    async def new(call: Call[Order]) -> Reply:
        return Reply(201, {"order_id": call.body.external_id})

    @app.hot_post("/new/slow", body=Order, roles=[Role.CHANNEL], new_work=True)
    async def slow(call: Call[Order]) -> Reply:
        await app.state.release.wait()
        return Reply(201, {"order_id": call.body.external_id})

    routes = router()

    @routes.post("/new/plain", status_code=201, dependencies=[NEW_WORK])
    async def new_plain(
        body: Order, who: Annotated[Principal, Depends(require(Role.CHANNEL))]
    ) -> Accepted:
        return Accepted(order_id=body.external_id)

    @routes.post("/plain/orders", status_code=201)
    async def plain(
        body: Order,
        who: Annotated[Principal, Depends(require(Role.CHANNEL, Role.AGENT))],
        identity: Annotated[IdempotencyKey, Depends(idempotency)],
    ) -> Accepted:
        taken.append(identity)
        return Accepted(order_id=body.external_id)

    reader = Depends(require(Role.AUDITOR))

    @routes.get("/orders/{order_id}", dependencies=[reader])
    async def show(order_id: Identifier, version: Position = 0) -> dict[str, str | int]:
        return {"order_id": order_id, "version": version}

    @routes.get("/broken", dependencies=[PUBLIC])
    async def broken() -> None:
        raise RuntimeError("secret detail of the inside")

    app.include_router(routes)
    app.state.taken = taken
    app.state.release = asyncio.Event()
    return app


@pytest.fixture
def app() -> ServiceApp:
    return build()


@pytest.fixture
async def client(app: ServiceApp) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://example") as ready:
        yield ready


def headers(role: Role = Role.CHANNEL, **more: str) -> dict[str, str]:
    base = {
        "authorization": f"Bearer {KEYS[role]}",
        "content-type": "application/json",
        "idempotency-key": "key-1",
    }
    return base | {name.replace("_", "-"): value for name, value in more.items()}
