"""Files of orders: what partners write is what is read, and what cannot be used is named with its line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.demo.orderfiles import as_csv, as_jsonl
from ops.demo.plan import MARKETPLACE, make_plan
from services.integrations.channels.documents import command_of
from services.integrations.channels.files import read
from shared.events.order import PlaceOrder


def planned(seed: int, orders: int = 25) -> list[PlaceOrder]:
    return [
        o.command for o in make_plan(orders, seed, "R").orders if o.command.channel == MARKETPLACE
    ]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_both_formats_say_the_same(seed: int) -> None:
    orders = planned(seed)
    for text, kind in ((as_jsonl(orders), "jsonl"), (as_csv(orders), "csv")):
        commands = [command_of(x.document, MARKETPLACE) for x in read(text, kind) if x.document]
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


ORDER = (
    '{"number": "1", "currency": "%s", "lines": [{"sku": "A", "quantity": %s, "unit_price": %s}]%s}'
)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("{", "Not well-formed JSON"),
        ("[]", "valid dictionary"),
        ('{"number": "1"}', "/currency"),
        ('{"number": "1", "currency": "GBP", "lines": []}', "/lines"),
        (ORDER % ("gbp", 1, 1, ""), "/currency"),
        (ORDER % ("GBP", 0, 1, ""), "/lines/0/quantity"),
        (ORDER % ("GBP", 1, -1, ""), "/lines/0/unit_price"),
        (ORDER % ("GBP", 1, "NaN", ""), "NaN"),
        (ORDER % ("GBP", 1_000_000, 2**53 - 1, ""), "must come to"),
        (ORDER % ("GBP", 1, 1, ""), "/payment"),
        (ORDER % ("GBP", 1, 1, ', "surprise": 1'), "/surprise"),
        (ORDER % ("GBP", 1, 1, ', "placed_at": "0001-01-01T00:00:00Z"'), "/placed_at"),
        (ORDER % ("GBP", 1, 1, ', "customer": {"name": "\\u0000"}'), "/customer/name"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_the_others_count(line: str, named: str) -> None:
    good = as_jsonl(planned(1)[:1])
    first, bad, last = read(f"{good}{line}\n\n{good}", "jsonl")
    assert [first.line, bad.line, last.line] == [1, 2, 4]
    assert bad.document is None
    assert named in bad.wrong
    assert bad.payload == line
    assert first.document == last.document
    assert first.document is not None


@pytest.mark.parametrize(
    ("header", "wrong"),
    [
        ("number,currency,sku,quantity", "no column unit_price"),
        (
            "number;currency;sku;quantity;unit_price",
            "no column number, currency, sku, quantity, unit_price",
        ),
        ("number,currency,sku,quantity,unit_price,shiping,", "unknown column 'shiping', ''"),
        ("number,currency,sku,quantity,unit_price,tax,tax", "a column stands twice"),
    ],
)
def test_csv_of_other_columns_is_refused_as_a_whole(header: str, wrong: str) -> None:
    [found] = read(f"{header}\n1,GBP,A,1\n", "csv")
    assert found.document is None
    assert found.wrong.startswith(f"{wrong}; the columns are number, ")


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ("1,GBP,A,2,5,395,tok_ok\n1,GBP,B,1,5,500,tok_ok", "shipping"),
        ("1,GBP,A,2,5,,tok_ok\n1,GBP,B,1,5,395,tok_ok", "shipping"),
        ("1,GBP,A,2,5,395,tok_ok\n1,USD,B,1,5,395,", "currency"),
    ],
)
def test_rows_of_one_order_must_not_say_different_things(rows: str, named: str) -> None:
    header = "number,currency,sku,quantity,unit_price,shipping,payment"
    [found] = read(f"{header}\n{rows}\n", "csv")
    assert found.wrong == f"{named}: the order's rows say different things"
    same = "2,GBP,A,2,5,395,tok_ok\n2,GBP,B,1,5,395,tok_ok\n2,,A,3,5,,"
    [found] = read(f"{header}\n{same}\n", "csv")
    assert found.document is not None
    assert [x.amount for x in found.document.charges] == [395]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("1,GBP,A,two,5,tok_ok", "quantity"),
        ("1,GBP,A,2,5.00,tok_ok", "unit_price"),
        ("1,GBP,A,2,5", "number of cells"),
        ("1,GBP,A,2,5,tok_ok,", "number of cells"),
        ("1,GBP,A,²,5,tok_ok", "quantity"),
        ("1,GBP,A,2,5,", "/payment"),
    ],
)
def test_a_csv_row_that_cannot_be_used_is_kept_as_a_file_of_its_own(row: str, named: str) -> None:
    header = "number,currency,sku,quantity,unit_price,payment"
    bad, good = read(f"{header}\n{row}\n2,GBP,A,2,5,tok_ok\n", "csv")
    assert (bad.line, bad.document) == (2, None)
    assert named in bad.wrong
    assert good.document is not None
    [again] = read(bad.payload, "csv")
    assert again.wrong == bad.wrong


def test_of_one_bad_line_only_that_is_said() -> None:
    [found] = read(ORDER % ("GBP", 0, 1, ', "payment": "tok_ok"'), "jsonl")
    assert found.wrong == "/lines/0/quantity: Input should be greater than or equal to 1"


def test_what_costs_nothing_needs_no_payment() -> None:
    [found] = read(ORDER % ("GBP", 2, 0, ""), "jsonl")
    assert found.document is not None
    assert found.document.payment == ""


def test_a_broken_quote_is_named() -> None:
    [found] = read('number,currency,sku,quantity,unit_price\n1,GBP,"A,2,5\n', "csv")
    assert found.wrong.startswith("not CSV")
