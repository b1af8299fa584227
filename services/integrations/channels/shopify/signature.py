"""The signature of a webhook: HMAC-SHA-256 over the raw body, base64, in ``X-Shopify-Hmac-Sha256``."""

import base64
import hashlib
import hmac
from collections.abc import Iterable


def sign(body: bytes, secret: str) -> str:
    """The signature that Shopify sends with a body."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def signed_by(body: bytes, signature: bytes, secrets: Iterable[str]) -> bool:
    """Whether one of the secrets (the new one and, while it is rotated, the old one) made the signature.

    Every secret is tried and compared in constant time, so that no timing tells how close a forgery came.
    """
    matches = [hmac.compare_digest(sign(body, s).encode(), signature) for s in secrets]
    return any(matches)
