"""A service to be started as a process by the tests; EXAMPLE_FAULT chooses what goes wrong."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends
from pydantic import Field

from shared.service import (
    Call,
    Handle,
    Identifier,
    Input,
    Keyring,
    Principal,
    Quantity,
    Reply,
    Role,
    Service,
    ServiceApp,
    Settings,
    Sku,
    Task,
    create_app,
    require,
    router,
    run,
)

FAULT = os.environ.get("EXAMPLE_FAULT", "")


class ExampleSettings(Settings):
    service: str = "example"


class Line(Input):
    sku: Sku
    quantity: Quantity


class Order(Input):
    external_id: Identifier
    lines: Annotated[list[Line], Field(min_length=1, max_length=100)]


def application(settings: ExampleSettings, ended: list[str]) -> ServiceApp:
    assert settings.keys_file is not None
    app = create_app("example", keyring=Keyring.from_file(settings.keys_file))

    @app.hot_post("/orders", body=Order, roles=[Role.CHANNEL])
    async def place(call: Call[Order]) -> Reply:
        await asyncio.sleep(0.02)
        # A request in flight must still find the tasks it depends on.
        assert not ended, f"tasks {ended} ended before the requests"
        return Reply(201, {"order_id": call.body.external_id})

    routes = router(dependencies=[Depends(require(Role.OPS))])

    @routes.get("/hang")
    async def hang() -> None:
        await asyncio.Event().wait()

    @routes.get("/block")
    async def block() -> None:
        time.sleep(0.6)  # noqa: ASYNC251 - the lag alarm must see it

    @routes.get("/whoami")
    async def whoami(who: Annotated[Principal, Depends(require(Role.OPS))]) -> dict[str, str]:
        return {"id": who.id}

    app.include_router(routes)
    return app


@asynccontextmanager
async def compose(settings: ExampleSettings) -> AsyncIterator[Service]:
    if FAULT == "hang_starting":
        await asyncio.Event().wait()
    if FAULT == "fail_starting":
        raise RuntimeError("no database at 127.0.0.1:1")
    ended: list[str] = []

    async def consumer(handle: Handle) -> None:
        handle.ready()
        if FAULT == "crash":
            raise RuntimeError("producer out of order")
        if FAULT == "return":
            return
        if FAULT == "wedge":
            handle.progress.report(assigned=True, behind=True)
        if FAULT == "ignore_stop":
            await asyncio.Event().wait()
        await handle.stopping.wait()
        if FAULT == "block_stopping":
            time.sleep(60)  # noqa: ASYNC251 - nothing in the loop can end this
        if FAULT == "fail_stopping":
            raise RuntimeError("could not flush")
        ended.append("consumer")

    async def relay(handle: Handle) -> None:
        handle.ready()
        await handle.stopping.wait()
        ended.append("relay")

    app = application(settings, ended)
    yield Service(app, [Task("consumer", consumer, stop_s=1.0), Task("relay", relay)])
    print("closed after", ",".join(ended), flush=True)  # noqa: T201 - read by the tests


if __name__ == "__main__":
    run(ExampleSettings, compose)
