"""How many requests a caller may send, and when new work is turned away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from itertools import cycle

import httpx
import pytest

from shared.service import Principal, Problem, Role, ServiceApp
from shared.service.admission import Admission
from shared.service.limits import BUCKETS_MAX, Buckets, RateLimits, Rates
from tests.unit.service.conftest import KEYS, build, headers
from tests.unit.service.test_http import ORDER

WEB = Principal("web-1", Role.CHANNEL, "web")
KIM = Principal("kim", Role.AGENT)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_the_rate_and_never_more_than_the_burst() -> None:
    clock = Clock()
    buckets = Buckets(clock)
    assert [buckets.take("a", 5).wait_s for _ in range(11)] == [0.0] * 10 + [pytest.approx(0.2)]
    assert buckets.take("b", 5).wait_s == 0.0
    clock.now += 0.2
    assert [buckets.take("a", 5).wait_s == 0 for _ in range(2)] == [True, False]
    clock.now += 3600
    assert sum(buckets.take("a", 5).wait_s == 0 for _ in range(50)) == 10


def test_what_is_left_is_told_as_the_draft_says() -> None:
    buckets = Buckets(Clock())
    assert dict(buckets.take("a", 5).headers()) == {
        b"ratelimit-policy": b'"caller";q=10;w=2',
        b"ratelimit": b'"caller";r=9;t=1',
    }


def test_buckets_are_bounded_and_the_one_in_use_is_kept() -> None:
    buckets = Buckets(Clock())
    for n in range(BUCKETS_MAX + 10):
        buckets.take("busy", 0.6)
        buckets.take(str(n), 5)
    assert len(buckets._buckets) == BUCKETS_MAX
    assert buckets.take("busy", 0.6).wait_s > 0


def test_each_caller_has_its_own_limit_and_services_have_none() -> None:
    limits = RateLimits(Rates(1, 0.5, {"channel:web": 2}), Buckets(Clock()))

    def let_in(principal: Principal | None, address: str = "") -> int:
        for n in range(100):
            try:
                limits.admit(principal, address)
            except Problem as problem:
                problems.append(problem)
                return n
        return 100

    problems: list[Problem] = []
    assert let_in(WEB) == 4
    assert let_in(Principal("web-2", Role.CHANNEL, "web")) == 0  # another key of the same channel
    assert let_in(KIM) == 2
    assert let_in(None, "192.0.2.1") == let_in(None, "192.0.2.2") == 1
    assert let_in(Principal("peer", Role.SERVICE)) == 100
    assert RateLimits(Rates()).admit(WEB, "") == ()
    assert {p.status_code for p in problems} == {429}
    assert all(int((p.headers or {})["Retry-After"]) >= 1 for p in problems)


async def test_over_http_with_retry_after_and_probes_free() -> None:
    transport = httpx.ASGITransport(build(rates=Rates(1, 1)))
    async with httpx.AsyncClient(transport=transport, base_url="http://example") as client:
        answers = [await client.post("/orders", json=ORDER, headers=headers()) for _ in range(3)]
        assert [a.status_code for a in answers] == [201, 201, 429]
        assert [a.headers["ratelimit"] for a in answers[:2]] == [
            '"caller";r=1;t=1',
            '"caller";r=0;t=2',
        ]
        assert answers[2].headers["retry-after"] == "1"
        assert answers[2].json()["type"] == "urn:oms:problem:rate-limited"
        guesses = [await client.get("/orders/1", headers={"x-api-key": "?"}) for _ in range(3)]
        assert [a.status_code for a in guesses] == [401, 401, 429]
        probes = [await client.get("/livez") for _ in range(5)]
        assert {a.status_code for a in probes} == {200}


def test_the_gate_counts_what_is_under_way() -> None:
    gate = Admission(2)
    with ExitStack() as held:
        held.enter_context(gate.enter())
        with gate.enter(), pytest.raises(Problem) as turned_away, gate.enter():
            pass
        held.enter_context(gate.enter())
    assert turned_away.value.status_code == 503
    assert turned_away.value.headers == {"Retry-After": "1"}
    assert (gate.in_flight, gate.shed) == (0, {"in_flight": 1, "lag": 0})


@pytest.mark.parametrize(
    ("lag", "let_in"), [(0, 10), (5, 10), (7.5, 5), (10, 0), (float("inf"), 0)]
)
def test_between_half_the_bound_and_the_bound_a_growing_share_is_turned_away(
    lag: float, let_in: int
) -> None:
    chances = cycle(n / 10 for n in range(10))
    gate = Admission(10, lag_max_s=10, chance=lambda: next(chances))
    gate.lag_s = lag
    problems: list[Problem] = []
    with ExitStack() as held:
        for _ in range(10):
            try:
                held.enter_context(gate.enter())
            except Problem as problem:
                problems.append(problem)
        assert gate.in_flight == let_in
    assert [p.headers for p in problems] == [{"Retry-After": "5"}] * (10 - let_in)


@pytest.fixture
async def behind() -> AsyncIterator[tuple[ServiceApp, httpx.AsyncClient]]:
    gate = Admission(100, lag_max_s=10)
    gate.lag_s = 50
    app = build(admission=gate)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://example"
    ) as client:
        yield app, client


async def test_new_work_is_turned_away_for_lag_and_the_rest_goes_on(
    behind: tuple[ServiceApp, httpx.AsyncClient],
) -> None:
    app, client = behind
    for path in ("/new/orders", "/new/plain"):
        answer = await client.post(path, json=ORDER, headers=headers())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), path
        assert answer.json()["type"] == "urn:oms:problem:overloaded"
    assert (await client.post("/orders", json=ORDER, headers=headers())).status_code == 201
    reading = headers(Role.AUDITOR)
    assert (await client.get("/orders/A-1", headers=reading)).status_code == 200
    metrics = (await client.get("/metrics", headers=headers(Role.OPS))).text
    assert 'oms_admission_shed{why="lag"} 2.0' in metrics
    app.admission.lag_s = 0
    for path in ("/new/orders", "/new/plain"):
        answer = await client.post(path, json=ORDER, headers=headers())
        assert answer.status_code == 201, path
    assert app.admission.in_flight == 0


async def test_strangers_are_refused_before_the_gate(
    behind: tuple[ServiceApp, httpx.AsyncClient],
) -> None:
    _, client = behind
    sent = {"authorization": "Bearer wrong"}
    assert (await client.post("/new/orders", json=ORDER, headers=sent)).status_code == 401
    sent = {"authorization": f"Bearer {KEYS[Role.OPS]}"}
    assert (await client.post("/new/plain", json=ORDER, headers=sent)).status_code == 403


async def test_many_at_once_never_exceed_the_gate() -> None:
    app = build(admission=Admission(8))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://example"
    ) as client:
        posts = [
            asyncio.create_task(
                client.post("/new/slow", json=ORDER, headers=headers(idempotency_key=f"k{n}"))
            )
            for n in range(30)
        ]
        while sum(post.done() for post in posts) < 22:
            await asyncio.sleep(0)
        app.state.release.set()
        statuses = [answer.status_code for answer in await asyncio.gather(*posts)]
    assert (statuses.count(201), statuses.count(503)) == (8, 22)


@pytest.mark.parametrize("path", ["/new/orders", "/new/plain"])
async def test_who_sends_slowly_keeps_nobody_out(path: str) -> None:
    """Work is under way once it is here; until then it is the sender's time."""
    app = build(admission=Admission(2))
    arriving = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await arriving.wait()
        yield json.dumps(ORDER).encode()[1:]

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://example"
    ) as client:
        slow = [
            asyncio.create_task(
                client.post(path, content=slowly(), headers=headers(idempotency_key=f"k{n}"))
            )
            for n in range(5)
        ]
        for _ in range(100):
            await asyncio.sleep(0)
        quick = await client.post(path, json=ORDER, headers=headers())
        arriving.set()
        late = [answer.status_code for answer in await asyncio.gather(*slow)]
    assert quick.status_code == 201
    assert 201 in late
    assert app.admission.in_flight == 0
