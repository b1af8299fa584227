"""From a run's logs to the floor's instructions."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.floor_process import Shares
from benchmarks.traffic import (
    Noted,
    Part,
    Reaction,
    Template,
    Traffic,
    consumed_records,
    expected,
    fitted,
    fractions,
    numbered,
    reactions,
)

ENTRY = "place"
ORDER, STOCK = "order.events", "stock.commands"


def _order(n: int) -> list[Noted]:
    c = f"web/{n}"
    return [
        Noted(f"o{n}/1", "placed", ORDER, c, f"uuid-{n}"),
        Noted(f"uuid-{n}:0", "reserve", STOCK, c, f"uuid-{n}"),
        Noted(f"o{n}/2", "reserved", ORDER, c, f"s{n}/1"),
        Noted(f"o{n}/3", "authorised", ORDER, c, f"effect:{n}"),
        Noted(f"effect:{n}:0", "commit", STOCK, c, f"effect:{n}"),
        Noted(f"o{n}/4", "reminded", "", c, f"timer:{n}"),
    ]


def _stock(n: int) -> list[Noted]:
    c = f"web/{n}"
    return [
        Noted(f"s{n}/1", "promised", "stock.events", c, f"uuid-{n}:0"),
        Noted(f"sku{n}/1", "units", "", c, f"uuid-{n}:0"),
        Noted(f"sku{n}/2", "units", "", c, f"uuid-{n}:0"),
    ]


LOGS = {
    "order": [m for n in range(4) for m in _order(n)],
    "stock": [m for n in range(4) for m in _stock(n)],
}
CONSUMED = {"order": ["channel", "stock.events"], "stock": [STOCK]}


def test_every_message_goes_back_to_the_record_that_caused_it() -> None:
    assert reactions(LOGS, CONSUMED, ENTRY, 4) == {
        "order": [
            Reaction("place", "placed", 0, 1.0),
            Reaction("place", "reserve", 0, 1.0),
            Reaction("promised", "reserved", 0, 1.0),
            Reaction("promised", "authorised", 1, 1.0),
            Reaction("promised", "commit", 1, 1.0),
            Reaction("promised", "reminded", 2, 1.0),
        ],
        "stock": [Reaction("reserve", "promised", 0, 1.0), Reaction("reserve", "units", 0, 2.0)],
    }


def test_a_service_cannot_react_to_what_it_does_not_read() -> None:
    with pytest.raises(
        ValueError, match=r"stock reacts to reserve, but does not read stock.commands"
    ):
        reactions(LOGS, CONSUMED | {"stock": ["order.events"]}, ENTRY, 4)


def test_an_answer_without_a_question_is_an_error() -> None:
    orphan = Noted("o9/1", "authorised", ORDER, "web/9", "effect:9")
    with pytest.raises(ValueError, match="o9/1 was caused by effect:9, before which nothing"):
        reactions({"order": [orphan]}, CONSUMED, ENTRY, 1)


def _traffic(share: float = 0.5) -> Traffic:
    def template(type: str, topic: str) -> Template:
        return Template(topic, b"x", b"", [], 36, type)

    templates = [
        template("place", "channel"),
        template("placed", ORDER),
        template("promised", "stock.events"),
        template("units", ""),
        template("late", ORDER),
    ]
    order = Part("order", ["channel", "stock.events"], {0: [(1, 0, 1.0)], 2: [(4, 1, share)]}, 100)
    stock = Part("stock", [ORDER], {1: [(2, 0, 1.0), (3, 0, 2.0)]}, 100)
    return Traffic(templates, [order, stock])


def test_what_the_floor_writes_follows_from_the_number_of_orders() -> None:
    assert expected(_traffic(), 5) == {"order": {1: 5, 4: 2}, "stock": {2: 5, 3: 10}}
    assert expected(_traffic(), 0) == {"order": {1: 0, 4: 0}, "stock": {2: 0, 3: 0}}


def test_a_reader_reads_all_of_its_topics() -> None:
    reader = Part("views", [ORDER, "stock.events"], {}, 100)
    assert consumed_records(_traffic(), reader, 10) == 10 + 5 + 10


def test_types_that_cause_each_other_have_no_end() -> None:
    traffic = _traffic()
    traffic.parts[1].reactions[4] = [(2, 0, 2.0)]
    with pytest.raises(ValueError, match="in a circle"):
        expected(traffic, 5)


@given(st.floats(0, 3), st.integers(1, 300))
def test_the_processes_write_what_is_expected_of_them(share: float, orders: int) -> None:
    shares, written = Shares(), Counter[int]()
    for _ in range(orders):
        written[4] += shares.take((2, 4, 1), share)
    assert abs(written[4] - orders * share) <= 1
    traffic = _traffic(share)
    short = expected(traffic, orders)["order"][4] - written[4]
    assert -1 <= short <= fractions(traffic.parts[0])


@pytest.mark.parametrize("share", [0.0, 1.0, 2.0, 0.25, 0.5])
def test_whole_and_binary_shares_are_exact(share: float) -> None:
    shares = Shares()
    written = sum(shares.take((2, 4, 1), share) for _ in range(40))
    assert written == expected(_traffic(share), 40)["order"][4]


@given(st.binary(max_size=50), st.floats(0, 500))
def test_bytes_are_fitted_to_a_length(sample: bytes, length: float) -> None:
    found = fitted(sample, length)
    assert len(found) == max(1, round(length))
    if sample:
        assert found[: len(sample)] == sample[: len(found)]


def test_the_first_byte_is_the_type() -> None:
    assert numbered(b'{"a":1}', 7) == b'\x07"a":1}'
    with pytest.raises(ValueError, match="300 types do not fit a byte"):
        numbered(b"{}", 300)
