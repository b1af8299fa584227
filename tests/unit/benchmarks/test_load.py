"""What is sent to the system and to pgbench, and how their answers are read."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.load import orders, records
from benchmarks.pgbench import parse
from benchmarks.post_load import Spec, answer_length, request
from benchmarks.statistics import Run
from benchmarks.testbed import BenchmarkFailed
from services.order.api import OrderIn
from shared.events import decode, read_headers
from shared.events.order import PlaceOrder

SPEC = Spec("127.0.0.1", 8101, "secret", 4, 1.0, 2.0, "p4-0-", "web", 1000)
ANSWER = b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"a": "bc"}'

REPORT = """pgbench (18.4)
number of transactions actually processed: 1500
number of failed transactions: 0 (0.000%)
latency average = 5.333 ms
tps = 750.000000 (without initial connection time)
"""


def test_orders_are_different_and_the_same_each_time() -> None:
    batch = orders(50, "t")
    assert batch == orders(50, "t")
    assert len({o.order_id for o in batch + orders(50, "u")}) == 100
    assert all(len({line.sku for line in o.lines}) == 2 for o in batch)


def test_records_are_what_a_channel_sends() -> None:
    by_partition = records(orders(20, "t"))
    assert {topic for topic, _ in by_partition} == {"oms.channel.orders"}
    sent = [
        decode(read_headers(r.headers).type, r.value)
        for some in by_partition.values()
        for r in some
    ]
    assert sorted(sent, key=lambda m: m.key) == orders(20, "t")
    assert all(isinstance(m, PlaceOrder) for m in sent)


def test_a_request_is_an_order_that_the_service_takes() -> None:
    head, _, body = request(SPEC, 12).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /orders HTTP/1.1"
    assert f"Content-Length: {len(body)}" in lines
    assert "Idempotency-Key: p4-0-0000012" in lines
    order = OrderIn.model_validate(msgspec.json.decode(body))
    assert order.external_id == "p4-0-0000012"
    assert len({line.sku for line in order.lines}) == 2


def test_requests_differ() -> None:
    assert len({request(SPEC, n) for n in range(100)}) == 100


@given(st.integers(0, len(ANSWER)))
def test_an_answer_is_whole_or_not(received: int) -> None:
    found = answer_length(ANSWER[:received])
    assert found == (len(ANSWER) if received == len(ANSWER) else None)


def test_the_next_answer_is_left() -> None:
    assert answer_length(ANSWER + b"HTTP/1.1") == len(ANSWER)


def test_an_answer_must_tell_its_length() -> None:
    with pytest.raises(ValueError, match="without Content-Length"):
        answer_length(b"HTTP/1.1 201 Created\r\n\r\n")


def test_pgbench_is_read_without_the_time_to_connect() -> None:
    assert parse(REPORT) == Run(1500, 2.0)


def test_a_failed_transaction_is_no_floor() -> None:
    with pytest.raises(BenchmarkFailed, match="3 transactions of pgbench failed"):
        parse(REPORT.replace("transactions: 0 ", "transactions: 3 "))


def test_pgbench_without_a_rate_is_an_error() -> None:
    with pytest.raises(BenchmarkFailed, match="printed no rate"):
        parse("pgbench (18.4)\n")
