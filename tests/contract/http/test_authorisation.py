"""Every operation in every service's OpenAPI document, asked by nobody, by a stranger and by each wrong role."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from shared.service import Role
from tests.contract.http.composed import KEYS, Composed, starting

pytestmark = pytest.mark.asyncio(loop_scope="package")

#: What is open on purpose; anything more is found by this test.
OPEN = {("GET", "/livez"), ("GET", "/readyz")}
OPEN_TOO = {
    "views": {("GET", "/sign-in"), ("POST", "/sign-in"), ("POST", "/sign-out")},
    "integrations": {("POST", "/shopify/webhooks")},  # opened by its signature
}


async def ask(service: Composed, method: str, path: str, **headers: str) -> httpx.Response:
    address = re.sub(r"\{[^}]+\}", "x1", path)
    body: Any = b"{}" if method in ("POST", "PUT", "PATCH") else None
    declared = {"content-type": "application/json", "idempotency-key": "k1"} if body else {}
    return await service.http.request(method, address, content=body, headers=declared | headers)


def bearer(role: Role) -> str:
    return f"Bearer {KEYS[role]}"


async def test_no_operation_is_open_to_the_wrong_caller(service: Composed) -> None:
    operations = service.operations()
    is_open = {(method, path) for method, path, o in operations if not o["security"]}
    assert is_open <= OPEN | OPEN_TOO.get(service.name, set())
    guarded = [(m, p, o["x-roles"]) for m, p, o in operations if o["security"]]
    assert len(guarded) >= 5
    wrong: list[str] = []
    for method, path, roles in guarded:
        assert roles, f"{method} {path} lets nobody in"
        wrong += await denied(service, method, path, roles)
    assert wrong == []
    assert service.logged() == 0


async def denied(service: Composed, method: str, path: str, roles: list[str]) -> list[str]:
    """What was not refused as it must be."""
    out: list[str] = []

    def check(who: str, answer: httpx.Response, expected: int) -> None:
        problem = answer.headers.get("content-type") == "application/problem+json"
        if answer.status_code != expected or not problem:
            out.append(f"{method} {path} as {who}: {answer.status_code} {answer.text[:80]}")

    check("nobody", await ask(service, method, path), 401)
    check("a stranger", await ask(service, method, path, authorization="Bearer oms_ops_x"), 401)
    check("a basic user", await ask(service, method, path, authorization="Basic b3BzOg=="), 401)
    for role in Role:
        answer = await ask(service, method, path, authorization=bearer(role))
        if role.value not in roles:
            check(role.value, answer, 403)
        elif answer.status_code == 401 or (answer.status_code >= 500 and not starting(answer)):
            out.append(f"{method} {path} as {role}: {answer.status_code}")
    return out


async def test_the_document_itself_is_open(service: Composed) -> None:
    answer = await service.http.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["openapi"].startswith("3.1")
    page = await service.http.get("/docs")
    assert page.status_code == 200
    assert "://" not in page.text  # nothing is loaded from elsewhere
    assert (await service.http.get("/docs/swagger-ui.css")).status_code == 200
    assert (await service.http.get("/docs/anything-else")).status_code == 422
