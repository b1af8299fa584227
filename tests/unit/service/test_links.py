"""Tracking links: what was signed is read back, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.service.links import BadLinkError, ExpiredLinkError, Links

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=90)
OLD, NEW = {"a": "a" * 32}, {"b": "b" * 32}
LINKS = Links(OLD)
TOKEN = LINKS.sign("order-1", "order-1-p1", LATER)


def test_a_link_says_which_parcel_and_belongs_in_a_path() -> None:
    claims = LINKS.read(TOKEN, NOW)
    assert (claims.order_id, claims.package_id) == ("order-1", "order-1-p1")
    assert set(TOKEN) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    assert LINKS.sign("order-1", "order-1-p1", LATER) == TOKEN


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_a_link_with_another_character_is_none(place: int, character: str) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    assume(changed != TOKEN)
    with pytest.raises(BadLinkError):
        LINKS.read(changed, NOW)


@given(st.text(max_size=2000))
def test_no_text_is_a_link_or_anything_but_a_bad_one(text: str) -> None:
    with pytest.raises(BadLinkError):
        LINKS.read(text, NOW)


def test_its_time_ends_and_nobody_can_prolong_it() -> None:
    LINKS.read(TOKEN, LATER - timedelta(seconds=1))
    with pytest.raises(ExpiredLinkError):
        LINKS.read(TOKEN, LATER)
    claims, mac = LINKS.sign("order-1", "order-1-p1", LATER + timedelta(1)).split(".")
    with pytest.raises(BadLinkError):
        LINKS.read(f"{claims}.{TOKEN.split('.')[1]}", NOW)
    assert mac != TOKEN.split(".")[1]


def test_keys_rotate() -> None:
    both = Links(NEW | OLD)
    assert both.read(TOKEN, NOW).key == "a"
    fresh = both.sign("order-1", "order-1-p1", LATER)
    assert both.read(fresh, NOW).key == "b"
    for links, token in ((Links(NEW), TOKEN), (LINKS, fresh), (Links({"a": "c" * 32}), TOKEN)):
        with pytest.raises(BadLinkError):
            links.read(token, NOW)


@pytest.mark.parametrize("keys", [{"a": "short"}, {"": "a" * 32}, {"a b": "a" * 32}])
def test_keys_that_protect_nothing_are_refused(keys: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="key"):
        Links(keys)
