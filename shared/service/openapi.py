"""What FastAPI's OpenAPI document lacks: problems, security and roles of each operation."""

import re
from collections.abc import Iterable
from typing import Any

from shared.service.problems import MEDIA_TYPE
from shared.service.routes import RouteInfo
from shared.service.security import Guard

_SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, or an OIDC access token",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_FIELD_ERROR = {
    "type": "object",
    "required": ["field", "message", "code"],
    "properties": {
        "field": {"type": "string", "description": "JSON pointer (RFC 6901)"},
        "message": {"type": "string"},
        "code": {"type": "string"},
        "in": {
            "type": "string",
            "enum": ["body", "query", "path", "header", "cookie"],
            "default": "body",
        },
    },
}
_PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457)",
    "required": ["type", "title", "status", "instance"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri-reference"},
        "trace_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
        "errors_omitted": {"type": "integer"},
    },
}
_IDEMPOTENCY_KEY = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "description": "Unique for each new request; the same again when it is repeated",
}
_ALWAYS = {
    "400": "The request cannot be understood",
    "413": "The body is larger than accepted",
    "422": "Fields are invalid; each is named",
    "429": "Too many requests of this caller; Retry-After says when to repeat",
    "431": "Request line and headers are larger than accepted",
    "500": "Something failed here; look up the trace_id",
    "503": "Overloaded or stopping; repeat later",
}
_WITH_BODY = {"415": "The body is not declared as JSON"}
_GUARDED = {"401": "No valid API key or token", "403": "The caller's role may not do this"}


def leads_to(
    status: int, parameters: dict[str, str], *operations: str
) -> dict[int | str, dict[str, Any]]:
    """FastAPI's ``responses`` for OpenAPI links: what can be asked next with what this answer holds.

    `operations` are such as ``GET /orders/{order_id}``; `parameters` gives each of their path parameters as a runtime
    expression, such as ``$response.body#/order_id``.
    """
    links = {}
    for operation in operations:
        method, path = operation.split()
        name = re.sub(r"\W+", "_", operation).strip("_")
        reference = f"#/paths/{path.replace('/', '~1')}/{method.lower()}"
        links[name] = {"operationRef": reference, "parameters": parameters}
    return {status: {"links": links}}


def _response(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


def describe(document: dict[str, Any], infos: Iterable[RouteInfo]) -> dict[str, Any]:
    """Complete FastAPI's `document` in place and return it."""
    guards: dict[str, dict[str, Guard | None]] = {}
    for info in infos:
        # FastAPI documents {sku:path} as {sku}.
        by_method = guards.setdefault(re.sub(r":\w+\}", "}", info.path), {})
        by_method.update((method.lower(), info.guard) for method in info.methods)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(operation, guards.get(path, {}).get(method), named="{" in path)
    operations = [o for by_method in document["paths"].values() for o in by_method.values()]
    tags = dict.fromkeys(tag for operation in operations for tag in operation.get("tags", ()))
    # What the service is for comes first on its page; what every service has, last.
    document["tags"] = [{"name": tag} for tag in sorted(tags, key="operations".__eq__)]
    components = document.setdefault("components", {})
    components["securitySchemes"] = _SECURITY_SCHEMES
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = _PROBLEM
    schemas["FieldError"] = _FIELD_ERROR
    return document


def _complete(operation: dict[str, Any], guard: Guard | None, *, named: bool) -> None:
    needed = dict(_ALWAYS)
    if named:
        needed["404"] = "Nothing is known by this id"
    if "requestBody" in operation:
        needed.update(_WITH_BODY)
    for parameter in operation.get("parameters", ()):
        if parameter["name"].lower() != "idempotency-key":
            continue
        parameter.update(required=True, schema=_IDEMPOTENCY_KEY)
        needed["409"] = "The same request is being processed, or the state forbids it"
    if guard is not None:
        needed.update(_GUARDED)
        operation["security"] = [{"bearer": []}, {"apiKey": []}]
        operation["x-roles"] = sorted(guard.roles)
        if guard.scope:
            operation["x-scope"] = guard.scope
    else:
        operation["security"] = []
    responses = operation.setdefault("responses", {})
    for status, description in needed.items():
        own = responses.get(status)
        # FastAPI's own 422 shape is never sent; a service's own description stays.
        if own is None or "HTTPValidationError" in str(own):
            responses[status] = _response(description)
    for status, own in responses.items():
        if int(status) >= 400 and "content" not in own:
            own["content"] = _response("")["content"]
