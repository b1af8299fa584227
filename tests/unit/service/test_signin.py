"""Signing in to pages: by key, and at an identity provider over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import Depends
from starlette.responses import HTMLResponse, Response

from shared.service import Principal, Role, ServiceApp, create_app, require, router
from shared.service.security import Keyring
from shared.service.settings import InvalidSettingsError, PagesSettings
from shared.service.signin import Pages, add_sign_in
from shared.service.signon import TARGET_LENGTH_MAX, TOKEN_LENGTH_MAX
from tests.issuer import Issuer, serving
from tests.unit.service.conftest import KEYS, entries

PAGES = "https://pages.example"
READERS = (Role.AGENT, Role.OPS)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with serving() as running:
        yield running


def pages(settings: PagesSettings) -> ServiceApp:
    """An application with one page for readers, and signing in."""
    keyring = Keyring(entries())
    app = create_app("example", keyring=keyring, cookie="who", trust=settings.trust)
    r = router()

    @r.get("/", response_class=HTMLResponse)
    async def page(who: Annotated[Principal, Depends(require(*READERS))]) -> Response:
        """Who reads."""
        return HTMLResponse(who.id)

    def filled_in(template: str, status: int, **v: object) -> Response:
        assert template == "sign_in.html"
        return HTMLResponse(f"{v['next']}|{v['error']}|{v['provider']}", status)

    shown = Pages("who", READERS, "this", {"cache-control": "no-store"}, filled_in)
    add_sign_in(r, shown, keyring, settings.sign_on, app.edge.tokens)
    app.include_router(r)
    return app


@pytest.fixture
async def person(issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    """A browser before the pages."""
    app = pages(PagesSettings.load(**issuer.sign_on(PAGES)))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=PAGES) as client:
        yield client


async def at_the_provider(person: httpx.AsyncClient, target: str = "/") -> str:
    """Through the provider's page; the address to which it sends the browser back."""
    leaving = await person.get("/sign-in/provider", params={"next": target})
    assert leaving.status_code == 303
    async with httpx.AsyncClient() as elsewhere:
        answer = await elsewhere.get(leaving.headers["location"])
    assert answer.status_code == 303
    return str(answer.headers["location"])


async def test_whoever_was_signed_on_reads_until_the_token_has_expired(
    person: httpx.AsyncClient, issuer: Issuer
) -> None:
    assert (await person.get("/")).status_code == 401
    back = await at_the_provider(person, "/?q=1&r=<b>")
    assert back.startswith(f"{PAGES}/sign-in/back?")
    arrived = await person.get(back)
    assert arrived.status_code == 200
    assert 'content="0; url=/?q=1&amp;r=%3Cb%3E"' in arrived.text
    kept = arrived.headers.get_list("set-cookie")
    assert all("HttpOnly" in c and "Secure" in c for c in kept if "Max-Age=0" not in c)
    [strict] = [c for c in kept if c.startswith("who=")]
    assert "SameSite=strict" in strict
    assert "Max-Age=300" in strict
    assert (await person.get("/")).text == "oidc:kim"
    person.cookies.clear()
    person.cookies.set("who", issuer.token(exp=1))
    assert (await person.get("/")).status_code == 401


async def test_an_answer_counts_once_and_in_its_browser_only(person: httpx.AsyncClient) -> None:
    back = await at_the_provider(person)
    cookies = dict(person.cookies)
    person.cookies.clear()
    stranger = await person.get(back)
    assert stranger.status_code == 403
    assert "not begun in this browser" in stranger.text
    person.cookies.update(cookies)
    assert (await person.get(back)).status_code == 200
    person.cookies.clear()
    person.cookies.update(cookies)
    assert (await person.get(back)).status_code == 403
    assert (await person.get("/")).status_code == 401


@pytest.mark.parametrize(
    ("account", "status", "why"),
    [
        ({"role": "warehouse"}, 403, "This account may not look at this."),
        ({"role": "nobody"}, 403, "must name exactly one of"),
        ({"aud": "https://else.example"}, 401, "it is for another audience"),
        ({"exp": 1}, 401, "it has expired"),
        ({"more": {"much": "x" * TOKEN_LENGTH_MAX}}, 403, "longer than a cookie may be"),
    ],
)
async def test_who_may_not_read_is_told_why(
    person: httpx.AsyncClient, issuer: Issuer, account: dict[str, object], status: int, why: str
) -> None:
    issuer.account = account
    answer = await person.get(await at_the_provider(person))
    assert (answer.status_code, why in answer.text) == (status, True), answer.text
    assert (await person.get("/")).status_code == 401


async def test_what_the_provider_refuses_is_said(person: httpx.AsyncClient, issuer: Issuer) -> None:
    issuer.refusal = "access_denied"
    answer = await person.get(await at_the_provider(person))
    assert answer.status_code == 403
    assert "the identity provider says: access_denied" in answer.text


@pytest.mark.parametrize(
    "said", [{}, {"access_token": 1}, {"access_token": "t", "token_type": "mac"}]
)
async def test_an_answer_that_is_no_token_signs_nobody_on(
    person: httpx.AsyncClient, issuer: Issuer, said: dict[str, object]
) -> None:
    issuer.instead = {"nothing": "here"} | said
    answer = await person.get(await at_the_provider(person))
    assert answer.status_code == 403
    assert "does not answer as it should" in answer.text


async def test_a_provider_that_is_away_leaves_the_form(
    person: httpx.AsyncClient, issuer: Issuer
) -> None:
    issuer.broken = True
    answer = await person.get("/sign-in/provider", params={"next": "/a"})
    assert answer.status_code == 502
    assert answer.text.startswith("/a|Nobody can sign in there now")
    issuer.broken = False
    assert (await person.get("/sign-in/provider")).status_code == 303


async def test_an_answer_of_another_issuer_is_not_taken(person: httpx.AsyncClient) -> None:
    back = urlsplit(await at_the_provider(person))
    query = {name: values[0] for name, values in parse_qs(back.query).items()}
    answer = await person.get("/sign-in/back", params=query | {"iss": "https://else.example"})
    assert answer.status_code == 403
    assert "another identity provider" in answer.text


@pytest.mark.parametrize(
    "target",
    ["//else.example", "https://else.example", "/\\else.example", "/\t/else.example", "http://[",
     "/\t/[", "else"],
)  # fmt: skip
async def test_nobody_is_sent_to_another_site(person: httpx.AsyncClient, target: str) -> None:
    assert (await person.get("/sign-in", params={"next": target})).text == "/||True"
    by_key = await person.post("/sign-in", data={"key": KEYS[Role.AGENT], "next": target})
    assert (by_key.status_code, by_key.headers["location"]) == (303, "/")
    arrived = await person.get(await at_the_provider(person, target))
    assert 'url=/"' in arrived.text


async def test_a_long_address_is_not_carried_along(person: httpx.AsyncClient) -> None:
    arrived = await person.get(await at_the_provider(person, "/" + "a" * TARGET_LENGTH_MAX))
    assert 'url=/"' in arrived.text


async def test_a_key_is_kept_and_forgotten(person: httpx.AsyncClient) -> None:
    wrong = await person.post("/sign-in", data={"key": "oms_agent_x", "next": "/a"})
    assert (wrong.status_code, wrong.text.split("|")[0]) == (403, "/a")
    assert (
        "This key may not look at this. Use another one."
        in (await person.post("/sign-in", data={"key": KEYS[Role.WAREHOUSE]})).text
    )
    assert (await person.post("/sign-in", data={"key": KEYS[Role.AGENT]})).status_code == 303
    assert (await person.get("/")).text == "agent-1"
    await person.post("/sign-out")
    assert (await person.get("/")).status_code == 401


async def test_without_a_provider_there_is_no_way_to_one() -> None:
    transport = httpx.ASGITransport(app=pages(PagesSettings.load()))
    async with httpx.AsyncClient(transport=transport, base_url=PAGES) as person:
        assert (await person.get("/sign-in")).text == "/||False"
        assert (await person.get("/sign-in/provider")).status_code == 404
        assert (await person.get("/sign-in/back")).status_code == 404


def test_settings_are_given_together(issuer: Issuer) -> None:
    for alone in ({"oidc_client_id": "pages"}, issuer.settings() | {"oidc_client_id": "pages"}):
        with pytest.raises(InvalidSettingsError, match="needs OMS_PAGES_URL and OMS_OIDC_ISSUER"):
            PagesSettings.load(**alone)
    with pytest.raises(InvalidSettingsError, match="OMS_PAGES_URL"):
        PagesSettings.load(pages_url="http://pages.example")
    assert "open sesame" not in repr(PagesSettings.load(**issuer.sign_on(PAGES)))
