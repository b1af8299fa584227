"""An identity provider on this machine: publishes its keys over HTTP and signs tokens with them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

AUDIENCE = "https://oms.example"
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def rsa_key(bits: int = 2048, number: int = 1) -> rsa.RSAPrivateKey:
    """A key for all tests: making one takes a moment. Another ``number`` is another key."""
    return rsa.generate_private_key(65537, bits)


def published(kid: str, key: Private, **more: str) -> dict[str, Any]:
    """The public half as a JWK."""
    public: Any = key.public_key()
    algorithm = {"RS": "RS256", "EC": "ES256", "Ed": "EdDSA"}[type(key).__name__.lstrip("_")[:2]]
    jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(public, as_dict=True)
    return jwk | {"kid": kid, "use": "sig"} | more


class Issuer:
    """Keys by name, as they are published now; ``broken`` answers 500. ``asked`` counts requests."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, Private] = {"rsa": rsa_key()}
        self.document: bytes | None = None
        self.broken = False
        self.asked = 0

    @property
    def jwks_url(self) -> str:
        return f"{self.url}/keys"

    def jwks(self) -> bytes:
        if self.document is not None:
            return self.document
        return json.dumps({"keys": [published(k, v) for k, v in self.keys.items()]}).encode()

    def settings(self) -> dict[str, Any]:
        """What a service is told to believe this issuer."""
        return {
            "oidc_issuer": self.url,
            "oidc_audience": AUDIENCE,
            "oidc_jwks_url": self.jwks_url,
        }

    def claims(self, role: str = "agent", **more: Any) -> dict[str, Any]:
        """Good claims; None takes one away."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "kim",
            "iat": now,
            "exp": now + 300,
            "roles": [role],
        }
        return {name: value for name, value in (claims | more).items() if value is not None}

    def token(
        self,
        role: str = "agent",
        *,
        kid: str = "rsa",
        algorithm: str = "RS256",
        key: Any = None,
        header: dict[str, Any] | None = None,
        more: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A token, signed by the key of this name or by another one; ``more`` are claims whose names are no words."""
        headers = {"kid": kid, "typ": "at+jwt"} | (header or {})
        said = self.claims(role, **claims) | (more or {})
        return jwt.encode(said, key or self.keys[kid], algorithm, headers)


@contextmanager
def serving() -> Iterator[Issuer]:
    """An issuer that answers on a free port of the loopback."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            body = issuer.jwks()
            self.send_response(500 if issuer.broken or self.path != "/keys" else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing on the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
