"""The edge: who may call, what is refused before it is read, what an error looks like."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import PlainTextResponse
from starlette.types import Message

from shared.ledger.store import Unavailable
from shared.ledger.work import Overloaded
from shared.service import Role, ServiceApp, router
from shared.service.http import PUBLIC
from tests.unit.service.conftest import KEYS, build, headers

ORDER = {
    "external_id": "A-1",
    "currency": "GBP",
    "lines": [{"sku": "S-1", "quantity": 1, "unit_price": 100}],
}
PATHS = ["/orders", "/plain/orders"]


@pytest.mark.parametrize("path", PATHS)
async def test_roles(client: httpx.AsyncClient, path: str) -> None:
    for role in Role:
        answer = await client.post(path, json=ORDER, headers=headers(role))
        assert answer.status_code == (201 if role in (Role.CHANNEL, Role.AGENT) else 403)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer "},
        {"authorization": "Basic dTpw"},
        {"authorization": f"Bearer {KEYS[Role.AGENT]}x"},
        {"authorization": "Bearer " + "x" * 5000},
        {"x-api-key": "wrong"},
        {"cookie": f"oms={KEYS[Role.AGENT]}"},
    ],
    ids=range(8),
)
async def test_strangers_get_401_before_their_body_is_read(
    client: httpx.AsyncClient, path: str, credentials: dict[str, str]
) -> None:
    answer = await client.post(path, content=b"not json", headers=credentials)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="oms"'
    assert answer.json()["type"] == "urn:oms:problem:unauthenticated"


async def test_key_in_x_api_key(client: httpx.AsyncClient) -> None:
    sent = {"x-api-key": KEYS[Role.AUDITOR]}
    assert (await client.get("/orders/A-1", headers=sent)).status_code == 200


async def test_cookie_is_for_reading_only() -> None:
    app = build(cookie="oms")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://example") as client:
        reading = {"cookie": f"theme=dark; oms={KEYS[Role.AUDITOR]}"}
        assert (await client.get("/orders/A-1", headers=reading)).status_code == 200
        writing = headers() | {"cookie": f"oms={KEYS[Role.CHANNEL]}"}
        del writing["authorization"]
        assert (await client.post("/orders", json=ORDER, headers=writing)).status_code == 401


async def test_unknown_path_and_method(client: httpx.AsyncClient) -> None:
    missing = await client.get("/nope", headers=headers())
    assert (missing.status_code, missing.json()["instance"]) == (404, "/nope")
    long = await client.get("/" + "%C3%A4" * 50, headers=headers())
    assert long.json()["instance"] == "/" + "%C3%A4" * 33 + "%25", "cut within an escape"
    wrong = await client.delete("/orders", headers=headers())
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.headers["content-type"] == "application/problem+json"


async def test_a_wrong_method_is_told_every_right_one() -> None:
    app = build()
    more = router()

    @more.put("/orders/{order_id}", dependencies=[PUBLIC])
    async def put(order_id: str) -> None:
        """Another route of a path that has one."""

    app.include_router(more)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://example"
    ) as client:
        answer = await client.delete("/orders/1")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, PUT")
        document = await client.delete("/openapi.json")
        assert document.status_code == 405
        assert "GET" in document.headers["allow"]


@pytest.mark.parametrize("error", [Unavailable("away"), Overloaded("20000 tasks wait")])
async def test_what_cannot_be_done_now_is_asked_for_again(error: Exception) -> None:
    app = build()
    more = router()

    @more.post("/redrive", dependencies=[PUBLIC])
    async def drive() -> None:
        raise error

    app.include_router(more)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://example"
    ) as client:
        answer = await client.post("/redrive")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["type"] == "urn:oms:problem:try-again"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("media", ["text/plain", "application/xml", "application/jsonx", ""])
async def test_other_media_types_are_415(client: httpx.AsyncClient, path: str, media: str) -> None:
    sent = headers() | {"content-type": media}
    answer = await client.post(path, content=json.dumps(ORDER), headers=sent)
    assert answer.status_code == 415


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "application/a.b+json"])
async def test_json_media_types(client: httpx.AsyncClient, path: str, media: str) -> None:
    sent = headers() | {"content-type": media}
    answer = await client.post(path, content=json.dumps(ORDER), headers=sent)
    assert answer.status_code == 201


@pytest.mark.parametrize("path", PATHS)
async def test_declared_large_body_is_refused_unread(app: ServiceApp, path: str) -> None:
    sent = [(k.encode(), v.encode()) for k, v in headers(content_length="10000000").items()]
    reads, answers = await _exchange(app, path, [*sent, (b"expect", b"100-continue")], [])
    assert answers[0]["status"] == 413
    assert (b"connection", b"close") in answers[0]["headers"]
    assert reads == 0


@pytest.mark.parametrize("path", PATHS)
async def test_chunked_large_body_is_cut_off(app: ServiceApp, path: str) -> None:
    sent = [(k.encode(), v.encode()) for k, v in headers(transfer_encoding="chunked").items()]
    chunks = [b"x" * 65536] * 1600
    reads, answers = await _exchange(app, path, sent, chunks)
    assert answers[0]["status"] == 413
    # 17 chunks exceed 1 MiB; 512 more are 32 MiB, discarded while the client reads the answer.
    assert reads <= 17 + 512


async def _exchange(
    app: ServiceApp, path: str, sent: list[tuple[bytes, bytes]], chunks: list[bytes]
) -> tuple[int, list[Message]]:
    answers: list[Message] = []
    reads = 0

    async def receive() -> Message:
        nonlocal reads
        reads += 1
        return {"type": "http.request", "body": chunks[reads - 1], "more_body": True}

    async def send(message: Message) -> None:
        answers.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": sent,
        "server": ("example", 80),
    }
    await app(scope, receive, send)
    assert answers[-1].get("more_body", False) is False
    return reads, answers


async def test_overload_is_shed_but_probes_answer() -> None:
    app = build(in_flight_max=0)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://example") as client:
        answer = await client.post("/orders", json=ORDER, headers=headers())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert (await client.get("/livez")).status_code == 200


async def test_internal_errors_show_only_the_trace(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await client.get("/broken")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert answer.json()["trace_id"]


async def test_trace_and_correlation_are_continued(client: httpx.AsyncClient) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    sent = headers(traceparent=f"00-{trace_id}-00f067aa0ba902b7-01", x_correlation_id="cart-7") | {
        "authorization": "Bearer wrong"
    }
    answer = await client.post("/orders", json=ORDER, headers=sent)
    assert answer.headers["x-correlation-id"] == "cart-7"
    assert answer.json()["trace_id"] == trace_id


@pytest.mark.parametrize("bad", ["a b", "x" * 101, "ü", "a\tb", "<script>"])
async def test_bad_correlation_is_replaced(client: httpx.AsyncClient, bad: str) -> None:
    answer = await client.get("/livez", headers={b"x-correlation-id": bad.encode("latin-1")})
    assert len(answer.headers["x-correlation-id"]) == 32


@pytest.mark.parametrize("path", PATHS)
async def test_idempotency_key_is_required(client: httpx.AsyncClient, path: str) -> None:
    for bad in (None, "", "x" * 256, "a b", 'a"b', "a\\b", b"\xff"):
        sent: dict[str, Any] = headers()
        del sent["idempotency-key"]
        if bad is not None:
            sent["idempotency-key"] = bad
        answer = await client.post(path, json=ORDER, headers=sent)
        assert answer.status_code == 400, bad
        assert answer.json()["errors"][0]["field"] == "/Idempotency-Key"


@pytest.mark.parametrize("path", PATHS)
async def test_identity_of_a_request(app: ServiceApp, client: httpx.AsyncClient, path: str) -> None:
    await client.post(path, json=ORDER, headers=headers())
    await client.post(path, json=ORDER, headers=headers(idempotency_key='"key-1"'))
    await client.post(path, json=ORDER | {"external_id": "A-2"}, headers=headers())
    await client.post(path, json=ORDER, headers=headers(Role.AGENT))
    first, again, other_body, other_caller = app.state.taken
    assert first == again
    assert (first.scope, first.key) == (f"channel:web POST {path}", "key-1")
    assert first.fingerprint != other_body.fingerprint
    assert (first.scope, first.key) == (other_body.scope, other_body.key)
    assert first.scope != other_caller.scope


async def test_probes(app: ServiceApp, client: httpx.AsyncClient) -> None:
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    app.health.draining = True
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/livez")).status_code == 200


async def test_metrics_count_by_route_and_need_a_role(client: httpx.AsyncClient) -> None:
    for order_id in ("A-1", "A-2"):
        await client.get(f"/orders/{order_id}", headers=headers(Role.AUDITOR))
    await client.get("/nope", headers=headers())
    await client.post("/orders", json=ORDER, headers=headers())
    assert (await client.get("/metrics")).status_code == 401
    assert (await client.get("/metrics", headers=headers(Role.CHANNEL))).status_code == 403

    text = (await client.get("/metrics", headers=headers(Role.OPS))).text
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def count(method: str, route: str, status: str) -> float:
        labels = (("method", method), ("route", route), ("status", status))
        return samples["oms_http_requests_total", *labels]

    assert count("GET", "/orders/{order_id}", "200") == 2
    assert count("GET", "(unmatched)", "404") == 1
    assert count("POST", "/orders", "201") == 1
    pair = (("method", "GET"), ("route", "/orders/{order_id}"))
    assert samples["oms_http_request_seconds_count", *pair] == 2
    assert samples["oms_http_request_seconds_bucket", ("le", "+Inf"), *pair] == 2


async def test_the_page_of_the_api_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "/openapi.json" in page.text
    assert "://" not in page.text
    for name, type in (("swagger-ui-bundle.js", "javascript"), ("swagger-ui.css", "css")):
        assert f"/docs/{name}" in page.text
        answer = await client.get(f"/docs/{name}")
        assert answer.status_code == 200
        assert type in answer.headers["content-type"]
        assert len(answer.content) > 100_000
    assert (await client.get("/docs/secrets.txt")).status_code == 422


async def test_openapi_is_valid_and_complete(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert "HTTPValidationError" not in json.dumps(document)
    for path in PATHS:
        operation = document["paths"][path]["post"]
        assert operation["x-roles"] == ["agent", "channel"]
        assert operation["security"] == [{"bearer": []}, {"apiKey": []}]
        assert {"201", "400", "401", "403", "409", "413", "415", "422", "500"} <= set(
            operation["responses"]
        )
        for status in ("401", "422"):
            assert "application/problem+json" in operation["responses"][status]["content"]
        header = next(p for p in operation["parameters"] if p["name"] == "Idempotency-Key")
        assert header["required"] is True
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Order"}
    assert document["paths"]["/livez"]["get"]["security"] == []
    assert document["paths"]["/orders"]["post"]["description"] == "Place an order."


def _undeclared(app: ServiceApp) -> None:
    @app.get("/open")
    async def forgotten() -> None: ...


def _bare(app: ServiceApp) -> None:
    bare = APIRouter()

    @bare.get("/bare")
    async def view() -> None: ...

    app.include_router(bare)


def _included(app: ServiceApp) -> None:
    inner = router()

    @inner.get("/inner")
    async def view() -> None: ...

    app.include_router(inner, prefix="/x")


def _plain(app: ServiceApp) -> None:
    async def view(_: object) -> PlainTextResponse:
        return PlainTextResponse("x")

    app.add_route("/plain", view)


@pytest.mark.parametrize("forget", [_undeclared, _bare, _included, _plain])
def test_a_route_without_roles_does_not_start(app: ServiceApp, forget: Any) -> None:
    forget(app)
    with pytest.raises(TypeError, match=r"declare|make its router"):
        app.seal()
