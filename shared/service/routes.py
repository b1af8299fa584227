"""Routes of a service: each one declares who may call it, and reads its body strictly."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import APIRouter, Depends, params
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from shared.service.admission import is_new_work
from shared.service.body import check_json_type, incomplete
from shared.service.hot import HotOperation, encode
from shared.service.jsonbody import decode
from shared.service.security import Guard


async def open_to_all() -> None:
    """Marks an operation that needs no key; see PUBLIC."""


PUBLIC = Depends(open_to_all)
"""`dependencies=[PUBLIC]` on a route or a router: declared open, on purpose."""


class StrictRequest(Request):
    """A request whose JSON is decoded by `jsonbody.decode`: no NaN, no lone surrogates."""

    async def json(self) -> Any:
        """The decoded body; raises Problem."""
        return decode(await self.body())


class RouteInfo:
    """What the edge must know about one operation before FastAPI reads its body."""

    __slots__ = ("guard", "json_body", "methods", "new_work", "path")

    def __init__(
        self,
        path: str,
        methods: frozenset[str],
        guard: Guard | None,
        *,
        json_body: bool,
        new_work: bool,
    ) -> None:
        self.path = path
        self.methods = methods
        self.guard = guard
        self.json_body = json_body
        self.new_work = new_work


class ServiceRoute(APIRoute):
    """Checks role and media type before the body is read: strangers cannot make us parse."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's hook for custom request handling."""
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            info: RouteInfo = request.app.infos[request.scope["endpoint"]]
            if info.guard is not None:
                info.guard.check(request.scope.get("oms.principal"))
            if info.json_body and _has_body(request.scope["oms.headers"]):
                check_json_type(request.scope["oms.headers"])
            strict = StrictRequest(request.scope, request.receive)
            if not info.new_work:
                return await answer(strict)
            try:
                await strict.body()  # before the gate, as in a hot operation
            except ClientDisconnect:
                raise incomplete() from None
            with request.app.admission.enter():
                return await answer(strict)

        return handler


class HotRoute(ServiceRoute):
    """Documents a hot operation, and serves it when it is reached through the router."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's hook for custom request handling."""
        operation: HotOperation[Any] = self.endpoint.hot  # type: ignore[attr-defined]

        async def handler(request: Request) -> Response:
            reply = await operation.answer(request.scope, request.receive)
            response = Response(encode(reply), reply.status, media_type="application/json")
            response.raw_headers.extend(reply.headers)
            return response

        return handler


def _has_body(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


def router(**options: Any) -> APIRouter:
    """An APIRouter whose operations are checked like those of the app (`prefix`, `tags` …)."""
    return APIRouter(route_class=ServiceRoute, **options)


def survey(routes: list[BaseRoute], open_paths: frozenset[str]) -> dict[Any, RouteInfo]:
    """Information by endpoint; raises TypeError for any route that doesn't say who may call it.

    `open_paths` are the paths of plain Starlette routes and mounts that are open on purpose.
    """
    infos: dict[Any, RouteInfo] = {}
    for context in iter_route_contexts(routes):
        path = context.path or ""
        if not isinstance(context.original_route, APIRoute):
            if path not in open_paths:
                raise TypeError(
                    f"{path} is a plain route without a role: declare it on a shared.service "
                    f"router, or name it in create_app(open_paths=…)"
                )
            continue
        info = _info(context, path)
        known = infos.get(context.endpoint)
        if known is not None and known.guard is not info.guard:
            raise TypeError(f"{path}: the same function serves {known.path} with other roles")
        infos[context.endpoint] = info
    return infos


def _info(context: RouteContext, path: str) -> RouteInfo:
    if not isinstance(context.original_route, ServiceRoute):
        raise TypeError(f"{path}: make its router with shared.service.router(), not APIRouter()")
    calls = list(_calls(context.dependant))
    guards = [call for call in calls if isinstance(call, Guard)]
    if bool(guards) == (open_to_all in calls):
        raise TypeError(
            f"{path}: declare who may call it, either Depends(require(Role.…)) or "
            "dependencies=[PUBLIC]"
        )
    guard = None
    if guards:
        roles = frozenset.intersection(*(guard.roles for guard in guards))
        guard = guards[0]
        if len(guards) > 1:
            guard = Guard(roles, shared=all(guard.shared for guard in guards))
    field = context.body_field
    json_body = field is not None and not isinstance(field.field_info, params.Form)
    return RouteInfo(
        path,
        frozenset(context.methods or ()),
        guard,
        json_body=json_body,
        new_work=is_new_work in calls,
    )


def _calls(dependant: Dependant) -> Iterator[Any]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from _calls(inner)
