"""Every hostile body gets a 4xx problem that names the field; nothing is ever a 5xx."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from tests.unit.service.conftest import headers

PATHS = ["/orders", "/plain/orders"]


def order(**changes: Any) -> bytes:
    """An order as JSON with raw replacements: values are JSON texts, not Python values."""
    parts = {
        "external_id": '"A-1"',
        "currency": '"GBP"',
        "lines": '[{"sku":"S-1","quantity":2,"unit_price":100}]',
    } | changes
    return ("{" + ",".join(f'"{name}":{value}' for name, value in parts.items()) + "}").encode(
        "utf-8", "surrogatepass"
    )


def line(**changes: str) -> str:
    parts = {"sku": '"S-1"', "quantity": "2", "unit_price": "100"} | changes
    return "[{" + ",".join(f'"{name}":{value}' for name, value in parts.items()) + "}]"


# Each entry: its name, the body, the status, the field that must be named.
CORPUS: list[tuple[str, bytes, int, str]] = [
    ("nan", order(lines=line(quantity="NaN")), 400, "/lines/0/quantity"),
    ("infinity", order(lines=line(quantity="-Infinity")), 400, "/lines/0/quantity"),
    ("1e309", order(lines=line(quantity="1e309")), 422, "/lines/0/quantity"),
    ("float 1e309", order(weight="1e309"), 422, "/weight"),
    ("310 digits", order(weight="9" * 310 + ".5"), 422, "/weight"),
    ("5000 digits", order(lines=line(unit_price="1" * 5000)), 422, "/lines/0/unit_price"),
    ("2^63", order(lines=line(quantity=str(2**63))), 422, "/lines/0/quantity"),
    ("2^64", order(lines=line(unit_price=str(2**64))), 422, "/lines/0/unit_price"),
    ("2^53", order(lines=line(unit_price=str(2**53))), 422, "/lines/0/unit_price"),
    ("zero", order(lines=line(quantity="0")), 422, "/lines/0/quantity"),
    ("negative", order(lines=line(quantity="-1")), 422, "/lines/0/quantity"),
    ("minus zero", order(lines=line(quantity="-0")), 422, "/lines/0/quantity"),
    ("fraction", order(lines=line(quantity="0.1")), 422, "/lines/0/quantity"),
    ("float", order(lines=line(quantity="2.0")), 422, "/lines/0/quantity"),
    ("text", order(lines=line(quantity='"2"')), 422, "/lines/0/quantity"),
    ("true", order(lines=line(quantity="true")), 422, "/lines/0/quantity"),
    ("null", order(lines=line(quantity="null")), 422, "/lines/0/quantity"),
    ("missing", order(lines='[{"sku":"S-1","unit_price":1}]'), 422, "/lines/0/quantity"),
    ("million+1", order(lines=line(quantity="1000001")), 422, "/lines/0/quantity"),
    ("nul escape", order(note=r'"a\u0000b"'), 422, "/note"),
    ("nul raw", order(note='"a\x00b"'), 400, "/note"),
    ("control", order(note=r'"a\u001bb"'), 422, "/note"),
    ("lone high", order(note=r'"a\ud800b"'), 422, "/note"),
    ("lone low", order(note=r'"a\udc00b"'), 422, "/note"),
    ("two highs", order(note=r'"\ud83d\ud83d"'), 422, "/note"),
    ("surrogate utf-8", order(note='"a\ud800b"'), 400, "/note"),
    ("bad utf-8", order(note='"@"').replace(b"@", b"\xff\xfe"), 400, "/note"),
    ("empty text", order(note='""'), 422, "/note"),
    ("blank text", order(note='"   "'), 422, "/note"),
    ("long text", order(note='"' + "x" * 501 + '"'), 422, "/note"),
    ("huge text", order(note='"' + "x" * 900_000 + '"'), 422, "/note"),
    ("sku nul", order(lines=line(sku=r'"\u0000"')), 422, "/lines/0/sku"),
    ("sku newline", order(lines=line(sku=r'"S-1\n"')), 422, "/lines/0/sku"),
    ("sku empty", order(lines=line(sku='""')), 422, "/lines/0/sku"),
    ("id path", order(external_id='"../../etc/passwd"'), 422, "/external_id"),
    ("id newline", order(external_id=r'"A-1\n"'), 422, "/external_id"),
    ("id arabic", order(external_id='"٣"'), 422, "/external_id"),
    ("currency lower", order(currency='"gbp"'), 422, "/currency"),
    ("currency newline", order(currency=r'"GBP\n"'), 422, "/currency"),
    ("currency list", order(currency='["GBP"]'), 422, "/currency"),
    ("no lines", order(lines="[]"), 422, "/lines"),
    ("501 lines", order(lines="[" + ",".join([line()[1:-1]] * 501) + "]"), 422, "/lines"),
    ("lines object", order(lines="{}"), 422, "/lines"),
    ("deep array", order(note="[" * 5000 + "]" * 5000), 422, "/note/0/0"),
    ("deep object", order(note='{"a":' * 5000 + "1" + "}" * 5000), 422, "/note/a/a"),
    ("deep unclosed", order(note="[" * 200_000), 422, "/note/0/0"),
    ("deep by one", order(note="[" * 201 + "]" * 201), 422, "/note"),
    ("deep but accepted", order(note="[" * 198 + "]" * 198), 422, "/note"),
    ("server field", order(status='"paid"'), 422, "/status"),
    ("pointer name", order(**{"a/b~c": "1"}), 422, "/a~1b~0c"),
    ("surrogate name", order(**{r"\ud800": "1"}), 422, r"/\ud800"),
    ("array body", b"[]", 422, ""),
    ("string body", b'"x"', 422, ""),
    ("null body", b"null", 422, ""),
    ("number body", b"1", 422, ""),
    ("cut off", order()[:-3], 400, "/lines/0/unit_price"),
    ("trailing", order() + b"x", 400, ""),
    ("bom", b"\xef\xbb\xbf" + order(), 400, ""),
    ("utf-16", order().decode().encode("utf-16"), 400, ""),
    ("single quotes", order().replace(b'"', b"'"), 400, ""),
    ("comment", order(note='"x" /* y */'), 400, "/note"),
    ("trailing comma", order()[:-1] + b",}", 400, ""),
    ("not json", b"hello", 400, ""),
    ("only nul", b"\x00", 400, ""),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("name", "body", "status", "field"), CORPUS, ids=[c[0] for c in CORPUS])
async def test_hostile_body_is_refused_by_name(
    client: httpx.AsyncClient, path: str, name: str, body: bytes, status: int, field: str
) -> None:
    answer = await client.post(path, content=body, headers=headers())

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert len(answer.content) < 5000
    named = [error["field"] for error in problem["errors"]]
    assert any(found.startswith(field) if "deep" in name else found == field for found in named), (
        problem
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"note":"' + b'\\"' * 500_000,
        b'"' * 1_000_001,
        b"\\" * 1_000_000,
        b"[" + b"1," * 500_000 + b"NaN]",
        b"[" + b'"\\ud83d\\ude00",' * 60_000 + b'"\\ud800"]',
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b"1" * 1_000_000,
        b" " * 1_000_000,
    ],
    ids=range(9),
)
async def test_refusing_a_megabyte_is_quick(client: httpx.AsyncClient, body: bytes) -> None:
    started_s = time.process_time()
    answer = await client.post("/orders", content=body, headers=headers())
    assert 400 <= answer.status_code < 500
    assert answer.json()["errors"]
    assert time.process_time() - started_s < 1.0


@pytest.mark.parametrize("path", PATHS)
async def test_empty_body_is_refused(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, content=b"", headers=headers())
    assert answer.status_code in (400, 422)
    assert answer.json()["errors"]


@pytest.mark.parametrize("path", PATHS)
async def test_all_fields_are_named_at_once(client: httpx.AsyncClient, path: str) -> None:
    body = {"currency": "x", "lines": [{"sku": "", "quantity": 0, "unit_price": -1}], "extra": 1}

    answer = await client.post(path, json=body, headers=headers())

    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {
        "/external_id",
        "/currency",
        "/lines/0/sku",
        "/lines/0/quantity",
        "/lines/0/unit_price",
        "/extra",
    }
    assert all(error["message"] and error["code"] for error in answer.json()["errors"])


@pytest.mark.parametrize("path", PATHS)
async def test_errors_are_limited(client: httpx.AsyncClient, path: str) -> None:
    body = json.dumps({f"x{number}": 1 for number in range(5000)}).encode()

    answer = await client.post(path, content=body, headers=headers())

    problem = answer.json()
    assert len(problem["errors"]) == 100
    assert problem["errors_omitted"] == 5003 - 100


@pytest.mark.parametrize("path", PATHS)
async def test_rejected_values_are_not_repeated(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, content=order(currency='"my-secret"'), headers=headers())
    assert "my-secret" not in answer.text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body",
    [order(), order(note=r'"\ud83d\ude00 naïve\n"'), order(lines=line(unit_price=str(2**53 - 1)))],
)
async def test_good_bodies_pass(client: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await client.post(path, content=body, headers=headers())
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"order_id": "A-1"}


@pytest.mark.parametrize(
    "address",
    ["/orders/%00", "/orders/A-1?version=%00", "/orders/A-1?version=-1",
     f"/orders/A-1?version={2**63}", "/orders/A-1?version=NaN", "/orders/%ff", "/orders/a%2Fb%20",
     "/orders/A-1?version=" + "9" * 5000],
)  # fmt: skip
async def test_hostile_addresses(client: httpx.AsyncClient, address: str) -> None:
    from shared.service import Role

    answer = await client.get(address, headers=headers(Role.AUDITOR))
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
