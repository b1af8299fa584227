"""Poison on real topics and a real database: only its own key waits, and redrive applies it once and in order."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from ops.stack import Stack
from shared.events import encode
from shared.ledger.parking import redrive
from shared.stream.port import Outgoing
from tests.integration.processes import Place, place
from tests.ledgerkit import Listening, going, home, of_type, outgoing, tally, until


async def consuming(at: Place, dsn: str, **options: Any) -> Listening:
    """The tally service's consumer of its commands topic, to which outsiders write."""

    async def joined() -> Any:
        return await at.consumer(f"{at.service}-c", [at.words.commands])

    table = tally(at.words, **options)
    return Listening(at.words, await at.store(dsn), joined, at.healer(), table=table)


async def amounts(listening: Listening, name: str) -> list[int]:
    stored = await listening.store.stream(f"tally-{name}")
    return [msgspec.json.decode(row[-1])["amount"] for row in stored]


def bad(good: Outgoing, tag: str) -> list[Outgoing]:
    """Records that nobody can read."""
    return [
        Outgoing(good.key, b"\xff\x00\x01", good.headers),
        Outgoing(good.key, b"", good.headers),
        Outgoing(good.key, good.value, []),
        Outgoing(good.key, good.value, of_type(b"\xfe")),
        Outgoing(good.key, good.value, of_type(tag[:-1].encode() + b"9")),
        Outgoing(good.key, good.value, of_type(b"nobody.knows.this")),
        Outgoing(good.key, good.value, [*good.headers, ("ce_sequence", b"-1")]),
        # Kafka's null, which is no bytes at all.
        Outgoing(good.key, good.value, [*good.headers, ("ce_type", None)]),  # type: ignore[list-item]
        Outgoing(good.key, good.value, [*good.headers, ("ce_subject", None)]),  # type: ignore[list-item]
    ]


async def test_poison_costs_only_its_own_key_and_is_applied_once_when_mended(
    stack: Stack, tmp_path: Path
) -> None:
    async with place(stack, tmp_path) as at:
        dsn = await at.database()
        await at.topics()
        words, producer = at.words, await at.producer()

        async def say(name: str, amount: int, id: str) -> None:
            message = words.Add(name=name, amount=amount)
            await producer.publish(home(message), [outgoing(message, id)])

        listening = await consuming(at, dsn)
        async with going(*listening.work()):
            for n in range(5):
                await say("good", 1, f"g{n}")
                await say("unlucky", 13 if n == 1 else n, f"u{n}")
            nul = words.Add(name="nul\x00", amount=1)
            for n in range(2):
                await producer.publish(home(nul), [outgoing(nul, f"z{n}")])
            sample = outgoing(words.Add(name="broken"), "b")
            broken = bad(sample, words.Add.tag())
            for record in broken:
                await producer.publish((words.commands, 1), [record])
            nameless = Outgoing(b"", sample.value, sample.headers)
            await producer.publish((words.commands, 2), [nameless])
            for n in range(5, 10):
                await say("good", 1, f"g{n}")
            parked = 4 + 2 + len(broken)
            await until(lambda: listening.counters.parked >= parked, 30)
            await until(lambda: _length(listening, "good", 10), 30)
            assert await amounts(listening, "unlucky") == [0]
            assert await amounts(listening, "broken") == [1], "a record without a key is no poison"

            waiting = await listening.store.parked_of(words.commands, b"unlucky", 10)
            assert [row.error for _, row in waiting] == [
                "ValueError: thirteen",
                *["queued behind a parked message of the same key"] * 3,
            ]
            summary = {s["key"]: s for s in await listening.store.parked_summary(10)}
            assert set(summary) == {"unlucky", "nul\\000", "broken"}
            assert summary["broken"]["records"] == len(broken)

        mended = await consuming(at, dsn, unlucky=None)
        async with going(*mended.work()):
            await until(lambda: mended.consumer.assigned, 30)
            await say("unlucky", 99, "u99")
            await until(lambda: mended.counters.parked == 1, 30)
            done = await redrive(
                mended.table, mended.store, mended.writer, words.commands, b"unlucky"
            )
            assert done == {"applied": 5, "error": None}
            again = await redrive(
                mended.table, mended.store, mended.writer, words.commands, b"unlucky"
            )
            assert again == {"applied": 0, "error": None}
            await say("unlucky", 7, "u7")
            await until(lambda: _length(mended, "unlucky", 7), 30)
            assert await amounts(mended, "unlucky") == [0, 13, 2, 3, 4, 99, 7]
            stuck = await redrive(
                mended.table, mended.store, mended.writer, words.commands, b"broken"
            )
            assert stuck["applied"] == 0
            assert stuck["error"].startswith("BadPayload")
        await producer.stop()
        assert encode(nul).count(b"\\u0000") == 1


RAW_NAME = """
import asyncio, sys
from aiokafka import AIOKafkaProducer

class Raw(str):
    def encode(self, *_):
        return bytes([0xFF, 0xFE])

async def main(bootstrap, topic):
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topic, b"v", key=b"k", partition=0, headers=[(Raw("x"), b"1")])

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_header_whose_name_nobody_can_decode_stops_nobody(
    stack: Stack, tmp_path: Path
) -> None:
    """aiokafka fails on such a record for good; other clients can write it."""
    async with place(stack, tmp_path) as at:
        dsn = await at.database()
        await at.topics()
        words, producer = at.words, await at.producer()

        async def say(n: int) -> None:
            for partition in range(2):
                message = words.Add(name=f"p{partition}", amount=n)
                record = outgoing(message, f"{partition}-{n}")
                await producer.publish((words.commands, partition), [record])

        await say(1)
        raw = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", RAW_NAME, at.kafka, words.commands),
            env={"PATH": os.environ["PATH"], "AIOKAFKA_NO_EXTENSIONS": "1"},
        )
        assert await raw.wait() == 0
        await say(2)
        listening = await consuming(at, dsn)
        async with going(*listening.work()):
            await say(3)
            for partition in range(2):
                await until(lambda p=partition: _length(listening, f"p{p}", 3), 30)
                assert await amounts(listening, f"p{partition}") == [1, 2, 3]
        summary = await listening.store.parked_summary(10)
        assert [s["key"] for s in summary] == ["undecodable-0-1"]
        await producer.stop()


async def _length(listening: Listening, name: str, count: int) -> bool:
    return len(await amounts(listening, name)) >= count
