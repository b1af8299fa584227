"""Effects and timers: once, fenced, and never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from shared.events import CancelTimer, Command, Effect, StartTimer
from shared.ledger import effects as effects_module
from shared.ledger.batch import LEASE
from shared.ledger.effects import Effects, TryAgain
from shared.ledger.memory import MemoryStore
from shared.ledger.memory_tables import Tables
from shared.ledger.store import EffectRow, Unavailable
from shared.ledger.table import one
from shared.ledger.timers import HOLD, Timers, task_of
from shared.ledger.writer import Writer
from tests.ledgerkit import PARTITIONS, Clock, going, language, tally, task, until

WORDS = language("tally")

#: So many fresh effects, one after the other, take many times as long as a look into the store.
TURNS = 3000


class Ring(msgspec.Struct, frozen=True, tag="oms.tally.ring.v1"):
    name: str


class Rang(Command, tag="oms.tally.rang.v1"):
    name: str
    fails: bool = False

    @classmethod
    def route(cls) -> str | None:
        return None

    @property
    def subject(self) -> str:
        return f"tally-{self.name}"

    @property
    def key(self) -> str:
        return self.name


def rang(state: Any, answer: Rang, context: Any) -> Any:
    if answer.fails:
        raise ValueError("no such answer")
    return [WORDS.Added(name=answer.name, amount=100, number=state.count + 1)]


def owes(state: Any, event: Any, context: Any) -> Any:
    """Every small amount is rung out."""
    if event.amount >= 100:
        return []
    ring = Effect(
        id=f"{event.name}.{event.number}", subject=event.subject, request=Ring(event.name)
    )
    return [ring]


class Home:
    """A service with one kind of effect, under a clock that the test moves."""

    def __init__(
        self, perform: Any, tables: Tables | None = None, *, react: Any = owes, clock: Any = None
    ) -> None:
        self.clock = clock or Clock()
        self.store = MemoryStore(tables)
        self.table = tally(WORDS, react=react, handlers={Rang: one(rang)}, internal=[Rang])
        self.writer = Writer(self.table, self.store, partitions=PARTITIONS, clock=self.clock)
        self.effects = Effects(self.store, self.writer, {Ring: perform}, clock=self.clock)
        self.timers = Timers(self.table, self.store, self.writer, clock=self.clock)

    def amounts(self, name: str = "a") -> list[int]:
        t = self.store.tables
        ids = t.by_stream.get(f"tally-{name}", {})
        return [msgspec.json.decode(t.messages[ids[v]].row.data)["amount"] for v in sorted(ids)]

    @property
    def owed(self) -> dict[str, Any]:
        return self.store.tables.effects


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects_module, "POLL_SECONDS", 0.005)


async def test_an_effect_is_performed_at_once_and_its_answer_decided_once() -> None:
    calls: list[str] = []

    async def perform(request: Ring, key: str) -> Rang:
        calls.append(key)
        return Rang(name=request.name)

    home = Home(perform)
    home.writer.on_effects = home.effects.take
    async with going(home.writer.run(), home.effects.run()):
        await home.writer.handle(task(WORDS, "a"))
        await until(lambda: not home.owed)
    assert calls == ["a.1"]
    assert home.amounts() == [1, 100]


async def test_an_unknown_outcome_is_tried_again_with_back_off_and_parked_at_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(effects_module, "ATTEMPTS_MAX", 3)
    tried: list[Any] = []

    async def perform(request: Ring, key: str) -> Rang:
        tried.append(home.clock.now)
        raise TryAgain("no answer, and a \x00 in it")

    home = Home(perform)
    async with going(home.writer.run(), home.effects.run()):
        await home.writer.handle(task(WORDS, "a"))
        home.clock.now += LEASE
        await until(lambda: home.owed["a.1"].row.attempts == 1)
        first = home.owed["a.1"].next_at
        assert timedelta(0) < first - home.clock.now <= timedelta(seconds=0.2)
        assert len(tried) == 1, "not before it is due"
        home.clock.now = first
        await until(lambda: home.owed["a.1"].row.attempts == 2)
        assert home.owed["a.1"].next_at - home.clock.now <= timedelta(seconds=0.4)
        home.clock.now = home.owed["a.1"].next_at
        await until(lambda: home.owed["a.1"].parked)
        home.clock.now += timedelta(days=1)
        await asyncio.sleep(0.03)
    assert len(tried) == 3
    assert home.owed["a.1"].error == "no answer, and a \\x00 in it"


@pytest.mark.parametrize("answer", [Rang(name="a", fails=True), ValueError("broken")])
async def test_a_failure_that_will_not_pass_parks_the_effect(answer: Any) -> None:
    async def perform(request: Ring, key: str) -> Rang:
        if isinstance(answer, Exception):
            raise answer
        return Rang(name=answer.name, fails=answer.fails)

    home = Home(perform)
    home.writer.on_effects = home.effects.take
    async with going(home.writer.run(), home.effects.run()):
        await home.writer.handle(task(WORDS, "a"))
        await until(lambda: home.owed["a.1"].parked)
    assert home.amounts() == [1]


async def test_an_effect_that_waits_in_the_store_has_its_turn_while_fresh_ones_go_on_coming() -> (
    None
):
    fresh = 0

    async def perform(request: Ring, key: str) -> Rang:
        nonlocal fresh
        if request.name != "a" and not done() and fresh < TURNS:
            fresh += 1
            home.effects.take([EffectRow(f"b.{fresh}", "tally-b", tag, b'{"name":"b"}', b"{}")])
        await asyncio.sleep(0)
        return Rang(name=request.name)

    def done() -> bool:
        return home.amounts() == [1, 100]

    tag = str(Ring.__struct_config__.tag)
    home = Home(perform)
    async with going(home.writer.run()):
        await home.writer.handle(task(WORDS, "a"))  # by a process that then died
        home.clock.now += LEASE
        home.effects.take([EffectRow("b.0", "tally-b", tag, b'{"name":"b"}', b"{}")])
        async with going(home.effects.run()):
            await until(lambda: done() or fresh == TURNS)
    assert done()


async def test_more_fresh_effects_than_fit_wait_in_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(effects_module, "CONCURRENT_MAX", 1)
    monkeypatch.setattr(effects_module, "FRESH_MAX", 3)
    back, calls = asyncio.Event(), set[str]()

    async def perform(request: Ring, key: str) -> Rang:
        await back.wait()
        calls.add(key)
        return Rang(name=request.name)

    home = Home(perform)
    home.writer.on_effects = home.effects.take
    names = [f"n{n}" for n in range(10)]
    async with going(home.writer.run(), home.effects.run()):
        for name in names:
            await home.writer.handle(task(WORDS, name))
        assert len(home.effects._fresh) <= 3, "the outside is away, and memory does not fill"
        back.set()
        home.clock.now += LEASE
        await until(lambda: not home.owed)
    assert calls == {f"{name}.1" for name in names}


async def test_two_processes_that_both_performed_answer_once() -> None:
    """The first is paused beyond its lease; the second performs the effect too."""
    paused, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: Ring, key: str) -> Rang:
        paused.set()
        await go_on.wait()
        return Rang(name=request.name)

    async def quickly(request: Ring, key: str) -> Rang:
        return Rang(name=request.name)

    one_home = Home(slow)
    two = Home(quickly, one_home.store.tables, clock=one_home.clock)
    two.store._locks = one_home.store._locks
    one_home.writer.on_effects = one_home.effects.take
    async with going(
        one_home.writer.run(), one_home.effects.run(), two.writer.run(), two.effects.run()
    ):
        await one_home.writer.handle(task(WORDS, "a"))
        await paused.wait()
        await asyncio.sleep(0.02)
        assert one_home.amounts() == [1], "nobody else performs a leased effect"
        one_home.clock.now += LEASE
        await until(lambda: not one_home.owed)
        go_on.set()
        await until(lambda: not one_home.effects._running and one_home.writer.idle)
    assert one_home.amounts() == [1, 100]


async def test_an_answer_that_could_not_be_written_is_asked_for_again() -> None:
    calls: list[str] = []

    async def perform(request: Ring, key: str) -> Rang:
        calls.append(key)
        return Rang(name=request.name)

    losses = [Unavailable("away")]

    async def fault(label: str) -> None:
        await asyncio.sleep(0)
        if label == "before_commit" and calls and losses:
            raise losses.pop()

    home = Home(perform)
    home.store.fault = fault
    home.writer.on_effects = home.effects.take
    async with going(home.writer.run(), home.effects.run()):
        await home.writer.handle(task(WORDS, "a"))
        await until(lambda: not losses)
        await asyncio.sleep(0.02)
        home.clock.now += LEASE
        await until(lambda: not home.owed)
    assert calls == ["a.1", "a.1"]
    assert home.amounts() == [1, 100]


def alarm(clock: Clock, seconds: int, *, fails: bool = False) -> StartTimer:
    due = clock.now + timedelta(seconds=seconds)
    return StartTimer(name="alarm", due_at=due, message=Rang(name="a", fails=fails))


def sets(make: Callable[[Any], Any]) -> Any:
    return lambda state, event, context: [make(event)] if event.amount < 100 else []


async def never(request: Ring, key: str) -> Rang:
    raise AssertionError("nothing is owed here")


async def test_a_timer_fires_once_when_it_is_due() -> None:
    clock = Clock()
    home = Home(never, react=sets(lambda e: alarm(clock, 10)), clock=clock)
    async with going(home.writer.run()):
        await home.writer.handle(task(WORDS, "a"))
        assert await home.timers.fire_due() == 0
        clock.now += timedelta(seconds=10)
        both = await asyncio.gather(home.timers.fire_due(), home.timers.fire_due())
        assert both == [1, 1]
        assert await home.timers.fire_due() == 0
    assert home.amounts() == [1, 100]


async def test_a_timer_that_was_moved_or_cancelled_between_reading_and_firing_does_nothing() -> (
    None
):
    clock = Clock()
    cancel = CancelTimer(subject="tally-a", name="alarm")
    home = Home(
        never,
        react=sets(lambda e: cancel if e.amount == 7 else alarm(clock, e.amount)),
        clock=clock,
    )
    async with going(home.writer.run()):
        for change in (20, 7):
            await home.writer.handle(task(WORDS, "a", 1))
            clock.now += timedelta(seconds=5)
            due = await home.store.due_timers(clock.now, 10)
            assert len(due) == 1
            await home.writer.handle(task(WORDS, "a", change))
            outcome = await home.writer.handle(task_of(due[0], home.table))
            assert outcome.skipped
    assert home.amounts() == [1, 20, 1, 7]
    assert home.store.tables.timers == {}


async def test_a_timer_that_fails_rests_and_delays_no_other() -> None:
    clock = Clock()
    home = Home(never, react=sets(lambda e: alarm(clock, 1, fails=True)), clock=clock)
    async with going(home.writer.run()):
        await home.writer.handle(task(WORDS, "a"))
        clock.now += timedelta(seconds=1)
        row = next(iter(home.store.tables.timers.values()))
        unreadable = row._replace(subject="tally-b", type="oms.tally.unknown.v9")
        good = row._replace(subject="tally-c", message=b'{"type":"oms.tally.rang.v1","name":"c"}')
        home.store.tables.timers |= {t[:2]: t for t in (unreadable, good)}
        assert await home.timers.fire_due() == 2
        assert home.amounts("c") == [100]
        assert await home.timers.fire_due() == 0, "they rest"
        clock.now += HOLD
        assert await home.timers.fire_due() == 1
    assert home.amounts() == [1]
