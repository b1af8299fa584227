"""Signing in to pages, with an API key or at the identity provider: what comes of it is kept in a cookie that scripts and
other sites cannot use. `create_app` reads it, for GET only."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from html import escape
from typing import Literal, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from shared.service.problems import Problem
from shared.service.routes import PUBLIC
from shared.service.security import Keyring, Principal, Role
from shared.service.signon import Provider, SignOnFailedError
from shared.service.trust import SignOn

#: A working day; a key that is withdrawn ends at once, whatever the cookie says, and so does a token that expires.
COOKIE_SECONDS = 12 * 3600
#: Time to sign in at the provider.
AWAY_SECONDS = 600

Tokens = Callable[[bytes], Awaitable[Principal]]


class Pages(NamedTuple):
    """The pages that are signed in to: ``cookie`` keeps who it is, ``readers`` may look at ``what`` they show, and
    ``headers`` come with every answer. ``page`` fills in a template: its name, the status, and values by name."""

    cookie: str
    readers: Collection[Role]
    what: str
    headers: Mapping[str, str]
    page: Callable[..., Response]

    def ask(self, status: int, target: str, error: str, *, provider: bool) -> Response:
        """The form: ``error`` says why it comes again, ``provider`` whether there is one to go to."""
        values = {"next": target, "error": error, "provider": provider, "who": None}
        return self.page("sign_in.html", status, **values)


def add_sign_in(
    r: APIRouter,
    pages: Pages,
    keyring: Keyring,
    sign_on: SignOn | None = None,
    tokens: Tokens | None = None,
) -> None:
    """Put the form and the ways in and out on a router of pages. ``sign_on`` and ``tokens`` are given where an identity
    provider signs people on."""
    if sign_on is None or tokens is None:
        _add_form(r, pages, keyring, provider=False)
    else:
        _add_form(r, pages, keyring, provider=True)
        _add_provider(r, pages, Provider(sign_on), tokens)


def _add_form(r: APIRouter, pages: Pages, keyring: Keyring, *, provider: bool) -> None:
    @r.get("/sign-in", dependencies=[PUBLIC])
    async def ask(next: str = "/") -> Response:  # noqa: A002 - the name in the address
        """The form."""
        return pages.ask(200, local(next), "", provider=provider)

    @r.post("/sign-in", dependencies=[PUBLIC])
    async def enter(request: Request) -> Response:
        """Keep the key."""
        filled = await _form_of(request)
        key, target = filled.get("key", "").strip(), local(filled.get("next", "/"))
        who = keyring.authenticate(key.encode())
        if who is None:
            error = "This key is unknown. Check it and try again."
            return pages.ask(403, target, error, provider=provider)
        if who.role not in pages.readers:
            error = f"This key may not look at {pages.what}. Use another one."
            return pages.ask(403, target, error, provider=provider)
        answer = RedirectResponse(target, 303, headers=pages.headers)
        _keep(answer, request, pages.cookie, key, COOKIE_SECONDS)
        return answer

    @r.post("/sign-out", dependencies=[PUBLIC])
    async def leave() -> Response:
        """Forget the key or token."""
        answer = RedirectResponse("/sign-in", 303, headers=pages.headers)
        answer.delete_cookie(pages.cookie, httponly=True, samesite="strict")
        return answer


def _add_provider(r: APIRouter, pages: Pages, provider: Provider, tokens: Tokens) -> None:
    away = f"{pages.cookie}_away"

    def failed(status: int, target: str, error: str) -> Response:
        return pages.ask(status, target, error, provider=True)

    @r.get("/sign-in/provider", dependencies=[PUBLIC])
    async def go(request: Request, next: str = "/") -> Response:  # noqa: A002 - the name in the address
        """To the identity provider."""
        try:
            leaving = await provider.leave(local(next))
        except SignOnFailedError as error:
            return failed(502, local(next), f"Nobody can sign in there now: {error}.")
        answer = RedirectResponse(leaving.url, 303, headers=pages.headers)
        # Lax: the provider's site sends the browser back here, and this must come with it.
        _keep(answer, request, away, leaving.kept, AWAY_SECONDS, path="/sign-in", samesite="lax")
        return answer

    @r.get("/sign-in/back", dependencies=[PUBLIC])
    async def come_back(request: Request) -> Response:
        """Keep the token."""
        try:
            arrived = await provider.arrive(request.cookies.get(away, ""), request.query_params)
            who = await tokens(arrived.token.encode())
        except SignOnFailedError as error:
            return failed(403, "/", f"Nobody was signed in: {error}.")
        except Problem as problem:
            return failed(problem.status_code, "/", f"Nobody was signed in: {problem.detail}")
        target = local(arrived.target)
        if who.role not in pages.readers:
            return failed(403, target, f"This account may not look at {pages.what}.")
        answer = HTMLResponse(_onward(target), headers=pages.headers)
        seconds = min(arrived.seconds or COOKIE_SECONDS, COOKIE_SECONDS)
        _keep(answer, request, pages.cookie, arrived.token, seconds)
        answer.delete_cookie(away, path="/sign-in", httponly=True, samesite="lax")
        return answer


async def _form_of(request: Request) -> dict[str, str]:
    """The first value of each field of a form; raises Problem for one of a machine's making."""
    try:
        form = parse_qs((await request.body()).decode(errors="replace"), max_num_fields=10)
    except ValueError as error:
        raise Problem(400, "bad-form", "Not a form of ours", detail=f"{error}.") from error
    return {name: values[0] for name, values in form.items()}


def local(target: str) -> str:
    """An address of this site, or its first page: nobody is sent elsewhere after signing in."""
    if not target.startswith("/") or target.startswith("/\\"):
        return "/"
    try:
        parts = urlsplit(target)  # which passes over what browsers pass over, such as tabs
    except ValueError:
        return "/"
    return "/" if parts.netloc or parts.scheme else target


def _keep(
    answer: Response,
    request: Request,
    name: str,
    value: str,
    seconds: int,
    *,
    path: str = "/",
    samesite: Literal["lax", "strict"] = "strict",
) -> None:
    secure = request.url.scheme == "https"
    answer.set_cookie(
        name, value, seconds, path=path, secure=secure, httponly=True, samesite=samesite
    )


def _onward(target: str) -> str:
    """A page of this site that goes on by itself: a redirect would still belong to the provider's, and a browser that
    comes from another site does not send a strict cookie."""
    to = escape(quote(target, safe="/%#?=&"))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Signed in</title>'
        f'<meta http-equiv="refresh" content="0; url={to}"></head>'
        f'<body><p>Signed in. <a href="{to}">Go on</a></p></body></html>'
    )
