"""Files of orders: what partners write is what is read, and what cannot be used is named with its line."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.demo.filechannel import FileChannel, drop
from ops.demo.orderfiles import (
    FileOrder,
    Problem,
    UnreadableFile,
    as_csv,
    as_jsonl,
    read_csv,
    read_jsonl,
)
from ops.demo.plan import MARKETPLACE, make_plan
from shared.events.order import PlaceOrder


def planned(seed: int, orders: int = 25) -> list[PlaceOrder]:
    return [
        o.command for o in make_plan(orders, seed, "R").orders if o.command.channel == MARKETPLACE
    ]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_both_formats_say_the_same(seed: int) -> None:
    orders = planned(seed)
    for found in (read_jsonl(as_jsonl(orders)), read_csv(as_csv(orders))):
        read = [x for _, x in found]
        assert all(isinstance(x, FileOrder) for x in read)
        commands = [x.command(MARKETPLACE) for x in read if isinstance(x, FileOrder)]
        assert [c.order_id for c in commands] == [o.order_id for o in orders]
        assert [c.lines for c in commands] == [o.lines for o in orders]
        assert [(c.currency, c.backorder, c.payment_method) for c in commands] == [
            (o.currency, o.backorder, o.payment_method) for o in orders
        ]
        assert [{(x.kind, x.amount) for x in c.charges} for c in commands] == [
            {(x.kind, x.amount) for x in o.charges} for o in orders
        ]
        assert [(c.customer.email, c.ship_to) for c in commands] == [
            (o.customer.email, o.ship_to) for o in orders
        ]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"number": "1"}',
        '{"number": "1", "currency": "GBP", "lines": []}',
        '{"number": "1", "currency": "gbp", "lines": [{"sku": "A", "quantity": 1, "unit_price": 1}]}',
        '{"number": "1", "currency": "GBP", "lines": [{"sku": "A", "quantity": 0, "unit_price": 1}]}',
        '{"number": "1", "currency": "GBP", "lines": [{"sku": "A", "quantity": 1, "unit_price": -1}]}',
        '{"number": "1", "currency": "GBP", "surprise": 1, "lines": [{"sku": "A", "quantity": 1, "unit_price": 1}]}',
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_the_others_count(line: str) -> None:
    good = as_jsonl(planned(1)[:1])
    found = list(read_jsonl(f"{good}{line}\n\n{good}"))
    assert [n for n, _ in found] == [1, 2, 4]
    assert isinstance(found[1][1], Problem)
    assert found[1][1].line == 2
    assert isinstance(found[0][1], FileOrder)
    assert isinstance(found[2][1], FileOrder)


def test_csv_without_its_columns_is_refused_as_a_whole() -> None:
    with pytest.raises(UnreadableFile, match="unit_price"):
        list(read_csv("number,currency,sku,quantity\n1,GBP,A,1\n"))


def test_a_csv_row_that_is_no_number_is_named() -> None:
    text = "number,currency,sku,quantity,unit_price\n1,GBP,A,two,5\n2,GBP,A,2,5\n"
    (_, bad), (_, good) = read_csv(text)
    assert isinstance(bad, Problem)
    assert bad.line == 2
    assert isinstance(good, FileOrder)


async def test_files_are_taken_reported_and_moved(tmp_path: Path) -> None:
    sent: list[PlaceOrder] = []
    flushed = 0

    async def send(command: PlaceOrder) -> None:
        sent.append(command)

    async def flush() -> None:
        nonlocal flushed
        flushed += 1

    orders = planned(1)
    channel = FileChannel(tmp_path, MARKETPLACE, send, flush)
    channel.done.mkdir()
    drop(tmp_path, "a.jsonl", as_jsonl(orders) + "{\n")
    drop(tmp_path, "b.csv", "nothing\n")
    (tmp_path / "c.jsonl").write_bytes(b"\xff\xfe")

    reports = [await channel.take(tmp_path / x) for x in ("a.jsonl", "b.csv", "c.jsonl")]

    assert [c.order_id for c in sent] == [o.order_id for o in orders]
    assert flushed == 3
    assert [(r.file, r.accepted, len(r.rejected)) for r in reports] == [
        ("a.jsonl", len(orders), 1),
        ("b.csv", 0, 1),
        ("c.jsonl", 0, 1),
    ]
    assert sorted(p.name for p in channel.done.iterdir()) == [
        f"{name}{end}" for name in ("a.jsonl", "b.csv", "c.jsonl") for end in ("", ".report.json")
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["done"]  # noqa: ASYNC240
