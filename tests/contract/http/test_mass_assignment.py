"""No caller can set what only the service may: every field of its answers that a request does not declare is refused
at every level of the body, by name."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from ops.contracts.__main__ import DOCS
from shared.service import Role
from shared.service.jsonbody import decode
from tests.contract.http.composed import KEYS, Composed
from tests.contract.http.hostile import resolved, valid

pytestmark = pytest.mark.asyncio(loop_scope="package")

#: Owned by us whether an answer shows them or not.
ALWAYS = {
    "id", "version", "status", "state", "position", "sequence", "role", "roles", "actor", "principal", "subject",
    "created_at", "updated_at", "recorded_at", "confirmed_at", "paid", "paid_at", "payment", "payment_status",
    "captured", "authorised", "refunded", "refund", "total_paid", "approved", "approved_at", "secret", "is_admin",
}  # fmt: skip
#: Names in one request: an answer names up to a hundred fields.
AT_ONCE = 60


def answered() -> set[str]:
    """The names of every field that any service answers with."""
    names: set[str] = set()
    for path in sorted((DOCS / "openapi").glob("*.json")):
        document = decode(path.read_bytes())
        components = document["components"]["schemas"]
        for operations in document["paths"].values():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    if status.startswith("2"):
                        for content in response.get("content", {}).values():
                            names |= set(_names(content.get("schema", {}), components, ()))
    return names


def _names(schema: Any, components: Any, seen: tuple[str, ...]) -> Iterator[str]:
    if isinstance(schema, list):
        for part in schema:
            yield from _names(part, components, seen)
    if not isinstance(schema, dict):
        return
    reference = schema.get("$ref", "")
    if reference and reference not in seen:
        name = reference.rpartition("/")[2]
        yield from _names(components.get(name, {}), components, (*seen, reference))
    for name, inner in schema.get("properties", {}).items():
        yield name
        yield from _names(inner, components, seen)
    for part in ("items", "anyOf", "allOf", "oneOf", "additionalProperties", "$defs"):
        inner = schema.get(part)
        yield from _names(
            list(inner.values()) if part == "$defs" and inner else inner, components, seen
        )


def objects(schema: Any, components: Any, path: tuple[str | int, ...] = ()) -> Iterator[Any]:
    """Every object in a body: where it is, and the names that it may have."""
    inner = resolved(schema, components)
    if "properties" in inner:
        yield path, set(inner["properties"])
    for name, value in inner.get("properties", {}).items():
        yield from objects(value, components, (*path, name))
    if inner.get("type") == "array":
        yield from objects(inner["items"], components, (*path, 0))


async def test_no_request_sets_a_field_that_the_service_owns(service: Composed) -> None:
    components = service.openapi["components"]["schemas"]
    owned = answered() | ALWAYS
    assert len(owned) > 150
    wrong: list[str] = []
    for method, path, described in service.operations():
        if "requestBody" not in described or not described["security"]:
            continue
        schema = described["requestBody"]["content"]["application/json"]["schema"]
        body = valid(schema, components)
        for place, declared in objects(schema, components):
            names = sorted(owned - declared)
            for at in range(0, len(names), AT_ONCE):
                some = names[at : at + AT_ONCE]
                accepted = await not_named(service, method, path, described, body, place, some)
                wrong += [f"{method} {path} {name}" for name in accepted]
    assert wrong == []
    assert service.logged() == 0


async def not_named(
    service: Composed,
    method: str,
    path: str,
    described: dict[str, Any],
    body: Any,
    place: tuple[str | int, ...],
    names: list[str],
) -> set[str]:
    """The pointers of fields that a request brought and its refusal does not name."""
    sent = copy.deepcopy(body)
    at = sent
    for part in place:
        at = at[part]
    at |= dict.fromkeys(names, "1")
    role = Role(min(described["x-roles"], key=lambda role: role in ("channel", "customer")))
    headers = {"authorization": f"Bearer {KEYS[role]}", "idempotency-key": str(uuid4())}
    address = path.replace("{", "").replace("}", "")
    answer = await service.http.request(method, address, json=sent, headers=headers)
    pointers = {"".join(f"/{part}" for part in (*place, name)) for name in names}
    if answer.status_code != 422:
        return {f"{pointer} ({answer.status_code})" for pointer in pointers}
    return pointers - {error["field"] for error in answer.json()["errors"]}
