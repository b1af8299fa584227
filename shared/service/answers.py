"""Answers made of structs: their JSON, their entity tag, and their schema for the OpenAPI document."""

from typing import Any

import msgspec
from fastapi import Response


def answer(shape: Any, description: str) -> dict[int | str, dict[str, Any]]:
    """FastAPI's ``responses`` for a 200 with this type as JSON."""
    schema = msgspec.json.schema(shape)
    inlined = _inline(schema, schema.get("$defs", {}), ())
    inlined.pop("$defs", None)
    return {200: {"description": description, "content": {"application/json": {"schema": inlined}}}}


def encoded(shape: Any, headers: dict[str, str] | None = None, *, status: int = 200) -> Response:
    """An answer with this struct as JSON. It is the caller's alone: kept by no cache on the way, and revalidated by the
    caller's own."""
    kept = {"cache-control": "private, no-cache"} | (headers or {})
    return Response(msgspec.json.encode(shape), status, kept, media_type="application/json")


def etag(version: int) -> str:
    """The strong entity tag (RFC 9110, 8.8.3) of a stream at ``version``."""
    return f'"{version}"'


def _inline(node: Any, defs: dict[str, Any], inside: tuple[str, ...]) -> Any:
    """Definitions put where they are referred to; one that contains itself ends as a plain
    object."""
    if isinstance(node, list):
        return [_inline(x, defs, inside) for x in node]
    if not isinstance(node, dict):
        return node
    name = str(node.get("$ref", "")).removeprefix("#/$defs/")
    if name:
        if name in inside:
            return {"type": "object"}
        return _inline(defs[name], defs, (*inside, name))
    return {k: _inline(v, defs, inside) for k, v in node.items() if k != "$defs"}
