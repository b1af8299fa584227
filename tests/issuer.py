"""An identity provider on this machine: publishes its keys over HTTP, signs tokens with them, and signs people on by the
authorization code flow with PKCE. Whoever comes is its account already: nobody is asked for a password."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

AUDIENCE = "https://oms.example"
CLIENT = ("pages", "open sesame:&%")
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
        #: What is said of the account that signs on, as arguments of `token`; why it is not let in, where it is not.
        self.account: dict[str, Any] = {"role": "agent"}
        self.refusal = ""
        #: Authorization codes that were not exchanged yet: redirect URI and challenge.
        self.codes: dict[str, tuple[str, str]] = {}
        #: How the token endpoint answers instead of well.
        self.instead: dict[str, Any] | None = None

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

    def sign_on(self, pages_url: str) -> dict[str, Any]:
        """What pages are told besides to have people signed on here."""
        name, secret = CLIENT
        more = {"oidc_client_id": name, "oidc_client_secret": secret, "pages_url": pages_url}
        return self.settings() | more

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

    def described(self) -> dict[str, str]:
        """OpenID Connect Discovery 1.0."""
        return {
            "issuer": self.url,
            "jwks_uri": self.jwks_url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser is sent (RFC 6749, 4.1.2)."""
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT[0]
        assert asked["code_challenge_method"] == "S256"
        answer = {"state": asked["state"], "iss": self.url}
        if self.refusal:
            answer["error"] = self.refusal
        else:
            answer["code"] = secrets.token_urlsafe()
            self.codes[answer["code"]] = (asked["redirect_uri"], asked["code_challenge"])
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """A code for a token, once (RFC 6749, 4.1.3; RFC 7636, 4.6)."""
        name_and_secret = ":".join(urlencode({"": part})[1:] for part in CLIENT)
        if authorization != "Basic " + base64.b64encode(name_and_secret.encode()).decode():
            return 401, {"error": "invalid_client"}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        known = self.codes.pop(form["code"], None)
        if form["grant_type"] != "authorization_code" or known != (form["redirect_uri"], challenge):
            return 400, {"error": "invalid_grant"}
        token = {"access_token": self.token(**self.account), "token_type": "Bearer"}
        return 200, self.instead or token | {"expires_in": 300}


@contextmanager
def serving() -> Iterator[Issuer]:
    """An issuer that answers on a free port of the loopback."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            asked = urlsplit(self.path)
            if issuer.broken:
                self.answer(500, b"")
            elif asked.path == "/authorize":
                self.answer(303, b"", location=issuer.authorize(dict(parse_qsl(asked.query))))
            elif asked.path == "/.well-known/openid-configuration":
                self.answer(200, json.dumps(issuer.described()).encode())
            else:
                self.answer(200 if asked.path == "/keys" else 404, issuer.jwks())

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["content-length"])).decode()
            assert self.path == "/token"
            status, said = issuer.exchange(
                dict(parse_qsl(form)), self.headers.get("authorization", "")
            )
            self.answer(status, json.dumps(said).encode())

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
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
