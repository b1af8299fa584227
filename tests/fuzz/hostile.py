"""Plays the hostile corpora against a running system, and says what it did wrong."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.contracts.tables import tables
from shared.events import topics
from shared.ledger.batch import partition_of
from shared.stream.kafka import KafkaProducer
from shared.stream.port import Outgoing
from tests.fuzz import records, requests, values
from tests.fuzz.ground import Ground
from tests.fuzz.requests import Asked, Case, fault
from tests.fuzz.wire import Wire

BATCH = 200
#: For the whole corpus, of which nearly every record is parked.
READ_SECONDS_MAX = 300.0


@dataclass
class Verdict:
    """How many inputs there were, and what was wrong about which."""

    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    parked: int = 0
    wrong: list[str] = field(default_factory=list)


async def over_http(ground: Ground, every: int = 1) -> Verdict:
    """The corpus over HTTP, all services side by side; of it each ``every``-th input."""
    verdict = Verdict()
    await asyncio.gather(
        *(_service(ground, name, every, verdict) for name in ground.system.layout.services)
    )
    return verdict


async def _service(ground: Ground, name: str, every: int, verdict: Verdict) -> None:
    document = (await ground.http.get(f"{ground.url(name)}/openapi.json")).json()
    keys = ground.system.keys.by_service[name]
    keys = keys | {"channel": keys["channel:web"]}
    port = ground.system.layout.port(name)
    asked: Iterable[Asked] = requests.operations(document, keys, ground.known)
    cases = (case for one in asked for case in requests.corpus(one))
    async with Wire(port) as wire:
        for case in islice(cases, 0, None, every):
            await _ask(wire, case, verdict, name)
    for label, data in values.FRAMES.items():
        verdict.inputs += 1
        async with Wire(port) as wire:
            try:
                answer = await wire.send(data)
            except (OSError, EOFError, TimeoutError) as error:
                verdict.wrong.append(f"{name} frame {label}: no answer, {error!r}")
                continue
        if answer.status < 400 or (found := fault(_frame(label), answer)):
            verdict.wrong.append(f"{name} frame {label}: {answer.status} {found}")
        verdict.refused += 1


def _frame(label: str) -> Case:
    return Case(label, b"", b"", [], b"")


async def _ask(wire: Wire, case: Case, verdict: Verdict, name: str) -> None:
    verdict.inputs += 1
    try:
        answer = await wire.request(case.method, case.target, case.headers, case.body)
    except (OSError, EOFError, TimeoutError) as error:
        verdict.wrong.append(f"{name} {case.label}: no answer, {error!r}")
        wire.close()
        return
    if answer.status < 400:
        verdict.accepted += 1
    else:
        verdict.refused += 1
    if found := fault(case, answer):
        verdict.wrong.append(f"{name} {case.label}: {found}")


async def over_topics(ground: Ground, every: int = 1) -> Verdict:
    """The corpus on every topic; of it each ``every``-th record. Returns when every service has read all of it."""
    verdict = Verdict()
    sent = list(islice(records.corpus(), 0, None, every))
    partitions = ground.system.layout.partitions
    places: defaultdict[tuple[str, int], list[Outgoing]] = defaultdict(list)
    for one in sent:
        place = (one.topic, partition_of(one.key.decode(), partitions))
        places[place].append(Outgoing(one.key, one.value, one.headers))
    producer = KafkaProducer(ground.system.stack.kafka)
    await producer.start()
    try:
        for place, some in places.items():
            for n in range(0, len(some), BATCH):
                await producer.publish(place, some[n : n + BATCH])
    finally:
        await producer.stop()
    expected: defaultdict[str, set[tuple[str, bytes]]] = defaultdict(set)
    for one in sent:
        for service in one.parked_by or ():
            expected[service].add((one.topic, one.key))
    labels = {one.key: one.label for one in sent}
    try:
        async with asyncio.timeout(READ_SECONDS_MAX):
            while left := await _unread(ground):
                await asyncio.sleep(0.5)
    except TimeoutError:
        verdict.wrong.append(f"not read within {READ_SECONDS_MAX:.0f} s: {left[:5]}")
    for service, keys in expected.items():
        found = await asyncio.to_thread(_parked, ground.system.dsns[service], service)
        verdict.parked += len(keys & found)
        verdict.wrong += [f"{service} has not parked {labels[k]} ({t})" for t, k in keys - found]
    verdict.inputs = len(sent)
    return verdict


def _parked(dsn: str, service: str) -> set[tuple[str, bytes]]:
    table = "v1.parked" if service == "views" else "parked"
    with psycopg.connect(dsn) as c:
        return {(topic, bytes(key)) for topic, key in c.execute(f"select topic, key from {table}")}


async def _unread(ground: Ground) -> list[str]:
    """Partitions that a service has not read to their end."""
    ends = await _ends(ground)
    found = []
    for service, table in tables().items():
        schema = "v1." if service == "views" else ""
        with psycopg.connect(ground.system.dsns[service]) as c:
            rows = c.execute(f"select topic, partition, next_offset from {schema}checkpoints")
            marks = {(topic, partition): at for topic, partition, at in rows}
        found += [
            f"{service}: {topic}/{n} at {marks.get((topic, n), 0)} of {end}"
            for (topic, n), end in ends.items()
            if topic in table.topics and marks.get((topic, n), 0) < end
        ]
    return found


async def _ends(ground: Ground) -> dict[tuple[str, int], int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=ground.system.stack.kafka)
    await consumer.start()
    try:
        count = range(ground.system.layout.partitions)
        all_of = [TopicPartition(topic.name, n) for topic in topics() for n in count]
        return {
            (tp.topic, tp.partition): n for tp, n in (await consumer.end_offsets(all_of)).items()
        }
    finally:
        await consumer.stop()
