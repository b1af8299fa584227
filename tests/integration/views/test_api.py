"""The API and the pages over HTTP, on real Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from ops.stack import Stack
from services.views.__main__ import application
from services.views.feed import Feeder
from services.views.pages import COOKIE
from services.views.reader import Reader
from shared.ledger.postgres import PostgresStore
from shared.service import Keyring, Role, Task
from shared.service.security import KeyEntry, generate_key, hash_key
from tests.unit.views.journey import START
from tests.unit.views.site import NoHealer, Site, database, no_broker, serving, shop


@pytest.fixture(scope="module")
def site(stack: Stack) -> Iterator[Site]:
    with database(stack) as dsn, serving(dsn, shop()) as site:
        yield site


@pytest.fixture
def agent(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, headers={"Authorization": f"Bearer {site.key}"}) as c:
        yield c


@pytest.fixture
def channel(site: Site) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {site.channel_key}"}
    with httpx.Client(base_url=site.url, headers=headers) as c:
        yield c


def test_nothing_is_open(site: Site) -> None:
    id = site.orders["completed"].order_id
    for path in (
        "/orders",
        f"/orders/{id}",
        f"/orders/{id}/timeline",
        f"/orders/{id}/why",
        "/availability",
        "/customers/C-17/orders",
        "/projections",
        "/parked",
    ):
        answer = httpx.get(site.url + path)
        assert answer.status_code == 401, path
        assert answer.headers["content-type"] == "application/problem+json"


def test_lists_go_on_by_cursor_and_keep_their_filters(agent: httpx.Client, site: Site) -> None:
    seen: list[str] = []
    page = agent.get("/orders", params={"limit": 3, "channel": "web"})
    while True:
        body = page.json()
        seen += [o["number"] for o in body["items"]]
        if body["next"] is None:
            break
        link = page.links["next"]["url"]
        assert "channel=web" in link
        page = agent.get(link)
    assert len(seen) == len(set(seen)) == 6
    assert "1004" not in seen


def test_filters_and_search(agent: httpx.Client) -> None:
    def numbers(**params: str) -> list[str]:
        return [o["number"] for o in agent.get("/orders", params=params).json()["items"]]

    assert numbers(status="cancelled") == ["1003"]
    assert numbers(q="RM11002GB") == ["1002"]
    assert numbers(q="lamp", status="confirmed") == ["1004"]
    assert numbers(q="nothing like it") == []
    assert agent.get("/orders", params={"status": "lost"}).status_code == 422
    assert agent.get("/orders", params={"cursor": "WyJ4IiwieSJd"}).status_code == 422


def test_an_order_and_its_etag(agent: httpx.Client, site: Site) -> None:
    journey = site.orders["returned"]
    answer = agent.get(f"/orders/{journey.order_id}")
    body = answer.json()
    assert body["status"]["returns"] == "partially_returned"
    assert body["lines"][0]["quantity"] == {"total": 2, "fulfilled": 2}
    assert body["payments"][0]["refunded"] == 250
    assert answer.headers["etag"] == f'"{len(journey.said)}"'
    same = agent.get(
        f"/orders/{journey.order_id}", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert (same.status_code, same.content) == (304, b"")
    then = (START + timedelta(seconds=2)).isoformat()
    early = agent.get(f"/orders/{journey.order_id}", params={"as_of": then}).json()
    assert early["status"]["order"] == "placed"
    assert early["version"] == 3
    assert agent.get("/orders/nobody").status_code == 404


def test_a_timeline_says_who_when_why_and_where(agent: httpx.Client, site: Site) -> None:
    journey = site.orders["split"]
    entries = agent.get(f"/orders/{journey.order_id}/timeline").json()["items"]
    assert [e["seq"] for e in entries] == list(range(1, len(journey.said) + 1))
    assert entries[1]["parent"] == entries[0]["id"]
    assert entries[1]["elapsed_ms"] == 1000
    picking = next(e for e in entries if e["type"] == "oms.fulfillment.picking_started.v1")
    assert picking["actor"] == "warehouse:sam"
    assert picking["summary"] == "Picking started by sam"
    assert picking["topic"] == "oms.fulfillment.events"
    assert picking["data"]["picker"] == "sam"
    assert picking["position"] > 0


def test_why_is_a_tree_from_outside_causes(agent: httpx.Client, site: Site) -> None:
    why = agent.get(f"/orders/{site.orders['completed'].order_id}/why").json()["items"]
    assert why[0]["id"] == "request-1"
    assert why[0]["leads_to"][0]["summary"].startswith("Order 1001 placed through web")
    count = 0
    todo = list(why)
    while todo:
        node = todo.pop()
        count += node["kind"] == "event"
        todo += node["leads_to"]
    assert count == len(site.orders["completed"].said)


def test_stock_and_customers(agent: httpx.Client) -> None:
    rows = agent.get("/availability", params={"sku": ["LAMP-3"]}).json()["items"]
    assert [(r["location"], r["on_hand"], r["available"]) for r in rows] == [
        ("LON", 99, 99),
        ("YRK", 100, 100),
    ]
    first = agent.get("/availability", params={"limit": 5}).json()
    rest = agent.get("/availability", params={"limit": 5, "cursor": first["next"]}).json()
    assert len(first["items"]) + len(rest["items"]) == 8
    for who in ("C-17", "Ada@example.org"):
        assert len(agent.get(f"/customers/{who}/orders").json()["items"]) == 8
    assert agent.get("/customers/1001/orders").json()["items"] == []


def test_a_channel_sees_its_own_orders_only(channel: httpx.Client, site: Site) -> None:
    listed = channel.get("/orders", params={"channel": "web"}).json()["items"]
    assert {o["number"] for o in listed} == {"1004", "1007"}
    own, other = site.orders["split"].order_id, site.orders["completed"].order_id
    assert channel.get(f"/orders/{own}").status_code == 200
    for path in ("", "/timeline", "/why", "/page"):
        assert channel.get(f"/orders/{other}{path}").status_code == 404
    assert channel.get("/projections").status_code == 403
    assert channel.put("/projections/2").status_code == 403


def test_projections_are_listed(agent: httpx.Client) -> None:
    [version] = agent.get("/projections").json()["items"]
    assert (version["version"], version["state"]) == (1, "live")


def test_pages_send_strangers_to_sign_in_and_back(site: Site) -> None:
    path = f"/orders/{site.orders['split'].order_id}/page"
    with httpx.Client(base_url=site.url) as person:
        answer = person.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/sign-in?next={path}"
        wrong = person.post("/sign-in", data={"key": "oms_agent_x", "next": path})
        assert wrong.status_code == 403
        assert "set-cookie" not in wrong.headers
        right = person.post("/sign-in", data={"key": site.key, "next": path})
        assert right.status_code == 303
        assert right.headers["location"] == path
        cookie = right.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        page = person.get(path)
        assert page.status_code == 200
        assert "script-src" not in page.headers["content-security-policy"]
        assert "default-src 'none'" in page.headers["content-security-policy"]
        out = person.post("/sign-out")
        assert out.headers["location"] == "/sign-in"
        assert person.get(path).status_code == 303


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_signing_in_leads_nowhere_else(site: Site, target: str) -> None:
    answer = httpx.post(f"{site.url}/sign-in", data={"key": site.key, "next": target})
    assert answer.headers["location"] == "/"


def test_a_long_search_is_signed_in_to(site: Site) -> None:
    with httpx.Client(base_url=site.url, follow_redirects=True) as person:
        form = person.get("/", params={"q": "é" * 200})
        assert (form.status_code, form.url.path) == (200, "/sign-in")
        found = person.post("/sign-in", data={"key": site.key, "next": form.url.params["next"]})
        assert found.url.params["q"] == "é" * 200


def test_people_are_told_of_their_mistakes_on_a_page(agent: httpx.Client, site: Site) -> None:
    path = f"/orders/{site.orders['split'].order_id}/page"
    wrong = agent.get(path, params={"as_of": "yesterday"})
    crowded = agent.post("/sign-in", data={f"field{n}": "x" for n in range(11)})
    for answer, status, words in ((wrong, 422, "as_of"), (crowded, 400, "Not a form")):
        assert (answer.status_code, answer.headers["content-type"][:9]) == (status, "text/html")
        assert words in answer.text


def test_what_customers_wrote_is_shown_as_text(agent: httpx.Client, site: Site) -> None:
    page = agent.get("/").text
    assert "&lt;b&gt;1008&lt;/b&gt;" in page
    assert "<b>1008" not in page


def test_the_open_api_document_describes_the_answers(site: Site) -> None:
    document = httpx.get(f"{site.url}/openapi.json").json()
    operation = document["paths"]["/orders/{order_id}"]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert "shipments" in schema["properties"]
    assert "/sign-in" not in document["paths"]


async def test_before_the_first_version_exists_readers_are_told_to_come_back(stack: Stack) -> None:
    with database(stack) as dsn:
        store = PostgresStore(dsn)
        await store.open()
        key = generate_key(Role.OPS)
        keyring = Keyring([KeyEntry("ops", hash_key(key), Role.OPS)])
        feeder = Feeder(store, no_broker, NoHealer())
        app = application(keyring, store, Reader(store), feeder)
        app.health.add(Task("feeder", feeder.run))
        transport = httpx.ASGITransport(app)
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://views", headers=headers
        ) as c:
            for path in ("/orders", "/orders/x", "/orders/x/timeline", "/availability", "/parked"):
                answer = await c.get(path)
                assert answer.status_code == 503, path
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["retry-after"] == "1"
                assert answer.json()["title"] == "The views are starting"
            assert (await c.get("/readyz")).status_code == 503
            page = await c.get("/", headers={"Cookie": f"{COOKIE}={key}", "Accept": "text/html"})
            assert (page.status_code, page.headers["retry-after"]) == (503, "1")
            assert (await c.get("/projections")).json() == {"items": []}
        await store.close()
