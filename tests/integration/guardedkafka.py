"""The embedded broker with users, their passwords and their rights."""

from __future__ import annotations

import base64
import subprocess
import uuid
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from ops.stack import create_topics
from ops.stack.jvm import find_java, kafka_classpath
from ops.stack.kafka import EmbeddedKafka
from ops.stack.ports import HOST, free_ports
from shared.events import topics

PASSWORD = "not-a-secret"
ALLOW, ANY_HOST = 3, "*"
RESOURCES = {"topic": 2, "group": 3}
PATTERNS = {"literal": 3, "prefix": 4}
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Describe": 8}
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
    """The embedded broker with a second listener, where only users with a password come in; over TLS with a
    ``certificate`` (a PEM file: key and chain)."""

    def __init__(self, data: Path, users: list[str], certificate: Path | None = None) -> None:
        port, controller, self.guarded_port = free_ports(3)
        open_at, guarded_at = f"{HOST}:{port}", f"{HOST}:{self.guarded_port}"
        settings = {
            **GUARDED,
            "listener.security.protocol.map": (
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
                f"GUARDED:{'SASL_SSL' if certificate else 'SASL_PLAINTEXT'}"
            ),
            "listeners": (
                f"PLAINTEXT://{open_at},GUARDED://{guarded_at},CONTROLLER://{HOST}:{controller}"
            ),
            "advertised.listeners": f"PLAINTEXT://{open_at},GUARDED://{guarded_at}",
        }
        if certificate:
            settings |= {
                "listener.name.guarded.ssl.keystore.type": "PEM",
                "listener.name.guarded.ssl.keystore.location": str(certificate),
            }
        super().__init__(data, port, controller, settings)
        self._users = users

    @property
    def guarded(self) -> str:
        """The guarded listener's `host:port`."""
        return f"{HOST}:{self.guarded_port}"

    def change_password(self, user: str, password: str) -> None:
        """What Strimzi does for a KafkaUser: from now on the old password lets nobody in."""
        classpath = ":".join(str(jar) for jar in kafka_classpath())
        tool = [str(find_java()), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", classpath]
        tool += ["kafka.admin.ConfigCommand", "--bootstrap-server", self.bootstrap, "--alter"]
        tool += ["--entity-type", "users", "--entity-name", user]
        told = subprocess.run(
            [*tool, "--add-config", f"SCRAM-SHA-512=[password={password}]"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert told.returncode == 0, told.stdout + told.stderr

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


async def prepare(kafka: GuardedKafka, manifests: list[dict[str, Any]]) -> None:
    """The topics of the house, and what every KafkaUser of the manifests grants."""
    await create_topics(kafka.bootstrap, {t.name: 1 for t in topics()})
    for manifest in manifests:
        await grant(kafka, manifest)


async def grant(kafka: GuardedKafka, manifest: dict[str, Any]) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    try:
        for acl in manifest["spec"]["authorization"]["acls"]:
            resource = acl["resource"]
            for operation in acl["operations"]:
                request = CreateAclsRequest(
                    RESOURCES[resource["type"]],
                    resource["name"],
                    PATTERNS[resource["patternType"]],
                    f"User:{manifest['metadata']['name']}",
                    ANY_HOST,
                    OPERATIONS[operation],
                    ALLOW,
                )
                answer = await client._send_request(request)
                assert [code for code, _ in answer.creation_responses] == [0]
    finally:
        await client.close()
