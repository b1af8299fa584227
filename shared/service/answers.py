"""JSON Schemas of the answers for the OpenAPI document, made from the structs that are encoded."""

from typing import Any

import msgspec


def answer(shape: Any, description: str) -> dict[int | str, dict[str, Any]]:
    """FastAPI's ``responses`` for a 200 with this type as JSON."""
    schema = msgspec.json.schema(shape)
    inlined = _inline(schema, schema.get("$defs", {}), ())
    inlined.pop("$defs", None)
    return {200: {"description": description, "content": {"application/json": {"schema": inlined}}}}


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
