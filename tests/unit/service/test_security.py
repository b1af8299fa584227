"""Keys, their file, rotation, and the idempotency guard."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from shared.service import Keyring, Principal, Problem, Role, require
from shared.service.idempotency import IdempotencyKey, InFlight, fingerprint
from shared.service.scope import channel_of, check_channel, may_see
from shared.service.security import (
    KeyEntry,
    KeysFileError,
    generate_key,
    hash_key,
    read_keys_file,
    write_keys_file,
)

WEB = Principal("web-1", Role.CHANNEL, "web")


def test_keys_are_long_and_hashed(tmp_path: Path) -> None:
    key = generate_key(Role.OPS)
    path = tmp_path / "keys.json"
    write_keys_file(path, [KeyEntry("ops-1", hash_key(key), Role.OPS)])
    assert key.startswith("oms_ops_")
    assert len(key) >= 8 + 43
    assert key not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ring = Keyring.from_file(path)
    assert ring.authenticate(key.encode()) == Principal("ops-1", Role.OPS)
    assert ring.authenticate(key[:-1].encode()) is None
    assert ring.authenticate(b"\xff" * 201) is None
    assert len({generate_key(Role.OPS) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a list"),
        ("{}", "not a list"),
        ('[{"id":"a","sha256":"00","role":"ops"}]', "64 hex"),
        ('[{"id":"a","sha256":"' + "0" * 64 + '","role":"root"}]', "not a list"),
        ('[{"id":"a","sha256":"' + "0" * 64 + '","role":"channel"}]', "name a channel"),
        ('[{"id":"a","sha256":"' + "0" * 64 + '","role":"ops","channel":"w"}]', "name a channel"),
        ('[{"id":"a","sha256":"' + "0" * 64 + '","role":"customer"}]', "name a customer"),
        ('[{"id":"a","sha256":"' + "0" * 64 + '","role":"ops","customer":"c"}]', "name a customer"),
        ('[{"id":"a","sha256":"' + "0" * 64 + '","role":"ops","x":1}]', "not a list"),
    ],
)
def test_bad_keys_file_is_explained(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(KeysFileError, match=says):
        read_keys_file(path)


def test_missing_keys_file_and_double_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with pytest.raises(KeysFileError, match="OMS_KEYS_FILE"):
        read_keys_file(path)
    digest = hash_key("x")
    write_keys_file(path, [KeyEntry("a", digest, Role.OPS), KeyEntry("b", digest, Role.AGENT)])
    with pytest.raises(KeysFileError, match="twice"):
        read_keys_file(path)


def test_keys_rotate_without_restart_and_survive_a_bad_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_keys_file(path, [KeyEntry("a", hash_key("old"), Role.OPS)])
    ring = Keyring.from_file(path)
    assert ring.reload_if_changed() is False

    write_keys_file(path, [KeyEntry("b", hash_key("new"), Role.OPS)])
    assert ring.reload_if_changed() is True
    assert ring.authenticate(b"old") is None
    assert ring.authenticate(b"new") is not None

    path.write_text("broken")
    os.utime(path, ns=(1, 1))
    assert ring.reload_if_changed() is False
    path.unlink()
    assert ring.reload_if_changed() is False
    assert ring.authenticate(b"new") is not None


def test_guard() -> None:
    guard = require(Role.CHANNEL)
    assert guard.check(WEB) is WEB
    for principal, status in ((None, 401), (Principal("a", Role.OPS), 403)):
        with pytest.raises(Problem) as raised:
            guard.check(principal)
        assert raised.value.status_code == status
    with pytest.raises(ValueError, match="at least one role"):
        require()


def test_everybody_sees_what_is_theirs_to_see() -> None:
    mine = Principal("c", Role.CUSTOMER, customer="c-1")
    assert may_see(WEB, channel="web", customer="c-2")
    assert not may_see(WEB, channel="app", customer="c-2")
    assert may_see(mine, channel="app", customer="c-1")
    assert not may_see(mine, channel="app", customer="c-2")
    assert may_see(Principal("a", Role.AGENT), channel="app", customer="c-2")


def test_a_guests_order_is_nobodys_and_an_order_without_a_channel_no_channels() -> None:
    for who in (Principal("c", Role.CUSTOMER), Principal("c", Role.CUSTOMER, customer="")):
        assert not may_see(who, channel="web", customer="")
    for who in (Principal("w", Role.CHANNEL), Principal("w", Role.CHANNEL, channel="")):
        assert not may_see(who, channel="", customer="c-1")


def test_lists_are_of_the_callers_channel() -> None:
    assert channel_of(WEB, "app") == "web"
    assert channel_of(Principal("a", Role.AGENT), "app") == "app"


def test_what_scoped_roles_reach_is_their_own_unless_it_is_everybodys() -> None:
    assert require(Role.AGENT).scope == ""
    assert require(Role.AGENT, Role.CUSTOMER).scope == "own"
    assert require(Role.CHANNEL, shared=True).scope == "shared"


def test_channel_keys_act_for_their_channel() -> None:
    check_channel(WEB, "web")
    check_channel(Principal("a", Role.AGENT), "web")
    with pytest.raises(Problem) as raised:
        check_channel(WEB, "app")
    assert raised.value.status_code == 403


def test_subject_survives_key_rotation() -> None:
    assert WEB.subject == Principal("web-2", Role.CHANNEL, "web").subject
    assert Principal("a", Role.OPS).subject != Principal("a", Role.AGENT).subject


def test_fingerprint_frames_its_parts() -> None:
    other = Principal("web-1", Role.CHANNEL, "we")
    seen = {
        fingerprint(WEB, "POST", "/a", b"b"),
        fingerprint(WEB, "POST", "/ab", b""),
        fingerprint(WEB, "POST", "/", b"ab"),
        fingerprint(WEB, "PUT", "/a", b"b"),
        fingerprint(other, "bPOST", "/a", b"b"),
    }
    assert len(seen) == 5
    assert all(len(one) == 32 for one in seen)


def test_in_flight_guard() -> None:
    guard = InFlight()
    same = IdempotencyKey("s", "k", b"1")
    with guard.enter(same):
        with pytest.raises(Problem) as again, guard.enter(same):
            pass
        with pytest.raises(Problem) as other, guard.enter(IdempotencyKey("s", "k", b"2")):
            pass
        with guard.enter(IdempotencyKey("s", "k2", b"1")):
            assert len(guard) == 2
    assert (again.value.status_code, other.value.status_code) == (409, 422)
    assert again.value.headers == {"Retry-After": "1"}
    assert len(guard) == 0
    with guard.enter(same), guard.enter(same):
        assert len(guard) == 0, "it is answered: as many as ask get that answer from the ledger"
    failing = IdempotencyKey("s", "k3", b"1")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), guard.enter(failing):
            raise ZeroDivisionError  # what failed has no answer yet, and is held again
