"""Hot operations: POSTs that skip FastAPI's machinery but keep its documentation.

FastAPI spends some 400 µs a request on dependencies, exit stacks and response models; a hot
operation costs a tenth of that. It is matched by exact method and path at the edge and does the
same checks in the same order: role, media type, JSON, fields, Idempotency-Key.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from fastapi import Body, Depends, Header
from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope, Send

from shared.service.admission import Admission
from shared.service.body import check_json_type, read_body
from shared.service.idempotency import IdempotencyKey, InFlight, identify
from shared.service.jsonbody import decode
from shared.service.problems import validation_problem
from shared.service.security import Guard, Principal

BodyT = TypeVar("BodyT", bound=BaseModel)
_JSON = (b"content-type", b"application/json")


class Call(msgspec.Struct, Generic[BodyT], frozen=True):
    """A checked request: who calls, the validated body, its exact bytes and its idempotency key."""

    principal: Principal
    body: BodyT
    raw: bytes
    headers: dict[bytes, bytes]
    idempotency: IdempotencyKey


class Reply(msgspec.Struct, frozen=True):
    """An answer: `content` is encoded by msgspec unless it is bytes of JSON already."""

    status: int
    content: Any
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[Call[BodyT]], Awaitable[Reply]]


class HotOperation(Generic[BodyT]):
    """One hot operation as an ASGI application; errors propagate to the edge as exceptions."""

    def __init__(
        self,
        handler: Handler[BodyT],
        body: type[BodyT],
        guard: Guard,
        body_max: int,
        gate: Admission | None = None,
    ) -> None:
        self.handler = handler
        self.guard = guard
        self._gate = gate
        self._validate: Callable[[Any], BodyT] = body.__pydantic_validator__.validate_python
        self._body_max = body_max
        self._in_flight = InFlight()

    async def answer(self, scope: Scope, receive: Receive) -> Reply:
        """Check the request and run the handler; raises Problem."""
        principal = self.guard.check(scope.get("oms.principal"))
        check_json_type(scope["oms.headers"])
        # Before the gate: who sends slowly must not count as work under way, and keep others out.
        raw = await read_body(receive, self._body_max)
        if self._gate is None:
            return await self._answer(scope, raw, principal)
        with self._gate.enter(asked="oms.asked" in scope):
            return await self._answer(scope, raw, principal)

    async def _answer(self, scope: Scope, raw: bytes, principal: Principal) -> Reply:
        headers: dict[bytes, bytes] = scope["oms.headers"]
        identity = identify(
            headers.get(b"idempotency-key"), principal, scope["method"], scope["path"], raw
        )
        try:
            body = self._validate(decode(raw))
        except ValidationError as error:
            raise validation_problem(
                error.errors(include_url=False, include_context=False, include_input=False),
                where="body",
            ) from error
        with self._in_flight.enter(identity):
            return await self.handler(Call(principal, body, raw, headers, identity))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        reply = await self.answer(scope, receive)
        content = encode(reply)
        headers = [_JSON, (b"content-length", b"%d" % len(content)), *reply.headers]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


def encode(reply: Reply) -> bytes:
    """The body bytes of `reply`."""
    content = reply.content
    return content if isinstance(content, bytes) else msgspec.json.encode(content)


def documented(operation: HotOperation[BodyT], body: type[BodyT]) -> Callable[..., Any]:
    """The handler with the signature from which FastAPI derives OpenAPI for it."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    shown = functools.partial(operation.handler)
    functools.update_wrapper(shown, operation.handler)
    # inspect follows __wrapped__ to the handler's real signature, which is not the operation's.
    del shown.__dict__["__wrapped__"]
    parameters = [
        inspect.Parameter("body", keyword, annotation=Annotated[body, Body()]),
        inspect.Parameter("principal", keyword, annotation=_dependency(operation.guard)),
        inspect.Parameter(
            "idempotency_key", keyword, annotation=Annotated[str, Header(alias="Idempotency-Key")]
        ),
    ]
    signature = inspect.Signature(parameters)
    shown.__dict__.update(__signature__=signature, __annotations__={}, hot=operation)
    return shown


def _dependency(guard: Guard) -> Any:
    return Annotated[Principal, Depends(guard)]
