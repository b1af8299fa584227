"""Signing on to pages by the house's identity provider: the authorization code flow of OAuth 2.0 (RFC 6749, 4.1) with PKCE
(RFC 7636), as OpenID Connect providers offer it.

What it ends with is an access token like those that the APIs take, read where they are read (`shared.service.tokens`); who
somebody is and may do is not decided here. It is one address and one request: a client library would bring more than it
saves.
"""

import hashlib
import hmac
import re
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote, quote_plus, unquote, urlencode

import httpx
import msgspec
import structlog

from shared.service import fetching
from shared.service.trust import SAFE_URL, SignOn

#: The provider's addresses are looked up again after this long; after a failure, at once.
OLD_S = 600.0
#: Browsers keep no larger cookie than 4,096 bytes with its name and attributes.
TOKEN_LENGTH_MAX = 3800
TARGET_LENGTH_MAX = 1000
_CODE = re.compile(r"[\x20-\x7e]{1,100}")
log = structlog.stdlib.get_logger("oms.security")


class SignOnFailedError(Exception):
    """Nobody was signed on; the text says why, for the person who tried."""


class Leaving(NamedTuple):
    """A browser on its way to the provider: the address, and what it must bring back in a cookie."""

    url: str
    kept: str


class Arrived(NamedTuple):
    """A browser that is back: its access token, for how many seconds the provider says it is good (0: unsaid), and the
    page that was asked for."""

    token: str
    seconds: int
    target: str


class _Addresses(msgspec.Struct, frozen=True):
    """What we need of OpenID Connect Discovery 1.0, section 3."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str


class _Token(msgspec.Struct, frozen=True):
    """RFC 6749, 5.1."""

    access_token: str
    token_type: str
    expires_in: int = 0


class Provider:
    """The identity provider as seen by pages; ``clock`` gives seconds."""

    def __init__(self, sign_on: SignOn, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._sign_on = sign_on
        self._clock = clock
        self._addresses: _Addresses | None = None
        self._looked_at = float("-inf")

    async def leave(self, target: str) -> Leaving:
        """Begin; ``target`` is the page to come back to. Raises `SignOnFailedError`."""
        addresses = await self._look()
        state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        s = self._sign_on
        asked = {
            "response_type": "code",
            "client_id": s.client_id,
            "redirect_uri": s.back_url,
            "scope": s.scope,
            "audience": s.audience,  # some providers need it; others must pass it over (RFC 6749, 3.1)
            "state": state,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in addresses.authorization_endpoint else "?"
        url = f"{addresses.authorization_endpoint}{joint}{urlencode(asked)}"
        kept = target if len(target) <= TARGET_LENGTH_MAX else "/"
        return Leaving(url, f"{state}.{verifier}.{quote(kept, safe='')}")

    async def arrive(self, kept: str, brought: Mapping[str, str]) -> Arrived:
        """End, with what the browser kept and the query that it brought. Raises `SignOnFailedError`."""
        state, _, rest = kept.partition(".")
        verifier, _, target = rest.partition(".")
        if not state or not hmac.compare_digest(state.encode(), brought.get("state", "").encode()):
            raise SignOnFailedError("this sign-in was not begun in this browser, or long ago")
        if brought.get("iss", self._sign_on.issuer) != self._sign_on.issuer:  # RFC 9207
            raise SignOnFailedError("the answer is that of another identity provider")
        if error := brought.get("error"):
            said = error if _CODE.fullmatch(error) else "something unreadable"
            raise SignOnFailedError(f"the identity provider says: {said}")
        token = await self._exchange(brought.get("code", ""), verifier)
        if len(token.access_token) > TOKEN_LENGTH_MAX:
            log.error(
                "signon.token_too_long",
                length=len(token.access_token),
                next="have the provider put less into access tokens for these pages",
            )
            raise SignOnFailedError("the provider's access token is longer than a cookie may be")
        return Arrived(token.access_token, max(0, token.expires_in), unquote(target))

    async def _exchange(self, code: str, verifier: str) -> _Token:
        """RFC 6749, 4.1.3."""
        addresses, s = await self._look(), self._sign_on
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": s.back_url,
            "client_id": s.client_id,
            "code_verifier": verifier,
        }
        auth = (quote_plus(s.client_id), quote_plus(s.client_secret)) if s.client_secret else None
        try:
            status, document = await fetching.post_form(addresses.token_endpoint, form, auth)
            if status != 200:
                raise ValueError(f"answered {status}: {document[:200]!r}")
            token = msgspec.json.decode(document, type=_Token)
            if token.token_type.lower() != "bearer":
                raise ValueError(f"gives a token of type {token.token_type[:20]!r}")
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            raise self._away(addresses.token_endpoint, error) from error
        return token

    async def _look(self) -> _Addresses:
        if self._addresses is None or self._clock() - self._looked_at > OLD_S:
            url = f"{self._sign_on.issuer.rstrip('/')}/.well-known/openid-configuration"
            try:
                found = msgspec.json.decode(await fetching.get(url), type=_Addresses)
                if found.issuer != self._sign_on.issuer:
                    raise ValueError(f"is of another issuer, {found.issuer[:200]!r}")
                for endpoint in (found.authorization_endpoint, found.token_endpoint):
                    if not re.fullmatch(SAFE_URL, endpoint):
                        raise ValueError(f"names an address without TLS, {endpoint[:200]!r}")
            except (httpx.HTTPError, TimeoutError, ValueError) as error:
                raise self._away(url, error) from error
            self._addresses, self._looked_at = found, self._clock()
        return self._addresses

    def _away(self, url: str, error: Exception) -> SignOnFailedError:
        log.warning(
            "signon.failed",
            url=url,
            reason=repr(error),
            next="see OMS_OIDC_ISSUER, OMS_OIDC_CLIENT_ID and OMS_OIDC_CLIENT_SECRET, and the provider's log",
        )
        return SignOnFailedError("the identity provider does not answer as it should")


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
