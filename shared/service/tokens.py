"""Access tokens of an identity provider (OIDC; JWT after RFC 7519 and 9068), beside API keys.

A token becomes the same `Principal` as a key. Nothing in it is believed before its signature is: its header only chooses
among the provider's own keys, and each key has one algorithm. What is missing or unclear is refused.
"""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jwt

from shared.service.jwks import Jwks, ProviderAwayError, UnknownKeyError
from shared.service.problems import Problem
from shared.service.security import Principal, Role, unauthenticated
from shared.service.trust import Trust

TOKEN_LENGTH_MAX = 8 * 1024
NAME_LENGTH_MAX = 200
#: Tokens whose reading is kept: checking a signature takes 0.2 ms, and a token comes many times in its life.
KEPT_MAX = 1000
#: RFC 9068 asks for at+jwt; many providers say JWT, or nothing. So does an ID token, which is for another audience.
_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt"})
#: What the library raises for tokens that nobody would make but to see what happens: exp as a list, an endless nesting.
_UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError)
_REQUIRED = ["exp", "iss", "aud", "sub"]


class Read(NamedTuple):
    """What a token was found to say: as long as its key is the provider's, and its time is not over."""

    principal: Principal
    kid: str
    key: jwt.PyJWK
    expires: float


class Tokens:
    """Reads tokens. ``keys`` are the provider's."""

    def __init__(self, trust: Trust, keys: Jwks | None = None) -> None:
        self._trust = trust
        self._keys = keys or Jwks(trust.jwks_url)
        self._kept: dict[bytes, Read] = {}

    async def authenticate(self, token: bytes) -> Principal:
        """The caller that a token speaks for. Raises `Problem`: 401 for one that is not good, 403 for a good one that
        gives no role here, 503 while nobody can say whether its key is good."""
        if len(token) > TOKEN_LENGTH_MAX:
            raise _invalid(f"it has more than {TOKEN_LENGTH_MAX} characters")
        kept = self._kept.get(token)
        try:
            kid = kept.kid if kept else _kid(token)
            key = await self._keys.key(kid)
            if kept and kept.key is key and kept.expires > time.time():
                return kept.principal
            claims = self._claims(token, key)
        except UnknownKeyError:
            raise _invalid("it is signed with a key that its issuer does not publish") from None
        except ProviderAwayError:
            raise Problem(
                503,
                "identity-provider-away",
                "The identity provider does not answer",
                detail="Whether this token is good cannot be said now. Send the same request again.",
                retry_after_s=10,
            ) from None
        except _UNREADABLE as error:
            raise _invalid(_why(error)) from error
        principal = self._principal(claims)
        self._kept[token] = Read(principal, kid, key, int(claims["exp"]) + self._trust.leeway_s)
        if len(self._kept) > KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        return principal

    def _claims(self, token: bytes, key: jwt.PyJWK) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            issuer=self._trust.issuer,
            audience=self._trust.audience,
            leeway=self._trust.leeway_s,
            options={"require": _REQUIRED},
        )
        return claims

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        trust = self._trust
        roles = _roles(_claim(claims, trust.roles_claim))
        if len(roles) != 1:
            found = f"these: {', '.join(sorted(roles))}" if roles else "none"
            raise _no_right(
                f"the claim {trust.roles_claim} must name exactly one of {', '.join(sorted(Role))}; "
                f"it names {found}"
            )
        [role] = roles
        channel = _name(claims, trust.channel_claim) if role is Role.CHANNEL else None
        customer = _name(claims, trust.customer_claim) if role is Role.CUSTOMER else None
        # A subject of the provider is never mistaken for the id of a key.
        return Principal(f"oidc:{_name(claims, 'sub')}", role, channel, customer)


def _kid(token: bytes) -> str:
    header = jwt.get_unverified_header(token)
    if str(header.get("typ", "JWT")).lower() not in _TYPES:
        raise jwt.InvalidTokenError("it is of another type than an access token")
    if "crit" in header:
        raise jwt.InvalidTokenError("it asks for extensions (crit) that are not known here")
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise jwt.InvalidTokenError("its header names no key (kid)")
    return kid


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """What stands at a path; a claim whose own name has dots (a URL) goes before."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _roles(claim: Any) -> set[Role]:
    """Our roles among what the provider says (a list, or words); it may have others for other systems."""
    named = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else ()
    return {role for role in Role if role in named}


def _name(claims: Mapping[str, Any], path: str) -> str:
    found = _claim(claims, path)
    if isinstance(found, str) and 0 < len(found) <= NAME_LENGTH_MAX and found.isprintable():
        return found
    raise _no_right(
        f"the claim {path} must be a name of 1 to {NAME_LENGTH_MAX} printable characters"
    )


def _why(error: Exception) -> str:
    """In words that repeat nothing of the token."""
    match error:
        case jwt.ExpiredSignatureError():
            return "it has expired: get a new one"
        case jwt.ImmatureSignatureError():
            return "it is not valid yet: compare the clocks"
        case jwt.InvalidAudienceError():
            return "it is for another audience"
        case jwt.InvalidIssuerError():
            return "it is of another issuer"
        case jwt.MissingRequiredClaimError():
            return f"it has no claim {error.claim}"
        case jwt.InvalidSignatureError():
            return "its signature is wrong"
        case jwt.InvalidAlgorithmError():
            return "it is not signed with the algorithm of its key"
    return str(error) if type(error) is jwt.InvalidTokenError else "it is not well formed"


def _invalid(why: str) -> Problem:
    """401 with the error that RFC 6750 (3.1) names."""
    return unauthenticated(f"This token is not good: {why}.", error="invalid_token")


def _no_right(why: str) -> Problem:
    return Problem(
        403,
        "no-right",
        "The token gives no right here",
        detail=f"The token is good, but {why}.",
        headers={"WWW-Authenticate": 'Bearer realm="oms", error="insufficient_scope"'},
    )
