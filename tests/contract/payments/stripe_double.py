"""A Stripe that remembers: the part of its API that we use, over the fake provider's ledger.

stripe-mock knows every request that Stripe's OpenAPI allows and remembers nothing; this remembers and knows little. So
each request goes to stripe-mock as well, where one runs, and what that refuses is listed in `invalid`.
"""

import asyncio
import json
import re
from typing import Any
from urllib.parse import parse_qsl

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.payments import Authorised, Declined, IdempotencyMismatch, Outcome, Refused
from shared.payments.fake import FakeProvider, InjectedError, LostAnswerError
from shared.payments.rules import Authorise, Capture, Refund, Void, reference
from shared.payments.rules import Request as Asked

Json = dict[str, Any]
_CODES = {
    "exceeds_authorised": "amount_too_large",
    "exceeds_captured": "amount_too_large",
    "unknown_reference": "resource_missing",
}


class StripeDouble:
    """Intents and refunds as Stripe shows them. `multicapture` is what cards allow; `pending` leaves
    authorisations and refunds open until `settle`; `status` answers everything with an error of this status."""

    def __init__(self, fake: FakeProvider, mock_url: str = "") -> None:
        self.fake = fake
        self.intents: dict[str, Json] = {}
        self.refunds: dict[str, Json] = {}
        self.seen: list[httpx.Request] = []
        self.invalid: list[str] = []
        self.multicapture = "available"
        self.pending = False
        self.status = 0
        self.stopped = asyncio.Event()
        self._mock = httpx.AsyncClient(base_url=mock_url, trust_env=False) if mock_url else None
        intents, one = "/v1/payment_intents", "/v1/payment_intents/{id:path}"
        self.app = Starlette(
            routes=[
                Route(intents, self.create, methods=["POST"]),
                Route(f"{intents}/search", self.search),
                Route(f"{one}/capture", self.capture, methods=["POST"]),
                Route(f"{one}/cancel", self.cancel, methods=["POST"]),
                Route(one, self.retrieve),
                Route("/v1/refunds", self.refund, methods=["POST"]),
                Route("/v1/refunds", self.list_refunds),
                Route("/v1/refunds/{id}", self.retrieve_refund),
            ]
        )

    def settle(self) -> None:
        """What was left open goes well."""
        self.pending = False
        for intent in self.intents.values():
            if intent["status"] == "processing":
                intent["status"] = "requires_capture"
        for refund in self.refunds.values():
            refund["status"] = "succeeded"

    async def close(self) -> None:
        self.stopped.set()
        if self._mock is not None:
            await self._mock.aclose()

    async def create(self, request: Request) -> Response:
        form = await self._read(request)
        key = request.headers["idempotency-key"]
        asked = Authorise(
            key,
            form["metadata"]["oms_payment"],
            int(form["amount"]),
            form["currency"].upper(),
            form["payment_method"],
        )

        def made(outcome: Outcome) -> Response:
            id = (
                outcome.provider_ref
                if isinstance(outcome, Authorised)
                else reference("authorise", key)
            )
            intent = self.intents.setdefault(id, _intent(id, form, self.multicapture))
            if isinstance(outcome, Declined):
                code = {
                    "insufficient_funds": "insufficient_funds",
                    "invalid_method": "expired_card",
                }
                fault = {"code": "card_declined", "decline_code": code[outcome.code]}
                intent["status"] = "requires_payment_method"
                intent["last_payment_error"] = fault | {
                    "message": outcome.message,
                    "type": "card_error",
                }
                return _error(402, **intent["last_payment_error"])
            if self.pending:
                intent["status"] = "processing"
            return JSONResponse(intent)

        return await self._perform(request, asked, made)

    async def capture(self, request: Request) -> Response:
        form = await self._read(request)
        id, amount = request.path_params["id"], int(form["amount_to_capture"])
        final = form.get("final_capture", "true") == "true"
        intent = self.intents[id]
        if not final and self.multicapture != "available":
            return _error(
                400, code="parameter_invalid", param="final_capture", message="no multicapture"
            )
        key = request.headers["idempotency-key"]
        asked: Asked = Void(key, id)
        if amount:
            asked = Capture(key, id, amount, intent["currency"].upper())

        def made(outcome: Outcome) -> Response:
            if isinstance(outcome, Refused):
                return _refused(outcome, "amount_to_capture")
            received = intent["amount_received"] + amount
            done = final or received == intent["amount"]
            intent["amount_received"] = received
            intent["amount_capturable"] = 0 if done else intent["amount"] - received
            intent["status"] = "succeeded" if done else "requires_capture"
            intent["metadata"] |= form["metadata"]
            return JSONResponse(intent)

        return await self._perform(request, asked, made)

    async def cancel(self, request: Request) -> Response:
        await self._read(request)
        id = request.path_params["id"]

        def made(outcome: Outcome) -> Response:
            if isinstance(outcome, Refused):
                return _error(400, code="payment_intent_unexpected_state", message=outcome.message)
            self.intents[id] |= {"status": "canceled", "amount_capturable": 0}
            return JSONResponse(self.intents[id])

        return await self._perform(request, Void(request.headers["idempotency-key"], id), made)

    async def retrieve(self, request: Request) -> Response:
        await self._read(request)
        if self.status:
            return _error(self.status, code="injected", message="as the test asked")
        intent = self.intents.get(request.path_params["id"])
        if intent is None:
            return _error(
                404, code="resource_missing", param="intent", message="No such payment_intent"
            )
        return JSONResponse(intent)

    async def search(self, request: Request) -> Response:
        await self._read(request)
        wanted = re.fullmatch(r'-metadata\["(\w+)"\]:null', request.query_params["query"])
        assert wanted is not None
        found = [i for i in self.intents.values() if wanted[1] in i["metadata"]]
        return JSONResponse(
            {"object": "search_result", "data": found[:1], "has_more": False, "url": "/"}
        )

    async def refund(self, request: Request) -> Response:
        form = await self._read(request)
        key, id = request.headers["idempotency-key"], form["payment_intent"]
        amount, currency = int(form["amount"]), self.intents[id]["currency"]
        asked = Refund(key, id, amount, currency.upper())

        def made(outcome: Outcome) -> Response:
            if isinstance(outcome, Refused):
                return _refused(outcome, "amount")
            refund = self.refunds.setdefault(
                reference("refund", key),
                {
                    "object": "refund",
                    "id": reference("refund", key),
                    "amount": amount,
                    "currency": currency,
                    "payment_intent": id,
                    "metadata": form["metadata"],
                    "status": "pending" if self.pending else "succeeded",
                },
            )
            return JSONResponse(refund)

        return await self._perform(request, asked, made)

    async def list_refunds(self, request: Request) -> Response:
        await self._read(request)
        of = request.query_params["payment_intent"]
        found = [r for r in self.refunds.values() if r["payment_intent"] == of]
        return JSONResponse(
            {"object": "list", "data": found, "has_more": False, "url": "/v1/refunds"}
        )

    async def retrieve_refund(self, request: Request) -> Response:
        await self._read(request)
        return JSONResponse(self.refunds[request.path_params["id"]])

    async def _perform(self, request: Request, asked: Asked, made: Any) -> Response:
        if self.status:
            return _error(self.status, code="injected", message="as the test asked")
        try:
            return made(await self.fake.perform(asked))  # type: ignore[no-any-return]
        except InjectedError as error:
            return _error(500, message=str(error), type="api_error")
        except IdempotencyMismatch as error:
            return _error(400, message=str(error), type="idempotency_error")
        except LostAnswerError:
            if (outcome := await self.fake.lookup(asked.key)) is not None:
                made(outcome)
            await self.stopped.wait()
            return Response(status_code=503)

    async def _read(self, request: Request) -> Json:
        """The request's form; stripe-mock says whether the request is one that Stripe's OpenAPI allows."""
        body = await request.body()
        self.seen.append(
            httpx.Request(
                request.method, str(request.url), headers=request.headers.raw, content=body
            )
        )
        # stripe-mock routes an escaped slash as a slash, which no id of Stripe's has.
        if self._mock is not None and b"%2F" not in request.scope["raw_path"]:
            headers = {
                n: v for n, v in request.headers.items() if n not in ("host", "content-length")
            }
            url = httpx.URL(
                raw_path=request.scope["raw_path"] + b"?" + request.scope["query_string"]
            )
            answer = await self._mock.request(request.method, url, headers=headers, content=body)
            if answer.status_code != 200:
                self.invalid.append(f"{request.method} {request.url.path} {body!r}: {answer.text}")
        return _nested(body.decode())


def _nested(form: str) -> Json:
    """`a[b][c]=d` as nested dicts."""
    out: Json = {}
    for name, value in parse_qsl(form):
        first, *more = re.findall(r"[^\[\]]+", name)
        at = out
        for part in more:
            at = at.setdefault(first, {})
            first = part
        at[first] = value
    return out


def _intent(id: str, form: Json, multicapture: str) -> Json:
    amount = int(form["amount"])
    return {
        "object": "payment_intent",
        "id": id,
        "status": "requires_capture",
        "amount": amount,
        "amount_capturable": amount,
        "amount_received": 0,
        "currency": form["currency"],
        "metadata": dict(form["metadata"]),
        "last_payment_error": None,
        "latest_charge": {
            "object": "charge",
            "payment_method_details": {"card": {"multicapture": {"status": multicapture}}},
        },
    }


def _refused(outcome: Refused, param: str) -> Response:
    if outcome.reason in ("capture_refused", "refund_refused"):
        return _error(
            402, code="card_declined", decline_code="do_not_honor", message=outcome.message
        )
    return _error(400, code=_CODES[outcome.reason], param=param, message=outcome.message)


def _error(status: int, **fields: str) -> Response:
    kind = "card_error" if status == 402 else "invalid_request_error"
    body = json.dumps({"error": {"type": kind} | fields})
    return Response(
        body, status, media_type="application/json", headers={"request-id": "req_double"}
    )
