"""The fake provider over HTTP.

Outcomes, declines included, are 200 and tagged; errors are problem documents.

===========================================  ====================================================
`POST /authorisations`                       `{payment_id, amount: {amount, currency}, method}`
`POST /authorisations/{ref}/captures`        `{amount: {amount, currency}}`
`POST /authorisations/{ref}/void`            no body
`POST /authorisations/{ref}/refunds`         `{amount: {amount, currency}}`
`GET /outcomes?key=`                         `{outcome: … | null}`: the stored answer to a key
`GET /ledger?after=&limit=`                  `{entries: […], next_after}`
`GET | PUT | DELETE /admin/faults`           chaos, see `faults.FaultSettings`
`GET /livez`, `GET /readyz`                  probes, open
===========================================  ====================================================

Everything else needs `Authorization: Bearer`, every POST an `Idempotency-Key` (draft-ietf-httpapi-
idempotency-key-header: 400 without it, 422 if it was used for another request).
"""

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shared.payments import rules
from shared.payments.fake import FakeProvider, InjectedError, LostAnswerError
from shared.payments.faults import FaultSettings
from shared.payments.guard import Guard
from shared.payments.ledger import ENTRIES_MAX
from shared.payments.port import InvalidRequest, PaymentError, ProviderUnavailable
from shared.payments.problems import (
    on_crash,
    on_http_error,
    on_invalid,
    on_payment_error,
    problem,
)
from shared.payments.wire import Found, LedgerPage

Text = Annotated[str, Field(min_length=1, max_length=255)]
Key = Annotated[str, Header(alias="Idempotency-Key")]


class MoneyBody(BaseModel):
    """Minor units and an ISO 4217 code."""

    model_config = ConfigDict(extra="forbid", strict=True)
    amount: Annotated[int, Field(ge=1, le=rules.AMOUNT_MAX)]
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]


class AuthoriseBody(BaseModel):
    """What `POST /authorisations` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)
    payment_id: Text
    amount: MoneyBody
    method: Text


class AmountBody(BaseModel):
    """What captures and refunds take."""

    model_config = ConfigDict(extra="forbid", strict=True)
    amount: MoneyBody


def create_app(
    provider: FakeProvider, *, key: str, hang_s: float = 30.0, draining: asyncio.Event | None = None
) -> FastAPI:
    """Return the ASGI app.

    A lost answer hangs for `hang_s`, or until the caller leaves or it drains.
    """
    app = FastAPI(title="Fake payment provider", docs_url=None, redoc_url=None, openapi_url=None)
    stop = asyncio.Event() if draining is None else draining
    app.add_middleware(Guard, key=key)
    app.add_exception_handler(PaymentError, on_payment_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(InjectedError, _on_server_error)
    app.add_exception_handler(Exception, on_crash)

    async def on_answer_lost(request: Request, _: Exception) -> Response:
        return await _hang(request, hang_s, stop)

    app.add_exception_handler(LostAnswerError, on_answer_lost)
    _add_payment_routes(app, provider)
    _add_reading_routes(app, provider)
    _add_fault_routes(app, provider)
    _add_probes(app, provider, stop)
    return app


def _add_payment_routes(app: FastAPI, provider: FakeProvider) -> None:
    @app.post("/authorisations")
    async def authorise(body: AuthoriseBody, key: Key) -> Response:
        amount = body.amount
        return _json(
            await provider.perform(
                rules.Authorise(key, body.payment_id, amount.amount, amount.currency, body.method)
            )
        )

    @app.post("/authorisations/{provider_ref:path}/captures")
    async def capture(provider_ref: str, body: AmountBody, key: Key) -> Response:
        amount = body.amount
        return _json(
            await provider.perform(rules.Capture(key, provider_ref, amount.amount, amount.currency))
        )

    @app.post("/authorisations/{provider_ref:path}/void")
    async def void(provider_ref: str, key: Key) -> Response:
        return _json(await provider.perform(rules.Void(key, provider_ref)))

    @app.post("/authorisations/{provider_ref:path}/refunds")
    async def refund(provider_ref: str, body: AmountBody, key: Key) -> Response:
        amount = body.amount
        return _json(
            await provider.perform(rules.Refund(key, provider_ref, amount.amount, amount.currency))
        )


def _add_reading_routes(app: FastAPI, provider: FakeProvider) -> None:
    @app.get("/outcomes")
    async def lookup(key: str) -> Response:
        return _json(Found(await provider.lookup(key)))

    @app.get("/ledger")
    async def ledger(
        after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
        limit: Annotated[int, Query(ge=1, le=ENTRIES_MAX)] = 500,
    ) -> Response:
        entries = await provider.entries(after, limit)
        return _json(LedgerPage(entries, entries[-1].id if entries else after))


def _add_fault_routes(app: FastAPI, provider: FakeProvider) -> None:
    @app.get("/admin/faults")
    async def show() -> Response:
        return _json(provider.faults.settings)

    @app.put("/admin/faults")
    async def change(request: Request) -> Response:
        try:
            settings = msgspec.json.decode(await request.body(), type=FaultSettings)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest(f"fault settings: {error}") from error
        provider.faults.set(settings)
        return _json(settings)

    @app.delete("/admin/faults")
    async def clear() -> Response:
        provider.faults.set(FaultSettings())
        return _json(provider.faults.settings)


def _add_probes(app: FastAPI, provider: FakeProvider, draining: asyncio.Event) -> None:
    @app.get("/livez")
    async def livez() -> Response:
        return _json({"status": "live"})

    @app.get("/readyz")
    async def readyz() -> Response:
        if draining.is_set():
            return problem("draining", "The provider is stopping", 503)
        await provider.entries(
            0, 1
        )  # raises ProviderUnavailable, hence 503, if the ledger is stuck
        return _json({"status": "ready"})


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


async def _on_server_error(_: Request, error: Exception) -> Response:
    return problem("injected-failure", "The provider failed on purpose", 500, str(error))


async def _hang(request: Request, hang_s: float, draining: asyncio.Event) -> Response:
    """Say nothing for as long as the caller listens, like a connection that died on the way."""
    waits = {
        asyncio.create_task(_hung_up(request)),
        asyncio.create_task(draining.wait()),
    }
    try:
        await asyncio.wait(waits, timeout=hang_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return problem(
        ProviderUnavailable.problem, "No answer in time", 504, "The outcome is unknown; look it up."
    )


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
