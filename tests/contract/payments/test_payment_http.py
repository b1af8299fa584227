"""The provider's HTTP interface beyond the port: who may come in, and what errors look like."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from shared.payments import CredentialsRejected, FaultSettings, HttpPayments, ProviderUnavailable

AUTHORISATION = {
    "payment_id": "pay-1",
    "amount": {"amount": 5, "currency": "GBP"},
    "method": "tok_ok",
}
PROBLEM = "urn:oms:problem:payments:"


@pytest.fixture
async def http(server: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": "Bearer contract-tests-only-key"}
    async with httpx.AsyncClient(base_url=server, headers=headers, trust_env=False) as client:
        yield client


def told(response: httpx.Response, status: int, name: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["type"] == PROBLEM + name
    assert body["status"] == status
    assert body["title"]
    return body


async def test_nothing_but_the_probes_is_open(http: httpx.AsyncClient) -> None:
    for path in ("/livez", "/readyz"):
        assert (await http.get(path, headers={"Authorization": ""})).status_code == 200
    for method, path in [
        ("POST", "/authorisations"),
        ("GET", "/ledger"),
        ("GET", "/outcomes?key=a"),
        ("PUT", "/admin/faults"),
        ("GET", "/openapi.json"),
        ("GET", "/livez/"),
    ]:
        for wrong in ("", "Bearer x", "Bearer contract-tests-only-ke", "Basic Y29udHJhY3Q6"):
            answer = await http.request(method, path, headers={"Authorization": wrong})
            told(answer, 401, "unauthorised")
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_client_says_that_its_key_is_wrong(server: str) -> None:
    async with HttpPayments(server, "some-other-key-entirely") as client:
        with pytest.raises(CredentialsRejected, match="OMS_PAYMENTS_KEY"):
            await client.lookup("k")


async def test_a_post_needs_an_idempotency_key(http: httpx.AsyncClient) -> None:
    for path, body in [
        ("/authorisations", AUTHORISATION),
        ("/authorisations/auth_1/captures", {"amount": AUTHORISATION["amount"]}),
        ("/authorisations/auth_1/void", None),
        ("/authorisations/auth_1/refunds", {"amount": AUTHORISATION["amount"]}),
    ]:
        told(await http.post(path, json=body), 400, "idempotency-key-missing")
    assert (await http.get("/ledger")).json() == {"entries": [], "next_after": 0}


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [
        (b"{", 400, {"body.1"}),
        (b"\xff\xfe", 400, None),
        (b"[" * 30_000, 400, None),
        (b"[]", 422, {"body"}),
        (b"{}", 422, {"body.payment_id", "body.amount", "body.method"}),
        (
            b'{"payment_id":"p","method":"tok_ok","amount":{"amount":NaN,"currency":"gbp"},"x":1}',
            422,
            {"body.amount.amount", "body.amount.currency", "body.x"},
        ),
        (
            b'{"payment_id":"p","method":"tok_ok","amount":{"amount":9223372036854775808,"currency":"GBP"}}',
            422,
            {"body.amount.amount"},
        ),
        (
            b'{"payment_id":"p","method":"tok_ok","amount":{"amount":"5","currency":"GBP"}}',
            422,
            {"body.amount.amount"},
        ),
        (
            b'{"payment_id":"p\\u0000","method":"tok_ok","amount":{"amount":5,"currency":"GBP"}}',
            422,
            None,
        ),
        (
            b'{"payment_id":"\\ud800","method":"tok_ok","amount":{"amount":5,"currency":"GBP"}}',
            422,
            {"body.payment_id"},
        ),
    ],
)
async def test_bad_input_names_each_field(
    http: httpx.AsyncClient, body: bytes, status: int, fields: set[str] | None
) -> None:
    answer = await http.post(
        "/authorisations",
        content=body,
        headers={"Idempotency-Key": "k", "Content-Type": "application/json"},
    )
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if fields is not None:
        assert {each["field"] for each in answer.json()["errors"]} == fields
    assert (await http.get("/ledger")).json()["entries"] == []


async def test_a_huge_body_is_refused_whether_it_tells_its_length_or_not(
    http: httpx.AsyncClient,
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 40_000

    headers = {"Idempotency-Key": "k"}
    for content in (b"x" * 70_000, endless()):
        told(
            await http.post("/authorisations", content=content, headers=headers),
            413,
            "body-too-large",
        )


async def test_unknown_paths_and_methods_are_problems(http: httpx.AsyncClient) -> None:
    told(await http.get("/nowhere"), 404, "http-404")
    told(await http.delete("/ledger"), 405, "http-405")


async def test_a_404_from_a_wrong_address_is_not_taken_for_nothing_happened(
    server: str,
) -> None:
    async with HttpPayments(f"{server}/elsewhere", "contract-tests-only-key") as client:
        with pytest.raises(ProviderUnavailable, match="404"):
            await client.lookup("k")


async def test_nobody_listens(unused_port: int) -> None:
    async with HttpPayments(f"http://127.0.0.1:{unused_port}", "contract-tests-only-key") as client:
        with pytest.raises(ProviderUnavailable, match=r"ClientConnectorError.*outcome is unknown"):
            await client.lookup("k")


async def test_a_connection_that_was_closed_meanwhile_is_tried_once_more() -> None:
    answered = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request a connection, keep it open, and close it at the second."""
        nonlocal answered
        await reader.readuntil(b"\r\n\r\n")
        answered += 1
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"outcome":null}')
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with HttpPayments(url, "contract-tests-only-key") as client:
            assert await client.lookup("k") is None
            assert await client.lookup("k") is None
    assert answered == 2


async def test_faults_are_set_shown_and_cleared(http: httpx.AsyncClient) -> None:
    settings = {"seed": 4, "error_rate": 1.0}
    assert (await http.put("/admin/faults", json=settings)).json()["error_rate"] == 1.0
    headers = {"Idempotency-Key": "k"}
    for _ in range(3):
        answer = await http.post("/authorisations", json=AUTHORISATION, headers=headers)
        told(answer, 500, "injected-failure")
    told(await http.put("/admin/faults", json={"error_rate": 2}), 422, "invalid-request")
    assert (await http.get("/admin/faults")).json()["error_rate"] == 1.0
    assert (await http.delete("/admin/faults")).json()["error_rate"] == 0.0
    assert (
        await http.post("/authorisations", json=AUTHORISATION, headers=headers)
    ).status_code == 200


async def test_the_client_sets_faults(server: str) -> None:
    async with HttpPayments(server, "contract-tests-only-key") as client:
        wanted = FaultSettings(seed=1, error_rate=1.0)
        assert await client.set_faults(wanted) == wanted
        with pytest.raises(ProviderUnavailable, match="500"):
            await client.lookup("k")
        await client.set_faults(FaultSettings())
        assert await client.lookup("k") is None


@pytest.mark.parametrize(
    ("url", "key"), [("127.0.0.1:8110", "k"), ("http://x", ""), ("http://x", "\n")]
)
async def test_wrong_settings_are_found_before_the_first_payment(url: str, key: str) -> None:
    with pytest.raises(ValueError, match="OMS_PAYMENTS_"):
        HttpPayments(url, key)
