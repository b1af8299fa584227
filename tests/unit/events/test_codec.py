"""Bytes to messages: unknown types, bad payloads, upcasting."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events import BadPayload, Codec, Event, UnknownType, decode, encode
from shared.events.order import OrderCompleted, order_id_for


class Parcel(Event, frozen=True, kw_only=True, tag="oms.test.parcel.v3"):
    """A type at its third version: grams were kilograms in v1, and v2 had no label."""

    parcel_id: str
    grams: int
    label: str

    @property
    def subject(self) -> str:
        return f"parcel-{self.parcel_id}"

    @property
    def key(self) -> str:
        return self.parcel_id


UPCASTERS = {
    "oms.test.parcel.v1": lambda p: {
        "type": "oms.test.parcel.v2",
        "parcel_id": p["parcel_id"],
        "grams": p["kilograms"] * 1000,
    },
    "oms.test.parcel.v2": lambda p: {**p, "type": "oms.test.parcel.v3", "label": ""},
}


def test_a_chain_of_upcasters_leads_to_the_current_type() -> None:
    codec = Codec([Parcel], UPCASTERS)
    old = b'{"type":"oms.test.parcel.v1","parcel_id":"p","kilograms":2}'
    assert codec.decode("oms.test.parcel.v1", old) == Parcel(parcel_id="p", grams=2000, label="")
    assert codec.knows("oms.test.parcel.v2")


def test_a_newer_version_is_unknown_and_says_what_to_do() -> None:
    with pytest.raises(UnknownType, match=r"oms\.order\.completed\.v9.*upgrade"):
        decode("oms.order.completed.v9", b"{}")


@pytest.mark.parametrize("type", ["ada@shop.example", "Ada Byron", "", "a" * 101, "oms\n.order"])
def test_what_is_no_type_is_not_repeated(type: str) -> None:
    with pytest.raises(UnknownType) as unknown:
        decode(type, b"{}")
    assert str(unknown.value).startswith("what the record has in place of its type is no type")


def test_a_type_cannot_be_current_and_old() -> None:
    with pytest.raises(ValueError, match="drop one"):
        Codec([Parcel], {"oms.test.parcel.v3": lambda p: p})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"type":"oms.order.completed.v1"}',
        b'{"type":"other"}',
        b"\xff\xfe",
        pytest.param(
            b'{"x":' + b'{"a":' * 3000 + b"1" + b"}" * 3001, id="deep, in a field that no type has"
        ),
    ],
)
def test_bad_bytes_are_a_bad_payload(data: bytes) -> None:
    with pytest.raises(BadPayload, match=r"oms\.order\.completed\.v1"):
        decode("oms.order.completed.v1", data)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        decoded = decode("oms.order.completed.v1", data)
    except BadPayload:
        return
    assert isinstance(decoded, OrderCompleted)


def test_additive_changes_are_read_by_the_old_version() -> None:
    data = msgspec.json.encode(
        {**msgspec.to_builtins(OrderCompleted(order_id="1")), "new_field": 1}
    )
    assert decode("oms.order.completed.v1", data) == OrderCompleted(order_id="1")


def test_the_payload_names_its_type() -> None:
    assert (
        msgspec.json.decode(encode(OrderCompleted(order_id="1")))["type"]
        == "oms.order.completed.v1"
    )


def test_an_order_has_one_id_wherever_it_is_computed() -> None:
    assert order_id_for("web", "1001") == "761684da-d587-5ae1-b67c-78a3dc5dc8eb"
    assert order_id_for("web", "1001") != order_id_for("web1", "001")
