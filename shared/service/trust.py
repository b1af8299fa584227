"""Whose access tokens are believed, and how one is told from an API key.

Apart from `shared.service.tokens`, which reads them: that needs cryptography, 9 MB in each process, and many houses have
API keys only.
"""

import msgspec

#: Addresses that are asked, or that browsers are sent to: by TLS, save on this machine.
SAFE_URL = r"https://[^\s]+|http://(127\.0\.0\.1|localhost|\[::1\])[:/][^\s]*"


class Trust(msgspec.Struct, frozen=True):
    """Whose tokens are believed: the issuer, our name in ``aud``, where its keys are, in which claims roles, channel and
    customer stand (a path with dots), and how many seconds its clock may differ from ours."""

    issuer: str
    audience: str
    jwks_url: str
    roles_claim: str = "roles"
    channel_claim: str = "channel"
    customer_claim: str = "customer_id"
    leeway_s: int = 30


class SignOn(msgspec.Struct, frozen=True):
    """How pages have people signed on: by which issuer, under which name of ours there and with which secret (none: a
    public client), for which audience and scope, and at which address browsers reach the pages."""

    issuer: str
    client_id: str
    client_secret: str
    audience: str
    scope: str
    pages_url: str

    @property
    def back_url(self) -> str:
        """Where the provider sends browsers back to: the redirect URI to be registered there."""
        return f"{self.pages_url.rstrip('/')}/sign-in/back"


def is_token(credential: bytes) -> bool:
    """Whether a credential has the form of a JWT; an API key never has a dot."""
    return credential.count(b".") == 2
