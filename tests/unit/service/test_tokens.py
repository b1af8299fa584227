"""Tokens of a real issuer over HTTP: who is believed, and who is not."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ops.system.layout import SERVICES
from shared.service import Principal, Problem, Role, Settings
from shared.service.jwks import ASK_AGAIN_S, OLD_S, Jwks
from shared.service.security import Keyring
from shared.service.settings import InvalidSettingsError
from shared.service.tokens import Tokens
from shared.service.trust import Trust, is_token
from tests.issuer import AUDIENCE, Issuer, published, rsa_key, serving
from tests.unit.service.conftest import build


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with serving() as running:
        yield running


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Reading:
    """Tokens read with a clock that stands still until it is moved."""

    def __init__(self, issuer: Issuer, **trust: Any) -> None:
        self.clock = Clock()
        self.keys = Jwks(issuer.jwks_url, clock=self.clock)
        self.tokens = Tokens(Trust(issuer.url, AUDIENCE, issuer.jwks_url, **trust), self.keys)

    async def __call__(self, token: str) -> Principal:
        return await self.tokens.authenticate(token.encode())

    async def refused(self, token: str) -> tuple[int, str]:
        with pytest.raises(Problem) as refusal:
            await self(token)
        assert refusal.value.headers is not None
        if refusal.value.status_code == 401:
            assert 'error="invalid_token"' in refusal.value.headers["WWW-Authenticate"]
        return refusal.value.status_code, refusal.value.detail


async def test_a_token_becomes_the_same_caller_as_a_key(issuer: Issuer) -> None:
    read = Reading(issuer)
    assert await read(issuer.token()) == Principal("oidc:kim", Role.AGENT)
    assert await read(issuer.token("channel", channel="web")) == Principal(
        "oidc:kim", Role.CHANNEL, channel="web"
    )
    mine = issuer.token("customer", customer_id="c-1", channel="web")
    assert await read(mine) == Principal("oidc:kim", Role.CUSTOMER, customer="c-1")
    assert issuer.asked == 1


async def test_every_algorithm_that_is_allowed_is_read(issuer: Issuer) -> None:
    issuer.keys |= {
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "ed": ed25519.Ed25519PrivateKey.generate(),
    }
    read = Reading(issuer)
    for kid, algorithm in (("rsa", "RS256"), ("ec", "ES256"), ("ed", "EdDSA")):
        assert (await read(issuer.token(kid=kid, algorithm=algorithm))).role is Role.AGENT


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://elsewhere.example"}, "of another issuer"),
        ({"iss": None}, "no claim iss"),
        ({"aud": "https://another.example"}, "for another audience"),
        ({"aud": [AUDIENCE + "/"]}, "for another audience"),
        ({"aud": None}, "no claim aud"),
        ({"exp": time.time() - 31}, "has expired"),
        ({"exp": None}, "no claim exp"),
        ({"exp": "soon"}, "not well formed"),
        ({"exp": []}, "not well formed"),
        ({"exp": float("inf")}, "not well formed"),
        ({"sub": 7}, "not well formed"),
        ({"nbf": time.time() + 300}, "not valid yet"),
        ({"iat": time.time() + 300}, "not valid yet"),
        ({"sub": None}, "no claim sub"),
    ],
)
async def test_a_claim_that_is_wrong_or_missing_is_refused(
    issuer: Issuer, claims: dict[str, Any], why: str
) -> None:
    status, detail = await Reading(issuer).refused(issuer.token(**claims))
    assert status == 401
    assert why in detail


async def test_clocks_may_differ_by_the_leeway_and_no_more(issuer: Issuer) -> None:
    read = Reading(issuer, leeway_s=60)
    assert (await read(issuer.token(exp=time.time() - 50, nbf=time.time() + 50))).role is Role.AGENT
    assert (await read.refused(issuer.token(exp=time.time() - 62)))[0] == 401


async def test_a_token_that_was_good_ends_with_its_time(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Reading(issuer)
    token = issuer.token()
    assert await read(token) == await read(token)
    ended = time.time() + 331
    monkeypatch.setattr(time, "time", lambda: ended)
    kept = read.tokens._kept[token.encode()]
    assert kept.expires <= ended
    monkeypatch.setattr(read.tokens, "_claims", _refuse)
    assert "has expired" in (await read.refused(token))[1]


async def test_nobody_forges_a_token(issuer: Issuer) -> None:
    read = Reading(issuer)
    good = issuer.token()
    head, body, signature = good.split(".")
    public = rsa_key().public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    stranger = rsa_key(2048, 2)
    own = published("rsa", stranger)
    forged = {
        "no signature": f"{head}.{body}.",
        "none": f"{_part({'alg': 'none', 'kid': 'rsa'})}.{body}.",
        "another's key": issuer.token(key=stranger),
        "its own key in the header": issuer.token(key=stranger, header={"jwk": own}),
        "its own address": issuer.token(key=stranger, header={"jku": "http://127.0.0.1:1/"}),
        "public key as secret": _hmac(issuer, pem),
        "other claims": f"{head}.{_part(issuer.claims('ops'))}.{signature}",
        "another algorithm": issuer.token(algorithm="RS512"),
        "an unknown extension": issuer.token(header={"crit": ["x"], "x": 1}),
        "another type": issuer.token(header={"typ": "logout+jwt"}),
        "no key": issuer.token(header={"kid": ""}),
        "a number for a key": f"{_part({'alg': 'RS256', 'kid': 7})}.{body}.{signature}",
        "not JSON": f"e30.{body}.{signature}",
        "nothing": "..",
        "bytes": "\xff.\xff.\xff",
        "deep": f"{_encoded(b'[' * 5000)}.{body}.{signature}",
        "endless": f"{head}.{'a' * 9000}.{signature}",
    }
    for what, token in forged.items():
        assert (await read.refused(token))[0] == 401, what
    assert (await read(good)).role is Role.AGENT


def _refuse(*_: Any) -> dict[str, Any]:
    raise jwt.ExpiredSignatureError


def _part(value: dict[str, Any]) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def _hmac(issuer: Issuer, secret: bytes) -> str:
    """A token signed by hand: libraries refuse a public key as a secret."""
    signed = f"{_part({'alg': 'HS256', 'kid': 'rsa'})}.{_part(issuer.claims('ops'))}".encode()
    algorithm = jwt.get_algorithm_by_name("HS256")
    signature = algorithm.sign(signed, secret)
    return f"{signed.decode()}.{_encoded(signature)}"


@pytest.mark.parametrize(
    "claims",
    [
        {"roles": None},
        {"roles": []},
        {"roles": ["admin", "offline_access"]},
        {"roles": ["agent", "ops"]},
        {"roles": {"agent": True}},
        {"roles": 7},
        {"role": "channel"},
        {"role": "channel", "channel": ""},
        {"role": "channel", "channel": ["web"]},
        {"role": "customer"},
        {"role": "customer", "customer_id": "c" * 201},
        {"role": "customer", "customer_id": "c\x001"},
        {"sub": "s" * 201},
        {"sub": "a\nb"},
    ],
)
async def test_a_good_token_without_a_clear_right_is_forbidden(
    issuer: Issuer, claims: dict[str, Any]
) -> None:
    status, detail = await Reading(issuer).refused(issuer.token(**claims))
    assert status == 403
    assert "the claim" in detail


async def test_claims_are_found_where_the_provider_puts_them(issuer: Issuer) -> None:
    nested = Reading(
        issuer, roles_claim="realm_access.roles", channel_claim="https://shop.example/channel"
    )
    token = issuer.token(
        roles=None,
        realm_access={"roles": ["offline_access", "channel"]},
        more={"https://shop.example/channel": "web"},
    )
    assert (await nested(token)).channel == "web"
    words = Reading(issuer, roles_claim="scope")
    assert (await words(issuer.token(roles=None, scope="openid ops"))).role is Role.OPS


async def test_a_new_key_is_fetched_and_a_withdrawn_one_ends(issuer: Issuer) -> None:
    read = Reading(issuer)
    old = issuer.token()
    assert (await read(old)).role is Role.AGENT
    issuer.keys = {"next": rsa_key(2048, 2)}
    assert (await read.refused(issuer.token(kid="next")))[0] == 401  # asked a moment ago
    read.clock.seconds += ASK_AGAIN_S
    assert (await read(issuer.token(kid="next"))).role is Role.AGENT
    assert (await read.refused(old))[0] == 401


async def test_old_keys_are_renewed_in_passing(issuer: Issuer) -> None:
    read = Reading(issuer)
    token = issuer.token()
    await read(token)
    issuer.keys = {"next": rsa_key(2048, 2)}
    read.clock.seconds += OLD_S + 1
    await read(token)
    renewing = read.keys._renewing
    assert renewing is not None
    await renewing
    assert (await read.refused(token))[0] == 401


async def test_made_up_key_names_do_not_make_us_ask_each_time(issuer: Issuer) -> None:
    read = Reading(issuer)
    for n in range(20):
        made_up = issuer.token(key=rsa_key(), header={"kid": f"k{n}"})
        assert (await read.refused(made_up))[0] == 401
    assert issuer.asked == 1


async def test_known_keys_go_on_while_the_provider_is_away(issuer: Issuer) -> None:
    read = Reading(issuer)
    assert (await read(issuer.token())).role is Role.AGENT
    issuer.broken = True
    issuer.keys["next"] = rsa_key(2048, 2)
    read.clock.seconds += ASK_AGAIN_S
    assert (await read.refused(issuer.token(kid="next")))[0] == 503
    assert (await read(issuer.token())).role is Role.AGENT
    issuer.broken = False
    read.clock.seconds += ASK_AGAIN_S
    assert (await read(issuer.token(kid="next"))).role is Role.AGENT


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"keys": 7}',
        b'{"keys": []}',
        b'{"keys": [7, {"kty": "RSA", "kid": "rsa", "n": "AQAB", "e": "AQAB"}]}',
        b'{"keys": [{"kty": "oct", "kid": "rsa", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}',
        b" " * 300_000,
    ],
)
async def test_a_document_without_a_usable_key_is_like_no_answer(
    issuer: Issuer, document: bytes
) -> None:
    issuer.document = document
    assert (await Reading(issuer).refused(issuer.token()))[0] == 503


async def test_keys_for_other_purposes_are_left_out(issuer: Issuer) -> None:
    weak = rsa_key(1024)
    keys = [
        published("enc", rsa_key(), use="enc"),
        published("weak", weak),
        published("other", rsa_key(), alg="RS512"),
        published("p384", ec.generate_private_key(ec.SECP384R1())) | {"alg": "ES384"},
        published("rsa", rsa_key()),
    ]
    issuer.document = json.dumps({"keys": keys}).encode()
    read = Reading(issuer)
    assert (await read(issuer.token())).role is Role.AGENT
    for kid in ("enc", "other"):
        assert (await read.refused(issuer.token(key=rsa_key(), header={"kid": kid})))[0] == 401
    assert set(read.keys._keys) == {"rsa"}


async def test_keys_and_tokens_are_taken_side_by_side(issuer: Issuer) -> None:
    app = build(trust=Settings.load(**issuer.settings()).trust)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://example") as client:

        async def ask(bearer: str) -> httpx.Response:
            return await client.get("/orders/1", headers={"authorization": f"Bearer {bearer}"})

        assert (await ask(issuer.token("auditor"))).status_code == 200
        assert (await ask("oms_auditor_0123456789abcdef")).status_code == 200
        assert (await ask(issuer.token("agent"))).status_code == 403
        answer = await ask(issuer.token("auditor", exp=time.time() - 300))
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == 'Bearer realm="oms", error="invalid_token"'
        assert (await ask("a.b.c")).status_code == 401


async def test_without_an_issuer_a_token_is_an_unknown_key(issuer: Issuer) -> None:
    assert Keyring().authenticate(issuer.token().encode()) is None
    assert is_token(issuer.token().encode())
    assert not is_token(b"oms_ops_0123456789abcdef")
    assert Settings.load().trust is None


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_does_not_carry_cryptography_for_tokens_that_it_may_not_be_told_to_believe(
    service: str,
) -> None:
    program = f"import sys, services.{service}.__main__; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("missing", "value"),
    [
        ("oidc_audience", ""),
        ("oidc_jwks_url", ""),
        ("oidc_issuer", ""),
        ("oidc_jwks_url", "http://elsewhere.example/keys"),
        ("oidc_leeway_s", 3600),
    ],
)
def test_half_a_trust_is_none(issuer: Issuer, missing: str, value: Any) -> None:
    with pytest.raises(InvalidSettingsError, match="OMS_OIDC"):
        Settings.load(**(issuer.settings() | {missing: value}))
