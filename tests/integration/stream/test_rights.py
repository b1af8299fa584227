"""The rights of the Kubernetes manifests on a real broker: enough for every service, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from benchmarks.insights import Worker, worker
from benchmarks.insights_load import Shop
from ops.k8s.kafka import OUTSIDE, other_users, user
from ops.k8s.shapes import all_needs
from services.insights.announcer import TOPIC as STATEMENTS
from services.insights.figures import TOPICS as SOURCES
from services.insights.topics import app_id, changelog
from shared.events import topics
from shared.stream.kafka import KafkaConsumer, KafkaProducer
from shared.stream.login import Login
from shared.stream.port import BrokerLost, Outgoing
from tests.integration.guardedkafka import PASSWORD, GuardedKafka, prepare
from tests.ledgerkit import until


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKafka]:
    data = tmp_path_factory.mktemp("guarded")
    manifests = [*map(user, all_needs()), *other_users()]
    broker = GuardedKafka(data, [m["metadata"]["name"] for m in manifests])
    broker.launch()
    try:
        broker.wait_ready(60)
        asyncio.run(prepare(broker, manifests))
        yield broker
    finally:
        broker.stop()


def record(name: str) -> Outgoing:
    return Outgoing(b"k", name.encode(), [])


@pytest.mark.slow
async def test_every_service_may_do_what_it_does_and_no_more(kafka: GuardedKafka) -> None:
    everyone = all_needs()
    writes = {needs.name: needs.produces for needs in everyone}
    writes |= {name: who.writes for name, who in OUTSIDE.items()}
    for name, own in writes.items():
        if own:
            producer = KafkaProducer(kafka.guarded, Login(name, PASSWORD))
            await producer.start()
            try:
                for topic in own:
                    await producer.publish((topic, 0), [record(name)])
                other = next(t.name for t in topics() if t.name not in own)
                with pytest.raises(BrokerLost, match="Authorization"):
                    await producer.publish((other, 0), [record(name)])
            finally:
                await producer.stop()

    reads = {
        needs.name: (
            f"{needs.group}0" if needs.shape.group_per_version else needs.group,
            needs.consumes,
        )
        for needs in everyone
    }
    reads |= {name: (f"{name}-1", who.reads) for name, who in OUTSIDE.items() if who.reads}
    for name, (group, wanted) in reads.items():
        written = {t for own in writes.values() for t in own} & set(wanted)
        assert await heard(kafka, name, group, wanted, written) == written


async def heard(
    kafka: GuardedKafka, name: str, group: str, wanted: tuple[str, ...], expected: set[str]
) -> set[str]:
    """The topics of which a user's consumer reads something."""
    consumer = KafkaConsumer(kafka.guarded, group, wanted, login=Login(name, PASSWORD))
    await consumer.start()
    found: set[str] = set()
    offsets: dict[Any, int] = {}
    generation = 0
    try:
        for _ in range(300):
            if consumer.generation() != generation:  # what was fetched before it was dropped
                generation = consumer.generation()
                for partition in consumer.assigned():
                    consumer.seek(partition, 0)
            for (topic, number), records in (await consumer.poll(0.2)).items():
                found.add(topic)
                offsets[topic, number] = records[-1].offset + 1
            if found >= expected:
                break
        await consumer.commit(offsets)
    finally:
        await consumer.stop()
    return found


@pytest.mark.slow
async def test_the_insights_count_announce_and_rebuild_with_their_rights_alone(
    kafka: GuardedKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await commit_too_much(kafka)
    producer = KafkaProducer(kafka.bootstrap)
    await producer.start()
    different = set()
    for place, shown in Shop(1).records(200):
        await producer.publish(place, [shown])
        different.add((place, shown.value))
    await producer.stop()
    monkeypatch.setenv("OMS_KAFKA_USERNAME", "insights")
    monkeypatch.setenv("OMS_KAFKA_PASSWORD", PASSWORD)
    monkeypatch.chdir(tmp_path)
    told = Login("insights", PASSWORD).options()
    listener = AIOKafkaConsumer(STATEMENTS, bootstrap_servers=kafka.guarded, **told)
    await listener.start()
    try:
        async with worker(kafka.guarded, "http://127.0.0.1:9", tmp_path, "guarded") as insights:
            await insights.until(len(different), 60)
            assert insights.restarts == 0
            statement = await asyncio.wait_for(listener.getone(), 60)
            assert dict(statement.headers)["ce_source"] == b"/oms/insights"
            for version in (2, 3):
                assert (await insights.http.post("/rebuild")).json() == {"version": version}
                await until(partial(turned, insights, version), 60)
                await insights.until(len(different), 60)
    finally:
        await listener.stop()
    log = (tmp_path / "guarded.log").read_text()
    assert "listener_restarts" not in log
    assert "follower_restarts" not in log
    assert names_in(tmp_path) == {"guarded.json", "guarded.log"}
    assert await changelogs(kafka) == {changelog(2), changelog(3)}


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def commit_too_much(kafka: GuardedKafka) -> None:
    """What faust may do: the group is ahead of the changelog, which alone is believed."""
    told = Login("insights", PASSWORD).options()
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.guarded, group_id=app_id(1), **told)
    await consumer.start()
    try:
        ahead = {TopicPartition(topic, 0): 1 for topic in SOURCES}
        consumer.assign(list(ahead))
        await consumer.commit(ahead)
    finally:
        await consumer.stop()


async def turned(insights: Worker, version: int) -> bool:
    return (await insights.get("/progress"))["version"] == version


async def changelogs(kafka: GuardedKafka) -> set[str]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    try:
        return {name for name in await client.list_topics() if name.startswith("oms-insights-")}
    finally:
        await client.close()


@pytest.mark.slow
async def test_a_wrong_password_is_nobody(kafka: GuardedKafka) -> None:
    producer = KafkaProducer(kafka.guarded, Login("order", "wrong"))
    with pytest.raises(BrokerLost, match="cannot connect"):
        await producer.start()
