"""Every operation in every service's OpenAPI document, asked by nobody, by strangers and by each wrong role, by key and
by token; and every operation of a channel or a customer, asked for what is another's."""

from __future__ import annotations

import re
import time
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest

from services.views.store import ViewStore
from shared.ledger.postgres import PostgresStore
from shared.service import Role
from shared.service.scope import SCOPED
from tests.contract.http.composed import KEYS, Composed, starting, streams
from tests.contract.http.hostile import valid
from tests.issuer import rsa_key
from tests.unit.views.journey import Journey
from tests.unit.views.site import project, topics_of

pytestmark = pytest.mark.asyncio(loop_scope="package")

#: What is open on purpose; anything more is found by this test.
OPEN = {("GET", "/livez"), ("GET", "/readyz")}
OPEN_TOO = {
    "views": {
        ("GET", "/sign-in"),
        ("POST", "/sign-in"),
        ("POST", "/sign-out"),
        ("GET", "/sign-in/provider"),
        ("GET", "/sign-in/back"),
    },
    "integrations": {("POST", "/shopify/webhooks")},  # opened by its signature
}
CHANNEL, CUSTOMER, NUMBER, SKU = "web", "C-17", "1001", "LAMP-3"
LINE = {"sku": SKU, "quantity": 1, "unit_price": 100}
#: Bodies for operations that refuse the example made from their schema.
BODIES = {
    "/orders": {
        "channel": CHANNEL,
        "external_id": NUMBER,
        "currency": "GBP",
        "lines": [{"line_id": "1"} | LINE],
        "payment_method": "card",
    },
    "/channels/{channel}/orders": {
        "number": NUMBER,
        "currency": "GBP",
        "lines": [LINE],
        "payment": "card",
    },
}

Operation = tuple[str, str, dict[str, Any]]


async def ask(service: Composed, method: str, path: str, **headers: str) -> httpx.Response:
    address = re.sub(r"\{[^}]+\}", "x1", path)
    body: Any = b"{}" if method in ("POST", "PUT", "PATCH") else None
    declared = {"content-type": "application/json", "idempotency-key": "k1"} if body else {}
    return await service.http.request(method, address, content=body, headers=declared | headers)


def bearer(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


def token(service: Composed, role: Role, whose: str = "") -> str:
    """A good token; of a channel or a customer for ``whose``."""
    claim = {Role.CHANNEL: "channel", Role.CUSTOMER: "customer_id"}.get(role)
    return service.issuer.token(role, more={claim: whose or "x1"} if claim else None)


def strangers(service: Composed) -> dict[str, dict[str, str]]:
    """The headers of everybody whom nobody knows."""
    issuer = service.issuer
    return {
        "nobody": {},
        "an empty key": bearer(""),
        "an unknown key": bearer("oms_ops_x"),
        "an unknown key in a header of its own": {"x-api-key": "oms_ops_x"},
        "a basic user": {"authorization": "Basic b3BzOg=="},
        "a malformed token": bearer("a.b.c"),
        "an expired token": bearer(issuer.token("ops", exp=time.time() - 3600)),
        "a token of tomorrow": bearer(issuer.token("ops", nbf=time.time() + 3600)),
        "another issuer's token": bearer(issuer.token("ops", iss="https://elsewhere.example")),
        "a token for another audience": bearer(issuer.token("ops", aud="another")),
        "a forged token": bearer(issuer.token("ops", key=rsa_key(2048, 2))),
    }


async def test_no_operation_is_open_to_the_wrong_caller(service: Composed) -> None:
    operations = service.operations()
    is_open = {(method, path) for method, path, o in operations if not o["security"]}
    assert is_open <= OPEN | OPEN_TOO.get(service.name, set())
    guarded = [operation for operation in operations if operation[2]["security"]]
    assert len(guarded) >= 5
    unknown = strangers(service)
    wrong: list[str] = []
    for operation in guarded:
        assert operation[2]["x-roles"], f"{operation[:2]} lets nobody in"
        wrong += await open_to_strangers(service, operation, unknown)
        wrong += await open_to_roles(service, operation)
    assert wrong == []
    assert service.logged() == 0


async def open_to_strangers(
    service: Composed, operation: Operation, unknown: dict[str, dict[str, str]]
) -> list[str]:
    """Which strangers were not refused as they must be."""
    method, path, _ = operation
    out = []
    for who, headers in unknown.items():
        answer = await ask(service, method, path, **headers)
        challenged = answer.headers.get("www-authenticate", "").startswith("Bearer ")
        if fault := refusal_fault(answer, 401) or ("" if challenged else "no challenge"):
            out.append(f"{method} {path} as {who}: {fault}")
    return out


async def open_to_roles(service: Composed, operation: Operation) -> list[str]:
    """Which roles were let in that must not be, or the other way round."""
    method, path, described = operation
    out = []
    for role in Role:
        allowed = role in described["x-roles"]
        if allowed and streams(described):
            continue
        for credential in (KEYS[role], token(service, role)):
            answer = await ask(service, method, path, **bearer(credential))
            fault = "" if allowed else refusal_fault(answer, 403)
            if allowed and role not in SCOPED and not let_in(answer):
                fault = f"{answer.status_code} {answer.text[:80]}"
            if fault:
                out.append(f"{method} {path} as {role}: {fault}")
    return out


def let_in(answer: httpx.Response) -> bool:
    return answer.status_code not in (401, 403) and (answer.status_code < 500 or starting(answer))


def refusal_fault(answer: httpx.Response, expected: int) -> str:
    """What is wrong with a refusal, or nothing."""
    problem = answer.headers.get("content-type") == "application/problem+json"
    if answer.status_code == expected and problem:
        return ""
    return f"{answer.status_code} {answer.text[:80]}"


class Theirs(NamedTuple):
    """What belongs to a channel and a customer: what stands for each path parameter, and where that is unknown."""

    order_id: str
    channel: str = CHANNEL
    number: str = NUMBER
    id: str = CUSTOMER

    def address(self, path: str, unknown: str = "") -> str:
        """The operation's address; with ``unknown`` for ids of things that exist."""
        named = self._asdict() | ({"order_id": unknown, "number": unknown} if unknown else {})
        return re.sub(r"\{([^}]+)\}", lambda m: str(named[m[1]]), path)


async def test_what_is_anothers_is_as_if_it_were_not_there(service: Composed) -> None:
    own = [operation for operation in service.operations() if operation[2].get("x-scope") == "own"]
    scoped = [o for o in service.operations() if SCOPED & set(o[2].get("x-roles", ()))]
    assert all(o[2]["x-scope"] in ("own", "shared") for o in scoped)
    theirs = Theirs(await something_of_theirs(service)) if own else Theirs("")
    wrong: list[str] = []
    for operation in own:
        for role in sorted(SCOPED & set(operation[2]["x-roles"])):
            wrong += await shown_to_others(service, operation, Role(role), theirs)
    service.expect_what_is_logged()
    assert wrong == []


async def something_of_theirs(service: Composed) -> str:
    """An order of the channel and the customer, if the service needs one to answer; its id."""
    if service.name == "views":
        journey = Journey(NUMBER, CHANNEL).whole()
        journey.returned([journey.line(0, 1)])
        store = PostgresStore(service.dsn)
        await store.open()
        try:
            await project(ViewStore(store, 1), topics_of([journey]))
        finally:
            await store.close()
        return journey.order_id
    if service.name != "order":
        return "x1"
    with psycopg.connect(service.dsn) as connection:
        connection.execute("insert into items (sku) values (%s)", [SKU])
    [place] = [o for o in service.operations() if o[:2] == ("POST", "/orders")]
    answer = await ask_for(service, place, Theirs(""), KEYS[Role.CHANNEL], "first")
    return str(answer.json()["order_id"])


async def shown_to_others(
    service: Composed, operation: Operation, role: Role, theirs: Theirs
) -> list[str]:
    """Where an operation shows another's caller more than it would show of nothing, or its own caller nothing."""
    method, path, _ = operation
    owner = token(service, role, CHANNEL if role is Role.CHANNEL else CUSTOMER)
    other = token(service, role, "another")
    out = []
    if not shows(mine := await ask_for(service, operation, theirs, owner, f"own-{role}")):
        out.append(f"{method} {path} for its own {role}: {mine.status_code} {mine.text[:200]}")
    refused = await ask_for(service, operation, theirs, other, f"other-{role}")
    nothing = await ask_for(service, operation, theirs, other, f"none-{role}", unknown="nowhere")
    if shows(refused) or refused.status_code not in (200, 403, 404):
        out.append(f"{method} {path} for another {role}: {refused.status_code} {refused.text[:80]}")
    if said(refused, theirs) != said(nothing, theirs):
        out.append(f"{method} {path} tells another {role} that it exists: {refused.text[:200]}")
    return out


async def ask_for(
    service: Composed,
    operation: Operation,
    theirs: Theirs,
    credential: str,
    key: str,
    *,
    unknown: str = "",
) -> httpx.Response:
    method, path, described = operation
    body = None
    if "requestBody" in described:
        schema = described["requestBody"]["content"]["application/json"]["schema"]
        body = BODIES.get(path) or valid(schema, service.openapi["components"]["schemas"])
    headers = bearer(credential) | ({"idempotency-key": key} if body else {})
    address = theirs.address(path, unknown)
    return await service.http.request(method, address, json=body, headers=headers)


def shows(answer: httpx.Response) -> bool:
    return answer.is_success and answer.json().get("items") != []


def said(answer: httpx.Response, theirs: Theirs) -> Any:
    """The answer without what every answer has of its own."""
    own = {"instance", "trace_id", "order_id"}
    text = {name: value for name, value in answer.json().items() if name not in own}
    return answer.status_code, str(text).replace(theirs.order_id, "nowhere")


async def test_the_document_itself_is_open(service: Composed) -> None:
    answer = await service.http.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["openapi"].startswith("3.1")
    page = await service.http.get("/docs")
    assert page.status_code == 200
    assert "://" not in page.text  # nothing is loaded from elsewhere
    assert (await service.http.get("/docs/swagger-ui.css")).status_code == 200
    assert (await service.http.get("/docs/anything-else")).status_code == 422
