"""Every POST operation of every service under a hostile corpus made from its own schema: 4xx that name the field."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import httpx
import pytest

from shared.service import Role
from tests.contract.http.composed import KEYS, Composed, starting, streams
from tests.contract.http.hostile import WHOLE, broken, valid

pytestmark = pytest.mark.asyncio(loop_scope="package")

HOSTILE_IDS = ("%00", "%ff", "..%2f..", "%20", "a%0ab", "%F0%9F%98%80", "x" * 300, "a'--", "%2500")
MEGABYTES = b'{"a":"' + b"x" * 10_000_000 + b'"}'


class Operation:
    """One POST operation, asked by a role that may."""

    def __init__(self, service: Composed, path: str, description: dict[str, Any]) -> None:
        self._service = service
        self.path = path
        # A channel's key could be refused for its channel's sake: another role, where there is one.
        self._role = Role(min(description["x-roles"], key=lambda role: role == "channel"))
        self.schema: dict[str, Any] | None = None
        if "requestBody" in description:
            self.schema = description["requestBody"]["content"]["application/json"]["schema"]

    async def post(self, body: bytes, *, id: str = "x1", **headers: str) -> httpx.Response:
        fixed = {
            "authorization": f"Bearer {KEYS[self._role]}",
            "content-type": "application/json",
            "idempotency-key": str(uuid4()),
        }
        address = re.sub(r"\{[^}]+\}", id, self.path)
        return await self._service.http.post(address, content=body, headers=fixed | headers)


def operations(service: Composed) -> list[Operation]:
    return [
        Operation(service, path, description)
        for method, path, description in service.operations()
        if method == "POST" and description["security"]
    ]


def fault(answer: httpx.Response, *pointers: str) -> str:
    """What is wrong with a refusal, or nothing."""
    if not 400 <= answer.status_code < 500:
        return f"{answer.status_code} {answer.text[:200]}"
    if answer.headers["content-type"] != "application/problem+json":
        return f"content type {answer.headers['content-type']}"
    problem = answer.json()
    if problem["status"] != answer.status_code or len(answer.content) > 50_000:
        return f"problem document {answer.text[:200]}"
    named = {error["field"] for error in problem.get("errors", ())}
    if pointers and not any(_names(named, pointer) for pointer in pointers):
        return f"{answer.status_code} names {sorted(named)[:5]}"
    return ""


def _names(named: set[str], pointer: str) -> bool:
    """The field itself, or one that lies in it by name or by number."""
    return any(n == pointer or re.match(rf"{re.escape(pointer)}(/\w+)+$", n) for n in named)


async def test_every_wrong_value_is_named(service: Composed) -> None:
    components = service.openapi["components"]["schemas"]
    wrong: list[str] = []
    tried = 0
    for operation in operations(service):
        if operation.schema is None:
            continue
        for case in broken(operation.schema, components):
            tried += 1
            if found := fault(await operation.post(case.body), case.pointer):
                wrong.append(f"{operation.path} {case.name}: {found}")
    assert wrong == []
    assert tried >= 20 or all(operation.schema is None for operation in operations(service))
    assert service.logged() == 0, "a refused request left a trace"


async def test_no_body_breaks_an_operation(service: Composed) -> None:
    components = service.openapi["components"]["schemas"]
    wrong: list[str] = []
    for operation in operations(service):
        for label, found in await whole(operation, components):
            if found:
                wrong.append(f"{operation.path} {label}: {found}")
    assert wrong == []
    assert service.logged() == 0, "a refused request left a trace"


async def whole(operation: Operation, components: dict[str, Any]) -> list[tuple[str, str]]:
    """What came of bodies, media types, keys and path parameters that no operation takes."""
    out: list[tuple[str, str]] = []
    schema = operation.schema
    if schema is not None:
        for label, body in WHOLE:
            out.append((label, fault(await operation.post(body))))
        too_long = await operation.post(MEGABYTES)
        out.append(("10 MB", "" if too_long.status_code == 413 else str(too_long.status_code)))
        for kind in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "\x01",
        ):
            answer = await operation.post(b"{}", **{"content-type": kind})
            out.append((kind, "" if answer.status_code == 415 else str(answer.status_code)))
        out.append(("a body for no id", fault(await operation.post(b"{}", id="x1"))))
    example = b"{}" if schema is None else _json(valid(schema, components))
    if "{" in operation.path:
        answers = [(id, await operation.post(example, id=id)) for id in HOSTILE_IDS]
        out += [(f"id {id[:20]}", fault(answer)) for id, answer in answers]
    return out


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


async def test_idempotency_keys_are_checked_wherever_they_are_required(service: Composed) -> None:
    components = service.openapi["components"]["schemas"]
    for method, path, description in service.operations():
        named = [p["name"].lower() for p in description.get("parameters", ())]
        if method != "POST" or "idempotency-key" not in named:
            continue
        operation = Operation(service, path, description)
        schema = operation.schema
        body = b"" if schema is None else _json(valid(schema, components))
        for key in ("", "a b", '"', "x" * 256, "a\tb"):
            answer = await operation.post(body, **{"idempotency-key": key})
            assert answer.status_code == 400, (path, key, answer.text)
            assert answer.json()["type"] == "urn:oms:problem:idempotency-key"
    assert service.logged() == 0


VALUES = (
    "-1",
    str(2**63),
    "9" * 400,
    "NaN",
    "1e309",
    "0.1",
    "true",
    "%F0%9F%98%80",
    "%ff",
    "%00",
    "x" * 3000,
    "",
    "a'--",
)


async def test_no_question_breaks_an_operation(service: Composed) -> None:
    wrong: list[str] = []
    for method, path, description in service.operations():
        if method != "GET" or not description["security"] or streams(description):
            continue
        headers = {"authorization": f"Bearer {KEYS[Role(description['x-roles'][0])]}"}
        named = [p["name"] for p in description.get("parameters", ()) if p["in"] == "query"]
        addresses = [re.sub(r"\{[^}]+\}", id, path) for id in ("x1", *HOSTILE_IDS)]
        addresses += [f"{addresses[0]}?{n}={value}" for n in named for value in VALUES]
        for address in addresses:
            answer = await service.http.get(address, headers=headers)
            failed = answer.status_code >= 500 and not starting(answer)
            if failed or answer.status_code in (401, 403):
                wrong.append(f"{address[:60]}: {answer.status_code} {answer.text[:80]}")
    assert wrong == []
