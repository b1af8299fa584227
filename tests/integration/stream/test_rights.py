"""The rights of the Kubernetes manifests on a real broker: enough for every service, and no more."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from ops.k8s.kafka import user
from ops.k8s.shapes import Needs, all_needs
from ops.stack import create_topics
from ops.stack.kafka import EmbeddedKafka
from ops.stack.ports import HOST, free_ports
from shared.events import topics
from shared.stream.kafka import KafkaConsumer, KafkaProducer
from shared.stream.login import Login
from shared.stream.port import BrokerLost, Outgoing

PASSWORD = "not-a-secret"
ALLOW, ANY_HOST = 3, "*"
RESOURCES = {"topic": 2, "group": 3}
PATTERNS = {"literal": 3, "prefix": 4}
OPERATIONS = {"Read": 3, "Write": 4, "Describe": 8}
GUARDED = {
    "sasl.enabled.mechanisms": "SCRAM-SHA-512",
    "listener.name.guarded.scram-sha-512.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    # Who comes by the open listener sets the rights up.
    "super.users": "User:ANONYMOUS",
}


class GuardedKafka(EmbeddedKafka):
    """The embedded broker with a second listener, where only users with a password come in."""

    def __init__(self, data: Path, users: list[str]) -> None:
        port, controller, self.guarded_port = free_ports(3)
        open_at, guarded_at = f"{HOST}:{port}", f"{HOST}:{self.guarded_port}"
        settings = {
            **GUARDED,
            "listener.security.protocol.map": (
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,GUARDED:SASL_PLAINTEXT"
            ),
            "listeners": (
                f"PLAINTEXT://{open_at},GUARDED://{guarded_at},CONTROLLER://{HOST}:{controller}"
            ),
            "advertised.listeners": f"PLAINTEXT://{open_at},GUARDED://{guarded_at}",
        }
        super().__init__(data, port, controller, settings)
        self._users = users

    @property
    def guarded(self) -> str:
        """The guarded listener's `host:port`."""
        return f"{HOST}:{self.guarded_port}"

    def _format(self, java: str, classpath: str, properties: Path) -> None:
        """Users can only be made while formatting, as long as there is no other program for it here."""
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        scram = [
            x
            for name in self._users
            for x in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={PASSWORD}]")
        ]
        tool = [java, "-Xmx128m", "-cp", classpath, "kafka.tools.StorageTool", "format"]
        told = subprocess.run(
            [*tool, f"--cluster-id={cluster}", "--config", str(properties), *scram],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert told.returncode == 0, told.stdout + told.stderr


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKafka]:
    data = tmp_path_factory.mktemp("guarded")
    broker = GuardedKafka(data, [needs.name for needs in all_needs()])
    broker.launch()
    try:
        broker.wait_ready(60)
        yield broker
    finally:
        broker.stop()


async def grant(kafka: GuardedKafka, needs: Needs) -> None:
    """What the KafkaUser of the manifests grants."""
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    try:
        for acl in user(needs)["spec"]["authorization"]["acls"]:
            resource = acl["resource"]
            for operation in acl["operations"]:
                request = CreateAclsRequest(
                    RESOURCES[resource["type"]],
                    resource["name"],
                    PATTERNS[resource["patternType"]],
                    f"User:{needs.name}",
                    ANY_HOST,
                    OPERATIONS[operation],
                    ALLOW,
                )
                answer = await client._send_request(request)
                assert [code for code, _ in answer.creation_responses] == [0]
    finally:
        await client.close()


def record(name: str) -> Outgoing:
    return Outgoing(b"k", name.encode(), [])


@pytest.mark.slow
async def test_every_service_may_do_what_it_does_and_no_more(kafka: GuardedKafka) -> None:
    await create_topics(kafka.bootstrap, {t.name: 1 for t in topics()})
    everyone = all_needs()
    for needs in everyone:
        await grant(kafka, needs)

    for needs in everyone:
        if needs.produces:
            producer = KafkaProducer(kafka.guarded, Login(needs.name, PASSWORD))
            await producer.start()
            try:
                for topic in needs.produces:
                    await producer.publish((topic, 0), [record(needs.name)])
                other = next(t.name for t in topics() if t.name not in needs.produces)
                with pytest.raises(BrokerLost, match="Authorization"):
                    await producer.publish((other, 0), [record(needs.name)])
            finally:
                await producer.stop()

    for needs in everyone:
        group = f"{needs.group}1" if needs.shape.group_per_version else needs.group
        written = {t for other in everyone for t in other.produces} & set(needs.consumes)
        assert await heard(kafka, needs, group, written) == written


async def heard(kafka: GuardedKafka, needs: Needs, group: str, expected: set[str]) -> set[str]:
    """The topics of which a service's consumer reads something."""
    login = Login(needs.name, PASSWORD)
    consumer = KafkaConsumer(kafka.guarded, group, needs.consumes, login=login)
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
async def test_a_wrong_password_is_nobody(kafka: GuardedKafka) -> None:
    producer = KafkaProducer(kafka.guarded, Login("order", "wrong"))
    with pytest.raises(BrokerLost, match="cannot connect"):
        await producer.start()
