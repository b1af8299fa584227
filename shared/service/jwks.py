"""The identity provider's public keys (JWKS, RFC 7517), kept here and fetched anew when one is missing.

A token names its key. One that is not known here makes us ask the provider, at most every `ASK_AGAIN_S`: otherwise
tokens with made-up names would let strangers have us send it a request each. While the provider is away, tokens of keys
that are known go on being read.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import jwt
import msgspec
import structlog

from shared.service import fetching

ASK_AGAIN_S = 10.0
#: Keys this old are fetched anew in passing, so that one which the provider took back ends here, too.
OLD_S = 600.0
RSA_BITS_MIN = 2048
#: The algorithm for which each kind of key is used, and no other: a public key is never an HMAC secret.
_ALGORITHMS: Mapping[tuple[str, str], str] = {
    ("RSA", ""): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}
log = structlog.stdlib.get_logger("oms.security")


class ProviderAwayError(Exception):
    """The provider does not say whether the key is one of its."""


class UnknownKeyError(Exception):
    """The provider has no such key."""


class Jwks:
    """See the module. ``fetch`` gives the document's bytes; ``clock`` gives seconds."""

    def __init__(
        self,
        url: str,
        *,
        fetch: Callable[[str], Awaitable[bytes]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._fetch = fetch or fetching.get
        self._clock = clock
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._asked_at = self._answered_at = float("-inf")
        self._away = False
        self._asking = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> jwt.PyJWK:
        """The key of this name. Raises `UnknownKeyError` or `ProviderAwayError`."""
        if kid in self._keys:
            if self._clock() - self._answered_at > OLD_S:
                self._renew()
        else:
            await self._ask()
        found = self._keys.get(kid)
        if found is not None:
            return found
        raise ProviderAwayError if self._away else UnknownKeyError

    def _renew(self) -> None:
        """Ask without holding up who is here with a key that is known."""
        asking = self._renewing is not None and not self._renewing.done()
        if not asking and self._clock() - self._asked_at >= ASK_AGAIN_S:
            self._renewing = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        async with self._asking:
            if self._clock() - self._asked_at < ASK_AGAIN_S:
                return
            self._asked_at = self._clock()
            try:
                self._keys = usable(await self._fetch(self._url))
            except (httpx.HTTPError, TimeoutError, ValueError) as error:
                self._away = True
                log.warning(
                    "jwks.away",
                    url=self._url,
                    reason=repr(error),
                    kept=len(self._keys),
                    next="tokens of keys not known yet get 503; see OMS_OIDC_JWKS_URL",
                )
            else:
                self._away = False
                self._answered_at = self._clock()
                log.info("jwks.fetched", keys=sorted(self._keys))


def usable(document: bytes) -> dict[str, jwt.PyJWK]:
    """The keys by name that may sign tokens: named, asymmetric, meant for signatures, strong enough. Others are left
    out, for a provider may publish keys for other purposes. Raises ValueError for a document that holds none."""
    try:
        listed = msgspec.json.decode(document, type=dict[str, Any]).get("keys")
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a JWKS: {error}") from error
    found = {}
    for jwk in listed if isinstance(listed, list) else ():
        key = _key(jwk) if isinstance(jwk, dict) else None
        if key is not None:
            found[jwk["kid"]] = key
    if not found:
        raise ValueError("holds no key that can be used: RSA from 2048 bits, P-256 or Ed25519")
    return found


def _key(jwk: dict[str, Any]) -> jwt.PyJWK | None:
    kid, kind, use = jwk.get("kid"), jwk.get("kty"), jwk.get("use", "sig")
    curve = "" if kind == "RSA" else jwk.get("crv")
    algorithm = _ALGORITHMS.get((str(kind), str(curve)))
    if not isinstance(kid, str) or not kid or use != "sig" or algorithm is None:
        return None
    if jwk.get("alg", algorithm) not in (algorithm, "Ed25519"):
        return None
    public: dict[str, Any] = {
        name: jwk[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in jwk
    }
    try:
        key = jwt.PyJWK(public, algorithm)
    except (jwt.PyJWTError, ValueError):
        return None
    return None if kind == "RSA" and key.key.key_size < RSA_BITS_MIN else key
