"""The small parts: ids, clock, trace context, cursors, entity tags, metrics, progress."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shared.service import Problem, Timestamp
from shared.service.clock import now, rfc3339
from shared.service.ids import Uuid7Generator, new_id, uuid7
from shared.service.metrics import LATENCY_BUCKETS_S, RequestMetrics
from shared.service.pagination import decode_cursor, encode_cursor, link_header
from shared.service.problems import pointer
from shared.service.tasks import Handle, Health, Progress, State, Task
from shared.service.telemetry import bind, continue_trace, current, new_trace, parse_traceparent

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_uuid7_layout() -> None:
    made = Uuid7Generator(lambda: 0x017F22E279B0, lambda n: b"\xff" * n)()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == 0x017F22E279B0
    assert abs((uuid7().int >> 80) / 1000 - now().timestamp()) < 5


@given(st.lists(st.integers(min_value=-3, max_value=3), min_size=1, max_size=200))
def test_uuid7_increases_whatever_the_clock_does(steps: list[int]) -> None:
    moment = 1_700_000_000_000

    def clock() -> int:
        return moment

    generate = Uuid7Generator(clock, os.urandom)
    made = []
    for step in steps:
        moment += step
        made.append(generate())
    assert made == sorted(set(made))


def test_uuid7_counter_overflow_keeps_order() -> None:
    generate = Uuid7Generator(lambda: 1_700_000_000_000, os.urandom)
    made = [generate() for _ in range(10_000)]
    assert made == sorted(set(made))
    assert all(one.version == 7 for one in made)
    assert len({new_id() for _ in range(1000)}) == 1000


def test_clock_is_utc() -> None:
    assert now().utcoffset() == timedelta(0)
    east = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert rfc3339(east) == "2026-01-01T00:00:00Z"
    with pytest.raises(ValueError, match="time zone"):
        rfc3339(datetime(2026, 1, 1))  # noqa: DTZ001


def test_timestamp_field() -> None:
    class Model(BaseModel):
        at: Timestamp

    assert Model.model_validate({"at": "2026-01-01T02:00:00+02:00"}).at == datetime(
        2026, 1, 1, tzinfo=UTC
    )
    for bad in (1700000000, "1700000000", "2026-01-01", "2026-01-01T00:00:00", None, "x", 1e300):
        with pytest.raises(ValidationError):
            Model.model_validate({"at": bad})


def test_traceparent_is_continued() -> None:
    trace = continue_trace(TRACEPARENT, "cart-7")
    assert (trace.trace_id, trace.parent_id) == (TRACEPARENT[3:35], TRACEPARENT[36:52])
    assert trace.correlation_id == "cart-7"
    again = parse_traceparent(trace.traceparent)
    assert again is not None
    assert (again.trace_id, again.span_id) == (trace.trace_id, trace.span_id)
    assert trace.child().parent_id == trace.span_id


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        TRACEPARENT.upper(),
        TRACEPARENT + "-more",
        "ff" + TRACEPARENT[2:],
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        TRACEPARENT + "\n",
    ],
)
def test_invalid_traceparent_starts_a_new_trace(bad: str) -> None:
    assert parse_traceparent(bad) is None
    trace = continue_trace(bad)
    assert trace.parent_id is None
    assert trace.correlation_id == trace.trace_id


def test_later_versions_may_carry_more() -> None:
    assert parse_traceparent("01" + TRACEPARENT[2:] + "-more") is not None


def test_bind_restores() -> None:
    outer, inner = new_trace(), new_trace()
    assert current() is None
    with bind(outer):
        with bind(inner):
            assert current() is inner
        assert current() is outer
    assert current() is None


@given(st.text(min_size=1).filter(lambda t: "\x00" not in t), st.integers(-(2**63), 2**63 - 1))
def test_cursor_round_trip(text: str, number: int) -> None:
    assert decode_cursor(encode_cursor("x" + text[:50], number), str, int) == [
        "x" + text[:50],
        number,
    ]


@pytest.mark.parametrize(
    "bad",
    ["", "!", "é", "AAAA", "W10", encode_cursor("a"), encode_cursor(1, "a"), encode_cursor("\0", 1),
     encode_cursor("a", 2**63), "A" * 501, encode_cursor("a", 1)[:-1]],
)  # fmt: skip
def test_bad_cursor_is_named(bad: str) -> None:
    with pytest.raises(Problem) as raised:
        decode_cursor(bad, str, int)
    assert raised.value.status_code == 422
    assert raised.value.errors[0].field == "/cursor"


def test_link_header() -> None:
    assert link_header("/orders", next_cursor="abc", parameters={"limit": 2, "q": "a&b"}) == (
        '</orders?limit=2&q=a%26b&cursor=abc>; rel="next", </orders?limit=2&q=a%26b>; rel="first"'
    )
    assert link_header("/orders", first=False) == ""


def test_pointer_escapes() -> None:
    assert pointer(("a/b", "c~d", 0)) == "/a~1b/c~0d/0"
    assert pointer(()) == ""


def test_histogram_is_cumulative() -> None:
    metrics = RequestMetrics()
    for seconds in (0.0005, 0.003, 99.0):
        metrics.observe("GET", "/x", 200, seconds)
    _, latency = metrics.collect()
    buckets = {s.labels["le"]: s.value for s in latency.samples if s.name.endswith("_bucket")}
    assert (buckets["0.001"], buckets["0.005"], buckets["10.0"], buckets["+Inf"]) == (1, 2, 2, 3)
    assert len(buckets) == len(LATENCY_BUCKETS_S) + 1


def test_progress_stalls_only_when_assigned_and_behind() -> None:
    progress = Progress()
    assert progress.observe(60) == 0
    progress.report(assigned=True, behind=False)
    assert progress.observe(60) == 0
    progress.report(assigned=True, behind=True)
    assert [progress.observe(10), progress.observe(10)] == [10, 20]
    progress.tick()
    assert progress.observe(10) == 0
    assert progress.observe(10) == 10
    progress.report(assigned=False, behind=True)
    assert progress.observe(10) == 0


async def test_ready_needs_every_gate() -> None:
    async def idle(_: Handle) -> None: ...

    health = Health("example")
    first, second = health.add(Task("a", idle)), health.add(Task("b", idle))
    health.add(Task("c", idle, gates_ready=False))
    seen = [health.ready]
    for change in (
        first.ready,
        second.ready,
        lambda: second.not_ready("gap in partition 3"),
        second.ready,
        lambda: second.become(State.FAILED, "crashed"),
        second.ready,
    ):
        change()
        seen.append(health.ready)
    assert seen == [False, False, True, False, True, False, False]
    shown = health.describe()["tasks"][1]
    assert (shown["state"], shown["detail"]) == ("failed", "crashed")


async def test_handle_sleep_ends_on_stop() -> None:
    handle = Handle("a")
    assert await handle.sleep(0.001) is False
    handle.stopping.set()
    assert await handle.sleep(60) is True
