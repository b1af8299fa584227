"""What one poll of the Kafka client brings."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from shared.stream import kafka

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


class Client:
    """Holds what was fetched before, then has what the broker got since."""

    def __init__(self, *answers: dict[TopicPartition, list[Any]]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[int, int | None]] = []

    async def getmany(
        self, *, timeout_ms: int, max_records: int | None = None
    ) -> dict[TopicPartition, list[Any]]:
        self.asked.append((timeout_ms, max_records))
        return self.answers.pop(0)


Fetch = Callable[[Client], Awaitable[dict[TopicPartition, list[Any]]]]


@pytest.fixture
def fetch(monkeypatch: pytest.MonkeyPatch) -> Fetch:
    """Fetches through a client, at most ten records and half a second."""

    async def through(client: Client) -> dict[TopicPartition, list[Any]]:
        monkeypatch.setattr(kafka, "AIOKafkaConsumer", lambda **_: client)
        return await kafka.KafkaConsumer("", "group", ["t"], records_max=10)._fetch(500)

    return through


async def test_what_came_since_follows_what_was_held(fetch: Fetch) -> None:
    client = Client({A: [1, 2]}, {A: [3], B: [4]})
    assert await fetch(client) == {A: [1, 2, 3], B: [4]}
    assert client.asked[1][0] < 500, "what is held must not wait for what may never come"


async def test_where_nothing_is_held_a_poll_waits_as_long_as_it_may(fetch: Fetch) -> None:
    client = Client({}, {B: [1]})
    assert await fetch(client) == {B: [1]}
    assert client.asked[1] == (500, 10)


@pytest.mark.parametrize(("held", "room"), [(9, 1), (10, None)])
async def test_both_together_are_no_more_than_a_poll_may_bring(
    fetch: Fetch, held: int, room: int | None
) -> None:
    client = Client({A: [0] * held}, {})
    await fetch(client)
    assert [most for _, most in client.asked[1:]] == ([] if room is None else [room])


async def test_a_cancellation_that_meets_the_answer_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or a consumer that was told to end would go on."""
    answer = asyncio.get_running_loop().create_future()
    client = SimpleNamespace(commit=lambda _: answer)
    monkeypatch.setattr(kafka, "AIOKafkaConsumer", lambda **_: client)
    committing = asyncio.ensure_future(
        kafka.KafkaConsumer("", "group", ["t"]).commit({("t", 0): 1})
    )
    await asyncio.sleep(0)
    answer.set_result(None)
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
