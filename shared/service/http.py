"""The HTTP application of a service: FastAPI behind the edge, with probes, metrics and problems."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.ledger.store import Unavailable
from shared.ledger.work import Overloaded
from shared.service import openapi, telemetry
from shared.service.admission import Admission, Refusal
from shared.service.body import BODY_MAX_BYTES
from shared.service.docs import add_docs
from shared.service.edge import IN_FLIGHT_MAX, Edge, as_problem, render
from shared.service.hot import BodyT, Handler, HotOperation, documented
from shared.service.limits import UNLIMITED, RateLimits, Rates
from shared.service.metrics import Metrics
from shared.service.problems import internal_error
from shared.service.routes import PUBLIC, HotRoute, RouteInfo, ServiceRoute, router, survey
from shared.service.security import Keyring, Principal, Role, require
from shared.service.tasks import Health
from shared.service.trust import Trust

__all__ = ["PUBLIC", "ServiceApp", "create_app", "router"]

METRICS_ROLES = (Role.OPS, Role.AUDITOR, Role.SERVICE)
_FRAMEWORK_PATHS = frozenset(("/openapi.json",))
UNMATCHED = "(unmatched)"


class ServiceApp(FastAPI):
    """A FastAPI application whose every request passes the edge. Make it with `create_app`."""

    def __init__(
        self,
        *,
        health: Health,
        metrics: Metrics,
        admission: Admission,
        open_paths: frozenset[str],
        **kw: Any,
    ):
        super().__init__(**kw)
        self.admission = admission
        self._new_work: set[tuple[bytes, bytes]] = set()
        self.health = health
        self.metrics = metrics
        self.infos: dict[Any, RouteInfo] = {}
        self.edge: Edge
        self.body_max = BODY_MAX_BYTES
        self._open_paths = open_paths
        self._sealed_routes = -1
        self.router.route_class = ServiceRoute

    def seal(self) -> None:
        """Check that every route declares its roles; raises TypeError. Runs before serving."""
        self.infos = survey(self.router.routes, self._open_paths | _FRAMEWORK_PATHS)
        self._sealed_routes = len(self.router.routes)

    async def framework(self, scope: Scope, receive: Receive, send: Send) -> None:
        """FastAPI's own stack, which the edge calls."""
        await super().__call__(scope, receive, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        if len(self.router.routes) != self._sealed_routes:
            self.seal()
        await self.edge(scope, receive, send)

    def route_of(self, scope: Scope) -> str:
        """The route template for metrics, so that ids never become label values."""
        info = self.infos.get(scope.get("endpoint"))
        if info is not None:
            return info.path
        return scope["path"] if scope["path"] in _FRAMEWORK_PATHS else UNMATCHED

    def brings_new_work(self, method: bytes, path: bytes) -> bool:
        """Whether the door may turn this request away (hot operations only: their path is exact)."""
        return (method, path) in self._new_work

    def turned_away(self, path: bytes) -> Refusal | None:
        """Why a request of new work is not let in now, asked at the door, and counted; None when it is."""
        refusal = self.admission.refusal()
        if refusal is not None:
            self.metrics.requests.observe("POST", path.decode(), 503, 0.0)
        return refusal

    def hot_post(
        self,
        path: str,
        *,
        body: type[BodyT],
        roles: Sequence[Role],
        status: int = 201,
        response: type[BaseModel] | None = None,
        new_work: bool = False,
        **documentation: Any,
    ) -> Callable[[Handler[BodyT]], Handler[BodyT]]:
        """Register `async def handler(call: Call[Body]) -> Reply` as a hot operation.

        `path` has no parameters. Idempotency-Key is required. `new_work` is turned away first when
        there is too much to do (`shared.service.admission`). `response` only documents;
        `documentation` goes to FastAPI (`summary`, `tags`, `responses` …).
        """
        if "{" in path:
            raise ValueError(f"{path}: a hot operation is found by its exact path")

        def register(handler: Handler[BodyT]) -> Handler[BodyT]:
            gate = self.admission if new_work else None
            operation = HotOperation(handler, body, require(*roles), self.body_max, gate)
            self.router.add_api_route(
                path,
                documented(operation, body),
                methods=["POST"],
                status_code=status,
                response_model=response,
                route_class_override=HotRoute,
                **documentation,
            )
            self.edge.hot["POST", path] = operation
            if new_work:
                self._new_work.add((b"POST", path.encode()))
            return handler

        return register

    def openapi(self) -> dict[str, Any]:
        """OpenAPI 3.1 with problem responses and security per operation."""
        if not self.openapi_schema:
            self.seal()
            described = openapi.describe(super().openapi(), self.infos.values())
            self.openapi_schema = described
        return self.openapi_schema


async def _answer_problem(request: Request, error: Exception) -> Response:
    problem = as_problem(error) or internal_error()
    if problem.status_code == 405 and (allowed := _allowed(request)):
        problem.headers = {**(problem.headers or {}), "Allow": allowed}
    status, headers, body = render(problem, request.scope, telemetry.current())
    response = Response(body, status)
    response.raw_headers[:] = headers
    return response


def _allowed(request: Request) -> str:
    """Every method of the path: the framework names only those of the first route that has it. Empty for plain routes,
    which are right by themselves."""
    infos: dict[Any, RouteInfo] = request.app.infos
    info = infos.get(request.scope.get("endpoint"))
    if info is None:
        return ""
    return ", ".join(sorted({m for i in infos.values() if i.path == info.path for m in i.methods}))


def create_app(
    name: str,
    *,
    keyring: Keyring,
    version: str = "0",
    description: str = "",
    rates: Rates = UNLIMITED,
    admission: Admission | None = None,
    body_max: int = BODY_MAX_BYTES,
    in_flight_max: int = IN_FLIGHT_MAX,
    open_paths: Sequence[str] = (),
    cookie: str | None = None,
    trust: Trust | None = None,
    access_log: bool = False,
) -> ServiceApp:
    """The application of service `name`, with /livez, /readyz, /metrics, /openapi.json and /docs.

    `rates` limit callers; without them nobody is limited. `admission` is the gate of new work.
    `body_max` is in bytes. `open_paths` names plain routes and mounts that need no key (static
    files). `cookie` names a cookie that may carry a key for GET (pages). `trust` says whose tokens
    are believed beside keys. Only the probes, the OpenAPI document and its page are open by default.
    """
    metrics = Metrics(name, version)
    app = ServiceApp(
        health=Health(name),
        metrics=metrics,
        admission=admission or Admission(in_flight_max),
        open_paths=frozenset(open_paths),
        title=f"OMS {name}",
        version=version,
        description=description,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            HTTPException: _answer_problem,
            RequestValidationError: _answer_problem,
            Unavailable: _answer_problem,
            Overloaded: _answer_problem,
            Exception: _answer_problem,
        },
    )
    app.body_max = body_max
    app.edge = Edge(
        app.framework,
        keyring,
        metrics,
        app.route_of,
        rates=RateLimits(rates),
        body_max=body_max,
        in_flight_max=in_flight_max,
        cookie=cookie,
        tokens=_reader(trust) if trust else None,
        access_log=access_log,
    )
    metrics.watch(app.admission)
    _add_operations(app)
    add_docs(app)
    return app


def _reader(trust: Trust) -> Callable[[bytes], Awaitable[Principal]]:
    """See `shared.service.trust`: only where tokens are believed."""
    from shared.service.tokens import Tokens

    return Tokens(trust).authenticate


def _add_operations(app: ServiceApp) -> None:
    @app.get("/livez", dependencies=[PUBLIC], tags=["operations"], summary="The process runs")
    async def livez() -> dict[str, str]:
        return {"status": "alive", "service": app.health.service}

    @app.get(
        "/readyz",
        dependencies=[PUBLIC],
        tags=["operations"],
        summary="Ready for traffic, with the state of each background task",
        responses={
            503: {
                "description": "Not ready; the same document says why",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    )
    async def readyz(response: Response) -> dict[str, Any]:
        response.status_code = 200 if app.health.ready else 503
        return app.health.describe()

    @app.get(
        "/metrics",
        dependencies=[Depends(require(*METRICS_ROLES))],
        tags=["operations"],
        summary="Prometheus metrics",
        response_class=Response,
    )
    async def metrics() -> Response:
        for handle in app.health.handles:
            app.metrics.task_ready.labels(handle.name).set(handle.state.value == "ready")
            app.metrics.task_progress.labels(handle.name).set(handle.progress.steps)
        return Response(
            app.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8"
        )
