"""Signing in to pages: a key in a cookie that scripts and other sites cannot use. `create_app` reads it, for GET only."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse

#: A working day; a key that is withdrawn ends at once, whatever the cookie says.
COOKIE_SECONDS = 12 * 3600


async def form_of(request: Request) -> dict[str, str]:
    """The first value of each field of a form."""
    form = parse_qs((await request.body()).decode(errors="replace"), max_num_fields=10)
    return {name: values[0] for name, values in form.items()}


def signed_in(
    request: Request, target: str, cookie: str, key: str, headers: Mapping[str, str]
) -> RedirectResponse:
    """On to ``target``, with the key kept."""
    answer = RedirectResponse(target, 303, headers=headers)
    answer.set_cookie(
        cookie,
        key,
        max_age=COOKIE_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


def signed_out(cookie: str, headers: Mapping[str, str]) -> RedirectResponse:
    """Back to the form, with the key forgotten."""
    answer = RedirectResponse("/sign-in", 303, headers=headers)
    answer.delete_cookie(cookie, httponly=True, samesite="strict")
    return answer
