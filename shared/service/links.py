"""Signed links to one parcel: whoever holds one may see where the parcel is, and nothing else.

A link is ``<claims>.<HMAC-SHA-256 of them>`` in base64url. The claims name the key, so that keys rotate: the first key
signs, all of them are believed until they are taken away. Nothing is stored, and no link says for whom it is.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from pydantic import AfterValidator

KEY_LENGTH_MIN = 32
#: Longer is no link of ours: order and package ids have at most 200 characters each.
TOKEN_LENGTH_MAX = 1000
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,20}")
_PURPOSE = b"oms tracking link\0"


class BadLinkError(ValueError):
    """Not a link of ours, or not as it was made."""


class ExpiredLinkError(ValueError):
    """A link of ours whose time is over."""


class Claims(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a link says: key id, expiry (seconds since 1970, UTC), order and package."""

    key: str
    expires: int
    order_id: str
    package_id: str


class Links:
    """Makes and reads links. ``keys`` are secrets by id; the first one signs. Raises ValueError for keys that cannot
    be used."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        for id, secret in keys.items():
            if not _KEY_ID.fullmatch(id):
                raise ValueError(f"{id!r} is no key id: 1 to 20 letters, digits, - and _")
            if len(secret) < KEY_LENGTH_MIN:
                raise ValueError(f"key {id} has fewer than {KEY_LENGTH_MIN} characters")
        self._keys = {id: secret.encode() for id, secret in keys.items()}

    def __bool__(self) -> bool:
        """Whether there is a key at all."""
        return bool(self._keys)

    def sign(self, order_id: str, package_id: str, expires: datetime) -> str:
        """The link's token, for use in a path. Raises StopIteration without keys."""
        key = next(iter(self._keys))
        claims = Claims(key, int(expires.timestamp()), order_id, package_id)
        return self._token(claims)

    def read(self, token: str, now: datetime) -> Claims:
        """What a link says, if it is ours and its time is not over. Raises `BadLinkError` or `ExpiredLinkError`."""
        try:
            if len(token) > TOKEN_LENGTH_MAX:
                raise BadLinkError("too long")
            claims = msgspec.json.decode(_bytes(token.partition(".")[0]), type=Claims)
            ours = claims.key in self._keys and hmac.compare_digest(
                token.encode(), self._token(claims).encode()
            )
        except (binascii.Error, msgspec.MsgspecError, UnicodeError) as error:
            raise BadLinkError("not of the form of a link") from error
        if not ours:
            raise BadLinkError("not signed with a key of ours")
        if claims.expires <= now.timestamp():
            raise ExpiredLinkError(f"expired at {datetime.fromtimestamp(claims.expires, UTC)}")
        return claims

    def _token(self, claims: Claims) -> str:
        data = msgspec.json.encode(claims)
        mac = hmac.new(self._keys[claims.key], _PURPOSE + data, hashlib.sha256).digest()
        return f"{_text(data)}.{_text(mac)}"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    data = text.encode("ascii")
    return base64.b64decode(data + b"=" * (-len(data) % 4), altchars=b"-_", validate=True)


def _usable(keys: dict[str, str]) -> dict[str, str]:
    Links(keys)
    return keys


#: The setting that whoever makes links and whoever reads them share.
TrackingKeys = Annotated[dict[str, str], AfterValidator(_usable)]
TRACKING_KEYS = (
    "JSON: key id → secret of 32 or more characters, the signing one first; none: no tracking links"
)
