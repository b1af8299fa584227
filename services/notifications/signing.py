"""Signatures of webhooks (Standard Webhooks), and the secrets behind them."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

from standardwebhooks import Webhook

KEY_LENGTH_MIN = 32


class Secrets:
    """The signing secret of every endpoint, derived from one key of the service.

    So no secret is stored, logged or shown by any log of events, and a database that leaks cannot
    sign. Another key means other secrets for all endpoints.
    """

    def __init__(self, key: str) -> None:
        if len(key) < KEY_LENGTH_MIN:
            raise ValueError(f"the webhook key has fewer than {KEY_LENGTH_MIN} characters")
        self._key = key.encode()

    def of(self, endpoint_id: str) -> str:
        """``whsec_`` and the base64 of 32 bytes (HMAC-SHA-256 of the endpoint's id)."""
        digest = hmac.new(self._key, f"webhook {endpoint_id}".encode(), hashlib.sha256).digest()
        return f"whsec_{base64.b64encode(digest).decode()}"


def signed(
    webhook_id: str, body: bytes, secret: str, at: datetime | None = None
) -> Mapping[str, str]:
    """The three headers of Standard Webhooks. The id is the same at every attempt; time and
    signature are the attempt's. ``secret`` is base64, with or without ``whsec_``; ``at`` is now by
    default."""
    when = at or datetime.now(UTC)
    signature = Webhook(secret).sign(webhook_id, when, body.decode())
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(when.timestamp())),
        "webhook-signature": signature,
    }
