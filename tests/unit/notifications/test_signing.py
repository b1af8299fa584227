"""Signatures against the official library and the vectors of Standard Webhooks."""

from __future__ import annotations

import json
import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.notifications.domain.messages import CallWebhook
from services.notifications.signing import Secrets, signed
from services.notifications.webhooks import cloud_event

KEY = "a key of the service, thirty-two characters or more"
#: The published vector of the specification's own libraries.
SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SAMPLES = Path(os.environ.get("OMS_DATA") or Path(__file__).parents[4] / "shared" / "data")
ARCHIVE = SAMPLES / "messages.tar.xz"


@pytest.mark.parametrize("secret", [SECRET, f"whsec_{SECRET}"])
def test_the_published_vector(secret: str) -> None:
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', secret, at)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.skipif(not ARCHIVE.exists(), reason="no messages.tar.xz in ../shared/data or OMS_DATA")
def test_the_vectors_of_the_archive() -> None:
    with tarfile.open(ARCHIVE) as archive:
        [path] = [m for m in archive.getnames() if m.endswith("standard_webhooks/vectors.json")]
        file = archive.extractfile(path)
        assert file is not None
        v = json.load(file)
    at = datetime.fromtimestamp(v["timestamp"], UTC)
    for secret in (v["secret"], v["secret_prefixed"]):
        headers = signed(v["msg_id"], v["payload"].encode(), secret, at)
        assert headers["webhook-signature"] == v["expected_signature"]
        for case in v["cases"]:
            if "webhook-signature" in case:
                ours = headers["webhook-signature"] in case["webhook-signature"].split(" ")
                assert ours == case["valid"], case["name"]


def test_the_official_library_takes_our_signature_and_no_other() -> None:
    secrets = Secrets(KEY)
    headers = dict(signed("msg_1", b'{"a":1}', secrets.of("e1")))
    assert Webhook(secrets.of("e1")).verify(b'{"a":1}', headers) == {"a": 1}
    for secret, body in ((secrets.of("e2"), b'{"a":1}'), (secrets.of("e1"), b'{"a":2}')):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secrets.of("e1")).verify(b'{"a":1}', headers | {"webhook-id": "msg_2"})


def test_secrets_are_stable_differ_and_need_a_long_key() -> None:
    assert Secrets(KEY).of("e1") == Secrets(KEY).of("e1")
    assert len({Secrets(KEY).of("e1"), Secrets(KEY).of("e2"), Secrets(KEY + "x").of("e1")}) == 3
    assert Secrets(KEY).of("e1").startswith("whsec_")
    with pytest.raises(ValueError, match="fewer than 32"):
        Secrets("short")


def test_the_events_attributes_travel_as_headers() -> None:
    call = CallWebhook(
        webhook_id="msg_1",
        endpoint_id="e1",
        sequence=3,
        event_id="order-1/4",
        event_type="oms.order.shipped.v1",
        subject="order-1",
        payload=b"{}",  # type: ignore[arg-type]
    )
    assert cloud_event(call) == {
        "ce-specversion": "1.0",
        "ce-id": "order-1/4",
        "ce-type": "oms.order.shipped.v1",
        "ce-source": "/oms/order",
        "ce-subject": "order-1",
        "oms-webhook-sequence": "3",
    }
